"""What a hostile contact or relay tries against the mailroom, and what it gets for it."""

import os
from pathlib import Path

import pytest

from clients.clock import now_ms, now_seconds
from clients.errors import TrustError
from clients.model import ContactStatus
from clients.store.outbox import STREAMS_MAX
from keys.content import Content, Extension, Kind
from keys.primitives import sign
from keys.sessions import SILENT_KEEP
from tests.support.homes import Home, converse
from wire.control import Bundle, OfferedDevice
from wire.frames import Put
from wire.prekeys import Prekey, PrekeyKind, decode_prekey, prekey_signed_bytes

LOW_ORDER = bytes(32)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Home, Home]:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    return alice, bob


def craft(sender: Home, to: Home, content: Content) -> Put:
    """An authentic envelope with a content that no honest client writes."""
    engine, state = sender.mailroom._engine, sender.mailroom.state
    with sender.profile.store.transaction():
        sessions, sealing = state.sessions(to.mailbox), state.sealing_key(to.mailbox)
        assert sessions.sending is not None
        assert sealing is not None
        session, message = sessions.sending.encrypt(content.encode(), os.urandom)
        state.save_sessions(to.mailbox, sessions.sent(session))
    from keys.seal import InnerType, seal

    envelope = seal(engine._device, to.mailbox, sealing, InnerType.MESSAGE, message, os.urandom)
    return Put(os.urandom(16), to.mailbox, envelope)


def text(sequence: int, stream: bytes = b"s" * 16, *extensions: tuple[int, bytes]) -> Content:
    return Content(Kind.TEXT, os.urandom(16), stream, sequence, now_ms(), b"hi", extensions)


def prekey_of(home: Home, kind: PrekeyKind, key: bytes) -> bytes:
    """A prekey that its device signs, whatever the key is and whoever holds the private half."""
    device, now = home.profile.device, now_seconds()
    signature = sign(device.seed, prekey_signed_bytes(kind, device.key, 99, now, key))
    return Prekey(kind, 99, now, key, signature).encode()


def low_order_sealing_key(home: Home) -> bytes:
    """A sealing prekey that everybody's X25519 refuses, signed as it should be."""
    return prekey_of(home, PrekeyKind.SEALING, LOW_ORDER)


def test_a_sealing_key_of_low_order_is_not_believed_and_stops_nothing(pair: tuple[Home, Home]) -> None:
    alice, mallory = pair
    before = alice.mailroom.state.sealing_key(mallory.mailbox)
    evil = (int(Extension.SEALING_KEY), low_order_sealing_key(mallory))
    alice.take_in(craft(mallory, alice, text(10, b"s" * 16, evil)))
    assert alice.mailroom.state.sealing_key(mallory.mailbox) == before
    assert alice.mailroom.notes.write_receipts()
    alice.reopen()
    alice.say(mallory, "still able to write")
    assert len(alice.waiting(mallory)) == 2


def test_a_bundle_with_a_key_of_low_order_is_refused(pair: tuple[Home, Home]) -> None:
    alice, mallory = pair
    honest = mallory.bundle(one_time=False)
    (device,) = honest.devices
    prekeys = [device.prekeys[0], low_order_sealing_key(mallory), device.prekeys[2]]
    offered = OfferedDevice(device_key=device.device_key, prekeys=prekeys)
    bundle = Bundle(ref=0, device_list=honest.device_list, devices=[offered])
    with pytest.raises(Exception, match="not a key of its kind"):
        alice.mailroom.learn_bundle(alice.contact(mallory), bundle)


