"""The account of a run: each sender's own history against each recipient's, and against what it was handed.

Owns what counts as lost, doubled and out of order. Knows people only by what they kept and were given.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from clients.config import ClientConfig
from clients.profile import store_key
from clients.store.store import Store
from tests.faults.person import Given, Person
from tests.faults.result import Result, out_of_place

Json = dict[str, Any]
NAMED_MAX = 3  # messages that a problem names


def settle_pair(
    name: str, told: dict[int, str], sent: Sequence[Json], kept: Sequence[Json], given: Sequence[Given]
) -> Result:
    """One direction: `told` is what the sender's process answered, by number; `sent` its history of it.

    `kept` is the recipient's history of the same, `given` what its process handed over, all lives together.
    """
    result = Result(messages=len(sent))
    queued = [line["id"] for line in sent]
    history = [line["id"] for line in kept]
    stream = list(dict.fromkeys(each.id for each in given))
    for what, missing in (
        ("answered as queued, and not in the sender's history", set(told.values()) - set(queued)),
        ("sent, and not in the recipient's history", set(queued) - set(history)),
        ("in the recipient's history, and never handed over", set(history) - set(stream)),
    ):
        if missing:
            result.lost += len(missing)
            result.problems.append(f"{name}: {len(missing)} {what}: {_some(missing)}")
    if strange := (set(history) | set(stream)) - set(queued):
        result.problems.append(f"{name}: {len(strange)} that were never sent: {_some(strange)}")
    twice = [id for id, count in Counter(history).items() if count > 1]
    twice += [id for id, count in Counter(queued).items() if count > 1]
    twice += _unmarked(given)
    texts = Counter(line["text"] for line in kept)
    twice += [text for text, count in texts.items() if count > 1]
    if twice:
        result.duplicated += len(twice)
        result.problems.append(f"{name}: {len(twice)} twice: {_some(twice)}")
    shown = list(dict.fromkeys(each.id for each in given if not each.late))
    result.out_of_order = out_of_place(history, queued) + out_of_place(shown, queued)
    if result.out_of_order:
        result.problems.append(f"{name}: {result.out_of_order} out of order")
    behind = Counter(line["status"] for line in sent if line["status"] not in ("delivered", "read"))
    if behind:
        result.problems.append(f"{name}: without a receipt in the end: {dict(behind)}")
    if gaps := [each.id for each in given if each.missing_before or each.late]:
        result.problems.append(f"{name}: {len(gaps)} said to be late or behind a gap: {_some(gaps)}")
    result.figures = {"handed over again": len(given) - len(stream)}
    return result


def _unmarked(given: Sequence[Given]) -> list[str]:
    seen: set[str] = set()
    found = []
    for each in given:
        if each.id in seen and not each.redelivered:
            found.append(each.id)
        seen.add(each.id)
    return found


def _some(things: Any) -> str:
    return ", ".join(sorted(things)[:NAMED_MAX])


def repairs(person: Person) -> list[str]:
    """What this person's client had to mend: another's loss may be healed, and is a loss all the same."""
    config = ClientConfig(person.client.profile)
    store = Store(config.profile / "store.db", store_key(config))
    rows = store.db.execute(
        "SELECT what, count FROM repairs WHERE count > 0 AND what != 'receipt'"
    ).fetchall()
    store.close()
    return [f"{what} x {count}" for what, count in rows]


def settle_all(people: Sequence[Person], *, may_mend: bool = False) -> Result:
    """Everybody with everybody; their processes must have ended.

    With `may_mend`, a repair is none of our business: a step of the clock may have brought it on.
    """
    total = Result()
    for sender in people:
        for to, flow in sender.flows.items():
            (recipient,) = (each for each in people if each.name == to)
            sent = [line for line in sender.history(to) if line["direction"] == "out"]
            kept = [line for line in recipient.history(sender.name) if line["direction"] == "in"]
            given = [each for each in recipient.given if each.contact == sender.name]
            pair = settle_pair(f"{sender.name} to {to}", flow.queued, sent, kept, given)
            if len(flow.queued) != flow.next:
                pair.problems.append(f"{sender.name} to {to}: {flow.next - len(flow.queued)} never answered")
            total.add(pair)
            for what, figure in pair.figures.items():
                total.figures[what] = int(total.figures.get(what, 0)) + int(figure)
    for each in people:
        total.largest_store = max(total.largest_store, each.store_bytes())
        if not may_mend and (mended := repairs(each)):
            total.problems.append(f"{each.name} had to mend what should not have broken: {mended}")
        if "Traceback" in each.client.errors:
            total.problems.append(f"{each.name} printed a traceback: {each.client.stderr_path}")
    return total
