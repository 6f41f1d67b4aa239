"""keys.auditors: only the auditor's own signature over exactly this text holds."""

import pickle

import pytest

from keys.auditors import Auditor, verify_report
from keys.primitives import sign
from tests.keys.parties import Seeded, flipped

AUDITOR, OTHER = (Auditor.generate(Seeded(name)) for name in ("auditor", "another"))
TEXT = b'{"format":1}'


def test_an_auditors_signature_holds_for_its_text_and_key_alone() -> None:
    signature = AUDITOR.sign_report(TEXT)
    assert (len(AUDITOR.key), len(signature)) == (32, 64)
    assert verify_report(AUDITOR.key, TEXT, signature)
    assert not verify_report(OTHER.key, TEXT, signature)
    changed_texts = [flipped(TEXT, at, bit) for at in range(len(TEXT)) for bit in range(8)]
    for text in (b"", TEXT + b"\n", TEXT[:-1], *changed_texts):
        assert not verify_report(AUDITOR.key, text, signature)
    for changed in (b"", signature[:-1], signature + b"\0", *(flipped(signature, at) for at in range(64))):
        assert not verify_report(AUDITOR.key, TEXT, changed)


def test_what_was_signed_for_another_purpose_is_no_report() -> None:
    assert not verify_report(AUDITOR.key, TEXT, sign(AUDITOR.seed, TEXT))
    assert not verify_report(AUDITOR.key, TEXT, sign(AUDITOR.seed, b"blindpost/v1/login\0" + TEXT))


def test_the_seed_is_of_one_size_and_shown_nowhere() -> None:
    for size in (0, 31, 33):
        with pytest.raises(ValueError, match="32 bytes"):
            Auditor(bytes(size))
    assert AUDITOR.seed.hex() not in repr(AUDITOR)
    assert repr(AUDITOR.seed) not in repr(AUDITOR)
    with pytest.raises(TypeError):
        pickle.dumps(AUDITOR)
