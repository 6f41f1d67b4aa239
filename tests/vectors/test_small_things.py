"""small_things.json: padding, safety numbers, the signature of an audit's report."""

import base64

import pytest

from keys import primitives
from keys.auditors import Auditor, verify_report
from keys.errors import DecryptError
from keys.safety_number import KEY_TYPE, fingerprint, matches, safety_number, scannable
from tests.vectors import independent
from tests.vectors.reading import load, unhex

FILE = load("small_things")


def test_padding() -> None:
    for item in FILE["padding"]:
        assert primitives.pad(unhex(item["data"]), item["size"]).hex() == item["padded"]
        assert primitives.unpad(unhex(item["padded"])).hex() == item["data"]


@pytest.mark.parametrize("text", FILE["refused_padding"])
def test_padding_that_is_refused(text: str) -> None:
    with pytest.raises(DecryptError):
        primitives.unpad(unhex(text))


def test_safety_numbers() -> None:
    for item in FILE["safety_numbers"]:
        one, other = unhex(item["one"]), unhex(item["other"])
        own = fingerprint(KEY_TYPE + one, one)
        assert own.hex() == item["fingerprint_of_one"] == independent.fingerprint(one).hex()
        assert safety_number(one, other) == safety_number(other, one) == item["number"]
        assert independent.safety_number(one, other) == item["number"]
        assert scannable(one, other) == item["scannable_of_one"]
        assert scannable(other, one) == item["scannable_of_other"]
        text = base64.urlsafe_b64encode(own[:32] + independent.fingerprint(other)[:32]).rstrip(b"=")
        assert item["scannable_of_one"] == "blindpost-verify:1:" + text.decode()


def test_safety_numbers_compare_in_both_directions() -> None:
    for item in FILE["safety_numbers"]:
        one, other = unhex(item["one"]), unhex(item["other"])
        assert matches(one, other, item["number"])
        assert matches(other, one, item["number"])
        assert matches(one, other, item["scannable_of_other"])
        assert matches(other, one, item["scannable_of_one"])
        assert not matches(one, other, item["scannable_of_one"])
        assert not matches(other, one, item["scannable_of_other"])


def test_the_signature_of_an_audits_report() -> None:
    item = FILE["audit_report"]
    seed, text, signature = unhex(item["seed"]), item["report"].encode(), unhex(item["signature"])
    auditor = Auditor(seed)
    assert auditor.key.hex() == item["key"] == independent.signing_public(seed).hex()
    signed = independent.named("audit-report") + text
    assert auditor.sign_report(text) == signature == independent.signature(seed, signed)
    assert verify_report(auditor.key, text, signature)
