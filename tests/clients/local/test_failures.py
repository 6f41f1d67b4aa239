"""A failure in one process is the same failure in another."""

import pytest

from clients.errors import (
    ClientError,
    InUseError,
    LockedError,
    NotFoundError,
    OutboxFullError,
    RelayError,
    StorageError,
    TooLargeError,
    TrustError,
    UsageError,
)
from clients.local.failures import LineLost, failure, failure_json


@pytest.mark.parametrize(
    "kind",
    [
        UsageError,
        NotFoundError,
        RelayError,
        TrustError,
        LockedError,
        TooLargeError,
        OutboxFullError,
        StorageError,
    ],
)
def test_every_error_is_raised_again_as_what_it_was(kind: type[ClientError]) -> None:
    again = failure(failure_json(kind("Do this.")))
    assert type(again) is kind
    assert (str(again), again.exit_code) == ("Do this.", kind.exit_code)


def test_an_object_as_it_is_documented() -> None:
    value = {"code": "NOT_FOUND", "exit_code": 3, "message": "There is none."}
    assert failure_json(NotFoundError("There is none.")) == value


def test_a_bug_is_told_without_its_words() -> None:
    value = failure_json(ValueError("the plaintext"))
    assert (value["code"], value["exit_code"]) == ("INTERNAL", 1)
    assert "plaintext" not in str(value)
    assert type(failure(value)) is ClientError


@pytest.mark.parametrize("value", [None, [], {}, {"exit_code": 99}, {"exit_code": "3"}])
def test_what_cannot_be_read_is_still_an_error(value: object) -> None:
    assert type(failure(value)) is ClientError


def test_narrower_kinds_cross_as_what_their_exit_code_says() -> None:
    for error in (LineLost(), InUseError("Another.")):
        assert type(failure(failure_json(error))) is LockedError