def test_what_is_sealed_for_a_contact_that_borrowed_our_sealing_key_is_nothing_to_us(
    pair: tuple[Home, Home], tmp_path: Path
) -> None:
    alice, bob = pair
    mallory = Home(tmp_path, "mallory")
    borrowed = prekey_of(mallory, PrekeyKind.SEALING, alice.mailroom.state.own_sealing().key)
    honest = mallory.bundle()
    (device,) = honest.devices
    prekeys = [device.prekeys[0], borrowed, *device.prekeys[2:]]
    offered = OfferedDevice(device_key=device.device_key, prekeys=prekeys)
    bob.add(mallory)
    bundle = Bundle(ref=0, device_list=honest.device_list, devices=[offered])
    bob.mailroom.learn_bundle(bob.contact(mallory), bundle)
    bob.say(mallory, "for Mallory")
    # Mallory cannot open it, and puts it into Alice's mailbox.
    passed_on = [Put(os.urandom(16), alice.mailbox, put.envelope) for put in bob.send(mallory)]
    alice.take_in(*passed_on)
    assert alice.mailroom.undecryptable == len(passed_on) > 0
    assert alice.mailroom.repair.lines() == []
    assert not alice.mailroom.repair.is_due(bob.mailbox)


def test_what_anybody_can_make_up_leaves_nothing_behind_and_may_come_again(
    pair: tuple[Home, Home], tmp_path: Path
) -> None:
    alice, bob = pair
    stranger = Home(tmp_path, "stranger")
    stranger.meet(alice)
    stranger.say(alice, "first")
    _, opening = stranger.send(alice)  # its card goes ahead
    count = "SELECT (SELECT count(*) FROM consumed) + (SELECT count(*) FROM handshakes)"
    before = alice.profile.store.db.execute(count).get
    garbage = [Put(os.urandom(16), alice.mailbox, b"\x01" + os.urandom(1023)) for _ in range(20)]
    foreign = [Put(os.urandom(16), alice.mailbox, put.envelope) for put in stranger_to(bob, tmp_path)]
    alice.take_in(*garbage, *garbage, *foreign)
    assert alice.profile.store.db.execute(count).get == before
    assert (alice.mailroom.undecryptable, alice.mailroom.replayed) == (40 + len(foreign), 0)
    # Nor is what somebody has written lost because it came when it could not be read.
    signed = "UPDATE prekeys SET id = id + ? WHERE kind = 1"
    alice.profile.store.db.execute(signed, (1000,))
    alice.take_in(opening)
    assert alice.mailroom.contacts.by_account(stranger.profile.account.key) is None
    alice.profile.store.db.execute(signed, (-1000,))
    alice.take_in(opening, opening)
    assert alice.mailroom.replayed == 1
    alice.add(stranger)
    assert alice.texts(at_ms=now_ms() + 31_000) == ["first"]  # behind its card, which is missing


def stranger_to(home: Home, directory: Path) -> list[Put]:
    """What somebody writes to another one than it is brought to."""
    writer = Home(directory, "writer")
    writer.meet(home)
    writer.say(home, "for somebody else")
    return writer.send(home)


def test_new_streams_without_end_cost_one_receipt_at_a_time_and_little_memory(
    pair: tuple[Home, Home],
) -> None:
    alice, mallory = pair
    alice.send(mallory)
    alice.take_in(*(craft(mallory, alice, text(1, number.to_bytes(16, "big"))) for number in range(40)))
    assert alice.mailroom.notes.write_receipts()
    assert not alice.mailroom.notes.write_receipts()
    assert len(alice.waiting(mallory)) == 1
    kept = alice.profile.store.db.execute("SELECT count(*) FROM received").get
    assert kept <= STREAMS_MAX


def test_a_removed_contact_that_writes_again_is_a_request_and_nothing_is_lost(
    pair: tuple[Home, Home],
) -> None:
    alice, bob = pair
    assert alice.mailroom.contacts.remove(alice.contact(bob)) == 2
    assert alice.mailroom.contacts.all() == []
    bob.say(alice, "after the removal")
    alice.take_in(*bob.send(alice))
    assert alice.mailroom.undecryptable == 0
    assert alice.contact(bob).status is ContactStatus.REQUEST
    assert not alice.mailroom.notes.write_receipts()
    assert alice.texts() == []
    alice.add(bob)
    assert alice.texts() == ["after the removal"]
    alice.say(bob, "and back")
    bob.take_in(*alice.send(bob))
    assert bob.texts() == ["and back"]


