"""What a broken client might put where ciphertext belongs: texts, encodings, images, archives, programs.

Owns the samples, all made here or found on this machine, each longer than the largest envelope. Knows no
test.
"""

import base64
import bz2
import ctypes
import gzip
import io
import json
import lzma
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

# ruff: noqa: RUF001 - letters of other alphabets are what this is about
from bench.images import bmp, jpeg, photograph, png

LONG: Final = 80_000  # bytes: more than an envelope
SIDE: Final = 512  # pixels of the picture
TEXTS: Final = {
    "English": "The relay carries sealed letters between people who never met it, and it forgets every one "
    "of them. When the evening train was late, nobody at the station complained; they shared bread. ",
    "German": "Der Bote trägt versiegelte Briefe und schaut niemals hinein. Als der Abendzug zu spät kam, "
    "beschwerte sich niemand am Bahnhof: Man teilte Brot, erzählte Märchen und wartete. ",
    "French": "Le facteur porte des lettres cachetées et ne regarde jamais à l'intérieur. Quand le train du "
    "soir fut en retard, personne ne s'est plaint à la gare : on partagea le pain. ",
    "Vietnamese": "Người đưa thư mang những lá thư niêm phong và không bao giờ nhìn vào bên trong. Khi "
    "chuyến tàu tối đến muộn, không ai ở nhà ga phàn nàn. ",
    "Russian": "Почтальон несёт закрытые письма и никогда не заглядывает внутрь. Когда вечерний поезд "
    "опоздал, никто на станции не жаловался: люди делились хлебом и ждали. ",
    "Greek": "Κάθε ταχυδρόμος μεταφέρει σφραγισμένα γράμματα και ποτέ δεν κοιτάζει μέσα. Όταν το βραδινό "
    "τρένο άργησε, κανείς στον σταθμό δεν παραπονέθηκε. ",
    "Arabic": "يحمل ساعي البريد رسائل مغلقة ولا ينظر أبدا إلى ما في داخلها. تأخر قطار المساء ولم يشتك أحد في "
    "المحطة، بل تقاسم الناس الخبز وانتظروا. ",
    "Hindi": "डाकिया बंद चिट्ठियाँ ले जाता है और कभी भीतर नहीं देखता। शाम की गाड़ी देर से आई, पर स्टेशन पर किसी ने "
    "शिकायत नहीं की। ",
    "Chinese": "邮差把封好的信交给陌生人，从不打开看一眼。晚上的火车晚点了，"
    "车站里没有人抱怨，大家分着面包，讲着故事，一直等到天亮。",
    "Japanese": "郵便屋さんは封をした手紙を運び、決して中を見ません。夕方の列車が遅れても、"
    "駅では誰も文句を言わず、パンを分け合いました。",
    "Korean": "집배원은 봉한 편지를 나르며 결코 안을 들여다보지 않는다. 저녁 기차가 늦었지만 "
    "역에서는 아무도 불평하지 않았다. ",
}
OTHER_ENCODINGS: Final = (
    ("English", "utf-16-le"),
    ("Russian", "utf-16-le"),
    ("Chinese", "utf-16-be"),
    ("English", "utf-32-le"),
    ("German", "latin-1"),
    ("Russian", "cp1251"),
    ("Chinese", "gb18030"),
    ("Japanese", "shift_jis"),
)
MIDDLE: Final = ", from the middle"
XOR_16, XOR_256 = "English XOR 16 bytes", "English XOR 256 bytes"


def _said(language: str, encoding: str, dice: random.Random) -> bytes:
    """Its words in another order each time, so that nothing comes again after a few hundred bytes."""
    text = TEXTS[language]
    has_blanks = text.endswith(" ")
    words = text.split() if has_blanks else [text[at : at + 3] for at in range(0, len(text), 3)]
    said, size = [], 0
    while size < LONG:
        said.append(dice.choice(words) + (" " if has_blanks else ""))
        size += len(said[-1])
    return "".join(said).encode(encoding, "replace")


def _zip(data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes.txt", data)
    return made.getvalue()


def _zstd(data: bytes) -> bytes | None:
    """By the system's library, which Python before 3.14 cannot call by itself; None where there is none."""
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError:
        return None
    room = ctypes.create_string_buffer(len(data) + 1024)
    library.ZSTD_compress.restype = ctypes.c_size_t
    size = library.ZSTD_compress(
        room, ctypes.c_size_t(len(room)), data, ctypes.c_size_t(len(data)), ctypes.c_int(3)
    )
    return room.raw[:size]


def _xored(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[at % len(key)] for at, byte in enumerate(data))


def samples(dice: random.Random) -> dict[str, bytes]:
    """Every sample by its name, at least as long as an envelope where nothing else is said."""
    made = {f"{language}, UTF-8": _said(language, "utf-8", dice) for language in TEXTS}
    made |= {
        f"{language}, {encoding.upper()}": _said(language, encoding, dice)
        for language, encoding in OTHER_ENCODINGS
    }
    noise = dice.randbytes(LONG)
    rows = [
        {"id": number, "name": f"user{number}", "at": 1_795_132_800 + number, "tags": ["a", "b"], "ok": True}
        for number in range(1500)
    ]
    made["JSON"] = json.dumps(rows).encode()
    made["Python source"] = b"".join(
        path.read_bytes() for path in sorted((Path(__file__).parent.parent / "clients").glob("*.py"))
    )
    made["base64"] = base64.b64encode(noise)
    made["base64, in lines of 76"] = base64.encodebytes(noise)
    made["base32"] = base64.b32encode(noise)
    made["hex"] = noise.hex().encode()
    made["English XOR one byte"] = _xored(made["English, UTF-8"], b"\x9d")
    made["Russian XOR one byte"] = _xored(made["Russian, UTF-8"], b"\x31")
    picture = photograph(SIDE, dice)
    made["BMP"] = bmp(picture)
    # Python itself is a small program before a large library on some systems.
    program = max((Path(sys.executable).resolve(), Path(apsw.__file__)), key=lambda path: path.stat().st_size)
    machine_code = program.read_bytes()
    made["ELF"] = machine_code[: 4 * LONG]
    made["machine code"] = machine_code[len(machine_code) // 2 :][: 4 * LONG]
    text = made["Python source"] + machine_code[: 16 * LONG]
    packed: dict[str, Callable[[], bytes | None]] = {
        "PNG": lambda: png(picture),
        "JPEG": lambda: jpeg(picture),
        "zip": lambda: _zip(text),
        "gzip": lambda: gzip.compress(text),
        "bzip2": lambda: bz2.compress(text),
        "xz": lambda: lzma.compress(text),
        "zstd": lambda: _zstd(text),
    }
    for kind, pack in packed.items():
        if (data := pack()) is not None:
            made[kind] = data
            made[f"{kind}{MIDDLE}"] = data[len(data) // 4 :]
    made[XOR_16] = _xored(made["English, UTF-8"], dice.randbytes(16))
    made[XOR_256] = _xored(made["English, UTF-8"], dice.randbytes(256))
    return made
