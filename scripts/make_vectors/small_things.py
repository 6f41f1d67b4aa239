"""Padding, safety numbers, and the signature of an audit's report."""

from keys.auditors import Auditor
from keys.primitives import pad
from keys.safety_number import KEY_TYPE, fingerprint, safety_number, scannable
from scripts.make_vectors.people import ALICE, BOB, File, named


def small_things() -> File:
    """All three."""
    auditor, report = Auditor(named("auditor")), '{"format":1,"words":"gr\u00fcn"}'
    data = [(b"", 1), (b"a", 4), (b"\x80", 16), (b"\x80\0", 8)]
    return {
        "padding": [
            {"data": item.hex(), "size": size, "padded": pad(item, size).hex()} for item, size in data
        ],
        "refused_padding": ["", "00", "0000", "61", "8061"],
        "safety_numbers": [
            {
                "one": one.hex(),
                "other": other.hex(),
                "fingerprint_of_one": fingerprint(KEY_TYPE + one, one).hex(),
                "number": safety_number(one, other),
                "scannable_of_one": scannable(one, other),
                "scannable_of_other": scannable(other, one),
            }
            for one, other in ((ALICE.account.key, BOB.account.key), (bytes(32), b"\xff" * 32))
        ],
        "audit_report": {
            "seed": auditor.seed.hex(),
            "key": auditor.key.hex(),
            "report": report,
            "signature": auditor.sign_report(report.encode()).hex(),
        },
    }
