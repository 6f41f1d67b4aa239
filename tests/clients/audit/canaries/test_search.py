"""The search finds a canary in every form that is claimed, and nothing where there is none."""

import base64
import codecs
import gzip
import json
import os
import zlib
from collections.abc import Callable
from urllib.parse import quote

import pytest
import zstandard

from clients.audit.canaries.encodings import forms, whole
from clients.audit.canaries.search import CHUNK, Canary, Search

TEXT = Canary("a text", base64.b32encode(os.urandom(15)).lower(), is_text=True)
KEY = Canary("a key", os.urandom(32), is_text=False)
UMLAUT = Canary("a name", ("\u00fc" + os.urandom(12).hex()).encode(), is_text=True)

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "utf-16": lambda value: value.decode("latin-1").encode("utf-16"),
    "utf-32": lambda value: value.decode("latin-1").encode("utf-32"),
    "hex": lambda value: value.hex().encode(),
    "hexdump": lambda value: value.hex(" ").encode(),
    "base64": base64.b64encode,
    "base64 behind one byte": lambda value: base64.b64encode(b"x" + value + b"yz"),
    "base64 behind two bytes": lambda value: base64.urlsafe_b64encode(b"xx" + value + b"z"),
    "base32 behind three bytes": lambda value: base64.b32encode(b"xxx" + value + b"z"),
    "JSON": lambda value: json.dumps(value.decode("latin-1")).encode(),
    "every character escaped": lambda value: b"".join(b"\\u%04x" % byte for byte in value),
    "URL": lambda value: quote(value).encode(),
    "every byte of a URL escaped": lambda value: b"".join(b"%%%02X" % byte for byte in value),
    "repr": lambda value: repr(value).encode(),
    "a list of numbers": lambda value: repr(list(value)).encode(),
    "hex in pairs": lambda value: value.hex("-").upper().encode(),
    "hex as a compiler reads it": lambda value: ", ".join(map("0x{:02x}".format, value)).encode(),
    "base32 in small letters": lambda value: base64.b32encode(b"xx" + value).lower(),
    "numbers with spaces": lambda value: " ".join(map(str, value)).encode(),
    "zlib with a small window": lambda value: (
        (stream := zlib.compressobj(wbits=9)).compress(b"before" * 9 + value) + stream.flush()
    ),
    "backwards": lambda value: value[::-1],
    "hex backwards": lambda value: value.hex().encode()[::-1],
    "XOR with one byte": lambda value: bytes(byte ^ 0xA7 for byte in value),
    "base64, XOR with one byte": lambda value: bytes(byte ^ 0x01 for byte in base64.b64encode(value)),
    "zlib": lambda value: zlib.compress(b"before" * 9 + value + b"after"),
    "gzip": lambda value: gzip.compress(value * 3),
    "zstd": lambda value: zstandard.compress(b"before" * 9 + value),
    "gzip of zlib of hex": lambda value: gzip.compress(zlib.compress(value.hex().encode())),
    "a stream that is cut off": lambda value: zlib.compress(value + os.urandom(200))[:-100],
    # A full flush ends a block, and no block begins with these bytes (RFC 1951, 3.2.3).
    "a stream that breaks": lambda value: (
        (stream := zlib.compressobj()).compress(repr(list(range(500))).encode() + value + os.urandom(20))
        + stream.flush(zlib.Z_FULL_FLUSH)
        + b"\xff" * 200
    ),
    "split in two": lambda value: (
        value[: len(value) // 2 + 1] + os.urandom(60) + value[len(value) // 2 + 1 :]
    ),
}


def found(canary: Canary, data: bytes, others: tuple[Canary, ...] = ()) -> set[str]:
    return {each.canary for each in Search([canary, *others]).look("here", data)}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("canary", [TEXT, KEY, UMLAUT], ids=lambda canary: canary.name)
@pytest.mark.parametrize("before", [0, 1, 2, 3, 4001])
def test_every_form_is_found_wherever_it_stands(name: str, canary: Canary, before: int) -> None:
    data = os.urandom(before) + FORMS[name](canary.value) + os.urandom(33)
    assert found(canary, data, (Canary("another", os.urandom(32), is_text=False),)) == {canary.name}


def test_a_text_is_found_in_other_letters() -> None:
    loud = Canary("loud", TEXT.value.upper(), is_text=True)
    assert found(TEXT, b"X-" + TEXT.value.upper() + b": 1") == {TEXT.name}
    assert found(loud, b"x-" + TEXT.value + b": 1") == {"loud"}


@pytest.mark.parametrize("around", [-40, -16, -1, 0])
def test_nothing_is_lost_between_two_chunks(around: int) -> None:
    data = bytearray(2 * CHUNK)
    for form in (KEY.value, KEY.value.hex().encode(), bytes(byte ^ 0x5C for byte in KEY.value)):
        data[CHUNK + around : CHUNK + around + len(form)] = form
        search = Search([KEY])
        search.look("here", bytes(data))
        assert {each.offset for each in search.found} & {CHUNK + around}
        assert search.scanned == len(data)


def test_nothing_is_found_where_there_is_nothing() -> None:
    search = Search([TEXT, KEY, UMLAUT])
    own = b"".join(os.urandom(len(each.value)) for each in search.canaries)
    assert search.look("random", os.urandom(1 << 20) + own) == []
    assert search.look("zeros", bytes(1 << 16)) == []
    assert search.look("nothing", b"") == []


def test_a_split_into_crumbs_is_the_limit() -> None:
    crumbs = b"".join(KEY.value[i : i + 4] + os.urandom(9) for i in range(0, 32, 4))
    assert found(KEY, crumbs) == set()


def test_no_value_is_shown_by_what_holds_it() -> None:
    assert KEY.value.hex() not in repr(KEY)
    assert str(KEY.value) not in repr(KEY)


def test_what_chance_would_find_is_refused_as_a_canary() -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        Canary("short", b"1234567", is_text=False)


def test_forms_are_what_others_make_of_them() -> None:
    shown = dict(whole(b"canary-1"))
    assert shown["hex"] == codecs.encode(b"canary-1", "hex")
    for offset, prefix in enumerate((b"", b"?", b"??")):
        assert shown[f"base64 at {offset}"] in base64.b64encode(prefix + b"canary-1")
    for offset in range(5):
        assert shown[f"base32 at {offset}"] in base64.b32encode(b"?" * offset + b"canary-1")
    assert len(forms(KEY.value, is_text=False)) > 60