def test_two_who_were_kept_apart_for_two_months_understand_each_other_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    alice.meet(bob)
    bob.meet(alice)
    alice.say(bob, "crossing")
    bob.say(alice, "crossing")
    to_bob, to_alice = alice.send(bob), bob.send(alice)
    bob.take_in(*to_bob)
    alice.take_in(*to_alice)
    later = now_seconds() + SILENT_KEEP + 86_400
    monkeypatch.setattr("clients.clock.now_seconds", lambda: later)
    # The worst that the relay can have arranged: each sends on a session that the other has dropped.
    for home, keep in ((alice, 0), (bob, 1)):
        peer = bob if home is alice else alice
        with home.profile.store.transaction():
            sessions = sorted(home.mailroom.state.sessions(peer.mailbox), key=lambda s: s.transcript)
            home.mailroom.state.save_sessions(
                peer.mailbox, type(home.mailroom.state.sessions(peer.mailbox))((sessions[keep],))
            )
        home.stock.rotate(later)
    for home, peer in ((alice, bob), (bob, alice)):
        home.say(peer, "are you there?")
        home.mailroom.learn_bundle(home.contact(peer), peer.bundle())
        home.mailroom.seal_waiting(home.contact(peer).id)
        peer.take_in(*home.send(peer))
        assert "are you there?" in peer.texts()
        assert peer.mailroom.undecryptable == 0


def test_a_device_that_was_removed_from_its_list_is_not_heard_on_an_old_session_either(
    pair: tuple[Home, Home],
) -> None:
    alice, _ = pair
    fresh = Home(alice.config.profile.parent, "carol")
    fresh.meet(alice)
    alice.add(fresh)
    fresh.say(alice, "before")
    alice.take_in(*fresh.send(alice))
    fresh.say(alice, "after")
    (late,) = fresh.send(alice)
    account, device = fresh.profile.account, type(fresh.profile.device).generate(os.urandom, now_seconds())
    successor = account.sign_device_list(
        (device.entry(account.key),), now_seconds(), fresh.profile.device_list
    )
    with alice.profile.store.transaction():
        alice.mailroom.state.pin(successor)
    alice.take_in(late)
    assert alice.mailroom.undecryptable == 1
    assert alice.texts() == ["before"]


def test_frames_to_a_device_that_is_gone_do_not_hold_up_the_others(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    waits = alice.say(bob, "sealed for a device that is going")
    assert len(alice.waiting(bob)) == 1
    account, device = bob.profile.account, type(bob.profile.device).generate(os.urandom, now_seconds())
    successor = account.sign_device_list((device.entry(account.key),), now_seconds(), bob.profile.device_list)
    bundle = Bundle(ref=0, device_list=successor.encode(), devices=[])
    alice.mailroom.learn_bundle(alice.contact(bob), bundle)
    assert alice.waiting(bob) == []
    # What the device took and never receipted is for the new one as well.
    unsealed = alice.mailroom.history.unsealed(alice.contact(bob).id, 9)
    assert [message.body for message in unsealed] == [b"hello", b"sealed for a device that is going"]
    assert unsealed[-1].message_id == waits


def test_another_list_of_the_same_version_blocks_and_says_so(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    account = bob.profile.account
    device = type(bob.profile.device).generate(os.urandom, now_seconds())
    forked = account.sign_device_list((device.entry(account.key),), now_seconds())
    with pytest.raises(TrustError, match="rollback or split view"):
        alice.mailroom.learn_bundle(
            alice.contact(bob), Bundle(ref=0, device_list=forked.encode(), devices=[])
        )
    assert alice.mailroom.contacts.alarms()
    with pytest.raises(TrustError):
        alice.say(bob, "not sent")


def test_a_prekey_of_the_future_is_replaced_once_the_clock_is_right(pair: tuple[Home, Home]) -> None:
    alice, _ = pair
    now = now_seconds()
    alice.stock.rotate(now + 200 * 86_400)
    assert decode_prekey(alice._newest(PrekeyKind.SIGNED)).created > now + 100 * 86_400
    alice.stock.rotate(now)
    assert decode_prekey(alice._newest(PrekeyKind.SIGNED)).created == now
