"""What a report may say: its models, its schema, and that what comes from outside is made to fit."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
from pydantic import ValidationError

from clients.audit.reporting.report import SENTENCES_MAX, WORDS_MAX, Captured, Report, Transcript
from clients.audit.reporting.report_file import encode
from clients.audit.reporting.schema import schema, text
from clients.audit.reporting.verdict import judged
from tests.clients.audit.reports import AUDITOR, facts

ROOT = Path(__file__).parents[4]


def test_the_schema_in_the_repository_is_that_of_the_models() -> None:
    written = (ROOT / "docs" / "audit-report.schema.json").read_text("utf-8")
    message = "write it anew: python -m clients.audit.reporting.schema > docs/audit-report.schema.json"
    assert written == text(), message


def test_a_report_is_what_the_schema_says_and_other_things_are_not() -> None:
    valid = jsonschema_rs.validator_for(schema())
    data = json.loads(encode(judged(facts()), AUDITOR))
    assert [error.message for error in valid.iter_errors(data)] == []
    for path, value in (
        (("signature",), "short"),
        (("report", "format"), 2),
        (("report", "verdict"), None),
        (("report", "canary"), "abc"),
        (("report", "search", "typed"), ["send.text"]),
        (("report", "code", "sha256"), "0" * 63),
        (("report", "leaks_total"), -1),
    ):
        changed = json.loads(json.dumps(data))
        inner = changed
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        assert not valid.is_valid(changed), path


def test_no_part_takes_a_field_that_it_does_not_know() -> None:
    whole = judged(facts()).model_dump(mode="json")
    parts = [name for name, value in whole.items() if isinstance(value, dict) and name != "companions"]
    assert len(parts) > 8
    for name in parts:
        for changed in ({**whole, name: {**whole[name], "value": "x"}}, {**whole, "value": "x"}):
            with pytest.raises(ValidationError, match="extra_forbidden"):
                Report.model_validate_json(json.dumps(changed), strict=True)


def test_words_from_outside_are_made_to_fit() -> None:
    said = "a\nb\x1b[31m\u202ec\ud800" + "x" * WORDS_MAX
    look = Captured(place="memory", source=said, bytes=1)  # type: ignore[arg-type]  # as JSON has it
    assert look.source.startswith("a?b?[31m?c?xxx")
    assert len(look.source) == WORDS_MAX
    assert look.source.endswith("…")
    many = Transcript(judged={}, complaints=tuple(f"complaint {i}" for i in range(SENTENCES_MAX + 50)))
    assert len(many.complaints) == SENTENCES_MAX
    assert many.complaints[-2:] == (f"complaint {SENTENCES_MAX - 2}", "and 51 more")
    assert Transcript.model_validate_json(many.model_dump_json(), strict=True) == many


def test_numbers_that_are_none_are_refused() -> None:
    for seconds in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValidationError):
            facts(seconds=seconds)
