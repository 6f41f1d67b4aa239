"""A report's file: only what its auditor signed is believed, and only if it does not contradict itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from clients.audit.reporting.report import Verdict
from clients.audit.reporting.report_file import REPORT_MAX, ReportError, decode, encode
from clients.audit.reporting.verdict import judged
from clients.errors import ExitCode
from keys.auditors import Auditor
from tests.clients.audit.reports import AUDITOR, OTHER, facts
from wire.control_values import encode_base64url

REPORT = judged(facts())
DATA = encode(REPORT, AUDITOR)


def signed(text: bytes, auditor: Auditor = AUDITOR) -> bytes:
    """The file that an auditor would make of any text."""
    key, signature = encode_base64url(auditor.key), encode_base64url(auditor.sign_report(text))
    return b'{"report":\n' + text + f'\n,"auditor":"{key}","signature":"{signature}"}}\n'.encode()


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Another report, signed as it should be."""
    whole = json.loads(REPORT.model_dump_json())
    change(whole)
    return signed(json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode())


def test_a_report_is_read_as_it_was_written() -> None:
    found = decode(DATA)
    assert (found.report, found.auditor) == (REPORT, AUDITOR.key)
    assert json.loads(DATA)["report"]["verdict"] == {"is_green": True, "reasons": []}
    assert signed(DATA.split(b"\n")[1]) == DATA  # the second line is what is signed
    assert changed(lambda whole: None) == DATA


def test_no_byte_of_it_can_change() -> None:
    for at in range(0, len(DATA), 7):
        for bit in (0, 5):
            forged = bytearray(DATA)
            forged[at] ^= 1 << bit
            with pytest.raises(ReportError):
                decode(bytes(forged))


@pytest.mark.parametrize(
    "size", [0, 5, 11, 100, len(DATA) - 200, len(DATA) - 90, len(DATA) - 2, len(DATA) - 1]
)
def test_a_report_that_is_cut_off_is_none(size: int) -> None:
    with pytest.raises(ReportError, match=r"cut off|no report|signature does not hold") as caught:
        decode(DATA[:size])
    assert caught.value.exit_code is ExitCode.TRUST


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        (DATA + b"\n", "cut off"),
        (DATA.replace(b"\n,", b" \n,"), "signature does not hold"),
        (DATA.replace(b'{"report":\n', b'{"report": \n'), "does not begin"),
        (DATA.replace(encode_base64url(AUDITOR.key).encode(), encode_base64url(OTHER.key).encode()),
         "signature does not hold"),
        (DATA.replace(b'"signature":"', b'"signature":"\xff')[:-1], "cut off"),
        (DATA[:-6] + b'!!!"}\n', "damaged"),
        (b"{}", "no report"),
        (bytes(REPORT_MAX + 1), "over 8 MiB"),
        (signed(REPORT.model_dump_json(indent=1).encode()), "cut off"),
        (signed(REPORT.model_dump_json().replace(",", ", ", 1).encode()), "another form"),
        (signed(DATA.split(b"\n")[1].replace(b'"cores":2', b'"cores":1,"cores":2')), "another form"),
        (signed(b'{"format":1,'), "not well formed"),
        (signed(b'{"format":2}'), "another version"),
        (signed(b"[" * 100_000), "another version"),
        (changed(lambda whole: whole.update(extra=1)), "not well formed, at extra"),
        (changed(lambda whole: whole.update({"a\n\x1b[2J" + "b" * 99: 1})), r"at a\?\?\?2Jb{54}\."),
        (changed(lambda whole: whole["machine"].update(cores="2")), "not well formed, at machine.cores"),
        (changed(lambda whole: whole["search"].update(scanned=1e400)), "not well formed"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused_in_words(forged: bytes, why: str) -> None:
    with pytest.raises(ReportError, match=why) as caught:
        decode(forged)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_green_against_its_own_facts_is_refused_whoever_signed_it() -> None:
    leaking = facts(leaks_total=1)
    assert not decode(encode(judged(leaking), AUDITOR)).report.verdict.is_green
    lie = judged(leaking).model_copy(update={"verdict": Verdict(is_green=True)})
    with pytest.raises(ReportError, match=r"calls itself green, and its own facts say: leaks: 1"):
        decode(encode(lie, AUDITOR))
    for verdict in (Verdict(is_green=False), Verdict(is_green=True, reasons=("leaks: 1",))):
        with pytest.raises(ReportError, match="contradicts itself"):
            decode(encode(REPORT.model_copy(update={"verdict": verdict}), AUDITOR))
