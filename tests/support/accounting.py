"""The account of a run: what one side sent against what the other was given, by message id."""

from collections.abc import Sequence
from typing import Any

from tests.support.client_process import Json


def ndjson(texts: Sequence[object]) -> bytes:
    """Stdin for `send --ndjson`."""
    return b"".join(b'{"text": "%s"}\n' % str(text).encode() for text in texts)


def numbers(lines: Sequence[Json]) -> list[int]:
    return [int(line["text"]) for line in lines]


def settle(given: Sequence[Json], kept_by_sender: Sequence[Json]) -> list[Json]:
    """What was given, each message once; fails unless nothing is lost, doubled or out of order.

    `given` is every line that `listen --json` printed, over all its lives. `kept_by_sender` is the sender's
    own history of what it queued. A message may be printed again only if it says `redelivered`.
    """
    once: list[Json] = []
    seen: set[Any] = set()
    for line in given:
        if line["id"] in seen:
            assert line["redelivered"], f"twice without a mark: {line}"
        else:
            seen.add(line["id"])
            once.append(line)
    queued = [line["id"] for line in kept_by_sender if line["direction"] == "out"]
    assert len(queued) == len(set(queued))
    lost = [line for line in kept_by_sender if line["direction"] == "out" and line["id"] not in seen]
    assert lost == [], f"{len(lost)} of {len(queued)} lost"
    assert [line["id"] for line in once] == queued, "out of order, or more than was sent"
    assert not any(line["missing_before"] or line["late"] for line in once)
    return once
