"""Attacks with receipts and read marks: another's, old ones, ones for what was never sent, and taken back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from clients.model import MessageStatus
from keys.content import Kind, ReadMark, Receipt
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, attack
from tests.attacks.neighbours import neighbours
from tests.attacks.stage import Stage
from tests.clients.repairs import asks, checkpoints, copy_of, deliver, exchange, put_back
from tests.support.homes import Home

ALL: Final = 2**62  # a sequence that no conversation reaches


def _everything(home: Home) -> bytes:
    """A receipt for all that this home has said in its stream, and will say."""
    return Receipt(home.mailroom.state.stream, ((1, ALL),)).encode()


def _status(home: Home, message: bytes) -> MessageStatus:
    status = home.mailroom.history.status(message)
    assert status is not None
    return status


def _of_any_device(original: Callable[..., int]) -> Callable[..., int]:
    """What one device says counts for all."""

    def marked(history: Any, _: bytes, what: object) -> int:
        keys = history._db.execute("SELECT DISTINCT device_key FROM sent").fetchall()
        return sum(original(history, bytes(key), what) for (key,) in keys)

    return marked


@attack(
    defence="a receipt counts for the device alone that has sealed it",
    without=Removal("clients.store.outgoing.Outgoing.delivered", _of_any_device),
)
async def anothers_receipt(stage: Stage) -> Outcome:
    """As a contact, receipt what was sent to somebody else, by the stream that both are shown."""
    with neighbours(stage.directory, "alice", "bob", "carol") as (alice, bob, carol):
        said = alice.say(bob, "for Bob, and dropped by the relay")
        alice.send(bob)
        asks(carol, alice, Kind.RECEIPT, _everything(alice))
        if (status := _status(alice, said)) is not MessageStatus.ACCEPTED:
            return Succeeded(f"alice is told: {status.value}")
        return Caught("alice", "counts for nothing; the message stays 'accepted'")


@attack(
    defence="a read mark counts for the device alone that has sealed it",
    without=Removal("clients.store.outgoing.Outgoing.read", _of_any_device),
)
async def anothers_read_mark(stage: Stage) -> Outcome:
    """As a contact, say that somebody else has read what was sent to it."""
    with neighbours(stage.directory, "alice", "bob", "carol") as (alice, bob, carol):
        said = alice.say(bob, "for Bob, who has not looked yet")
        exchange(alice, bob)
        assert _status(alice, said) is MessageStatus.DELIVERED
        asks(carol, alice, Kind.READ, ReadMark(alice.mailroom.state.stream, ALL).encode())
        if (status := _status(alice, said)) is not MessageStatus.DELIVERED:
            return Succeeded(f"alice is told: {status.value}")
        return Caught("alice", "counts for nothing; the message stays 'delivered'")


class _AnyStream(bytes):
    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = bytes.__hash__


def _of_any_stream(original: Callable[[bytes], Receipt]) -> Callable[[bytes], Receipt]:
    """A receipt says only which numbers have arrived."""
    return lambda body: replace(original(body), stream_id=_AnyStream())


@attack(
    defence="a receipt names the stream whose numbers it counts, and each life of a store has its own",
    without=Removal("clients.notes.decode_receipt", _of_any_stream),
)
async def old_receipt(stage: Stage) -> Outcome:
    """Keep a receipt until its number stands for another message, in a store put back from a copy."""
    with neighbours(stage.directory, "alice", "bob") as (alice, bob):
        checkpoints(alice).make()
        alice.say(bob, "on the chain that the copy goes on with")
        deliver(alice, bob)
        copy = copy_of(alice)
        alice.say(bob, "said before the copy was put back")
        deliver(alice, bob)
        bob.mailroom.write_owed()
        kept = bob.send(alice)
        put_back(alice, copy)
        checkpoints(alice).judge(None)  # the relay does not show what would tell
        said = alice.say(bob, "said by the copy, and dropped by the relay")
        alice.send(bob)
        alice.take_in(*kept)
        if (status := _status(alice, said)) is not MessageStatus.ACCEPTED:
            return Succeeded(f"alice is told: {status.value}")
        return Caught("alice", "is for another stream; the message stays 'accepted'", len(kept))


RECEIPTED: Final[dict[bytes, int]] = {}  # for the control: the highest number that a device has named


def _as_a_mark(original: Callable[..., int]) -> Callable[..., int]:
    def delivered(history: object, device_key: bytes, ranges: tuple[tuple[int, int], ...]) -> int:
        RECEIPTED[device_key] = max(RECEIPTED.get(device_key, 0), *(last for _, last in ranges))
        return original(history, device_key, ranges)

    return delivered


def _up_to_the_mark(original: Callable[..., None]) -> Callable[..., None]:
    def sealed(history: Any, rows: Sequence[int], sequences: Mapping[bytes, Sequence[int]]) -> None:
        original(history, rows, sequences)
        for device_key, numbers in sequences.items():
            for number in numbers:
                if number <= RECEIPTED.get(device_key, 0):
                    history.delivered(device_key, ((number, number),))

    return sealed


@attack(
    defence="a receipt counts for what was sent before it came",
    without=(
        Removal("clients.store.outgoing.Outgoing.delivered", _as_a_mark),
        Removal("clients.store.outgoing.Outgoing.sealed", _up_to_the_mark),
    ),
)
async def receipt_in_advance(stage: Stage) -> Outcome:
    """Receipt everything that will ever be sent, and say later that nothing has come."""
    with neighbours(stage.directory, "alice", "mallory") as (alice, mallory):
        asks(mallory, alice, Kind.RECEIPT, _everything(alice))
        said = alice.say(mallory, "sent after that, and dropped by the relay")
        alice.send(mallory)
        if (status := _status(alice, said)) is not MessageStatus.ACCEPTED:
            return Succeeded(f"alice is told: {status.value}")
        return Caught("alice", "counts for nothing yet; the message stays 'accepted'")


def _whatever_it_was(original: object) -> Callable[..., None]:
    """What a relay reports last is how it is."""
    move = "status = 'accepted', accepted_ms = ? WHERE id = ?"
    return lambda history, row, now_ms: history._move(move, now_ms, row)


@attack(
    defence="a status never goes back",
    without=Removal("clients.store.outgoing.Outgoing.accepted", _whatever_it_was),
)
async def take_back_what_was_read(stage: Stage) -> Outcome:
    """Say that a message was read, and then ask for it as if it had never come."""
    with neighbours(stage.directory, "alice", "mallory") as (alice, mallory):
        said = alice.say(mallory, "read, and denied")
        exchange(alice, mallory)
        stream = alice.mailroom.state.stream
        asks(mallory, alice, Kind.READ, ReadMark(stream, ALL).encode())
        assert _status(alice, said) is MessageStatus.READ
        for kind, arrived in ((Kind.RESEND, (1, ALL)), (Kind.REPAIR, (ALL, ALL))):
            asks(mallory, alice, kind, Receipt(stream, (arrived,)).encode())
            assert deliver(alice, mallory)
        if (status := _status(alice, said)) is not MessageStatus.READ:
            return Succeeded(f"alice is told: {status.value}")
        return Caught("alice", "sent again, and stays 'read'", 3)


ATTACKS: Final[tuple[Attack, ...]] = (
    anothers_receipt, anothers_read_mark, old_receipt, receipt_in_advance, take_back_what_was_read,
)  # fmt: skip
