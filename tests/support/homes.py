"""People whose client is whole but for the network: a real profile and store, a real mailroom.

The relay's part (handing out bundles, carrying frames) is played by plain calls, so that a test decides what
arrives, when and in which order.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from clients.clock import now_ms, now_seconds
from clients.config import ClientConfig
from clients.mailroom import Mailroom
from clients.model import Message
from clients.prekey_stock import PrekeyStock
from clients.profile import Profile
from clients.store.contacts import ContactRow
from keys.content import Kind
from wire.addresses import RelayUrl
from wire.control import Bundle, OfferedDevice, Stock
from wire.frames import Deliver, Put
from wire.prekeys import ONE_TIME_KINDS, PrekeyKind, decode_prekey

NOWHERE = RelayUrl.parse("ws://127.0.0.1:1")
EMPTY_STOCK = Stock(one_time=0, one_time_kem=0)


class Home:
    """One person's profile in `directory`, which may exist already."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.config = ClientConfig(directory / name)
        if not (self.config.profile / "profile.json").exists():
            Profile.create(self.config, NOWHERE, now_seconds()).close()
        self._next_bundle = dict.fromkeys(ONE_TIME_KINDS, 0)
        self._delivered = 0
        self.open()

    def open(self) -> Self:
        """Open the profile, as a new process would."""
        self.profile = Profile.open(self.config)
        self.mailroom = Mailroom(self.profile, os.urandom)
        self.stock = PrekeyStock(self.profile.store, self.profile.device, os.urandom)
        self.stock.rotate(now_seconds())
        return self

    def close(self) -> None:
        self.profile.close()

    def reopen(self) -> Self:
        """End and begin again: only what was committed is left."""
        self.close()
        return self.open()

    @property
    def mailbox(self) -> bytes:
        return self.profile.device.key

    # --- what a relay would do ---------------------------------------------------------------------

    def _newest(self, kind: PrekeyKind) -> bytes:
        sql = "SELECT public FROM prekeys WHERE kind = ? ORDER BY id DESC LIMIT 1"
        return bytes(self.profile.store.db.execute(sql, (kind,)).get)

    def _take(self, kind: PrekeyKind) -> bytes | None:
        sql = "SELECT public FROM prekeys WHERE kind = ? AND id > ? ORDER BY id LIMIT 1"
        found = self.profile.store.db.execute(sql, (kind, self._next_bundle[kind])).get
        if found is None:
            return None
        public = bytes(found)
        self._next_bundle[kind] = decode_prekey(public).id
        return public

    def bundle(self, *, one_time: bool = True) -> Bundle:
        """What a relay would answer to a fetch; each one-time key is handed out once."""
        kem = PrekeyKind.LAST_RESORT_KEM
        prekeys = [self._newest(kind) for kind in (PrekeyKind.SIGNED, PrekeyKind.SEALING, kem)]
        if one_time:
            if not self.profile.store.db.execute("SELECT 1 FROM prekeys WHERE kind = 3").get:
                self.stock.top_up(EMPTY_STOCK, now_seconds())
            kem_prekey, prekey = self._take(PrekeyKind.ONE_TIME_KEM), self._take(PrekeyKind.ONE_TIME)
            prekeys = [*prekeys[:2], kem_prekey or prekeys[2], *([prekey] if prekey else [])]
        offered = OfferedDevice(device_key=self.mailbox, prekeys=prekeys)
        return Bundle(ref=0, device_list=self.profile.device_list.encode(), devices=[offered])

    def deliver(self, puts: Iterable[Put]) -> list[Deliver]:
        """Frames as the relay hands them to this device."""
        frames = []
        for put in puts:
            self._delivered += 1
            frames.append(Deliver(put.frame_id, self.mailbox, self._delivered, 0, put.envelope))
        return frames

    def take_in(self, *puts: Put) -> None:
        frames = self.deliver(puts)
        while frames:
            del frames[: self.mailroom.take_in(frames)]

    # --- what a person would do --------------------------------------------------------------------

    def add(self, other: "Home") -> ContactRow:
        """Add the other as a contact, and say what was owed since."""
        added = self.mailroom.contacts.add(other.name, other.profile.address)
        self.mailroom.contacts.owe_receipts(added)
        return added

    def contact(self, other: "Home") -> ContactRow:
        """The contact as it is now."""
        row = self.mailroom.contacts.by_account(other.profile.account.key)
        assert row is not None
        return row

    def meet(self, other: "Home", *, one_time: bool = True) -> None:
        """Add the other and begin a session from its bundle."""
        self.add(other)
        self.mailroom.learn_bundle(self.contact(other), other.bundle(one_time=one_time))
        self.mailroom.seal_waiting(self.contact(other).id)

    def say(self, other: "Home", text: str) -> bytes:
        """Queue a text; returns its id."""
        return self.mailroom.post(self.contact(other), Kind.TEXT, text.encode())

    def waiting(self, other: "Home") -> list[Put]:
        """The frames on their way to the other, oldest first."""
        frames = self.mailroom.outbox.frames(self.contact(other).id, 0, 100_000)
        return [item.frame for item in frames]

    def send(self, other: "Home") -> list[Put]:
        """Everything on its way to the other, accepted by the relay."""
        puts = self.waiting(other)
        self.mailroom.frame_accepted([put.frame_id for put in puts])
        return puts

    def heard(self, *, at_ms: int | None = None) -> list[Message]:
        """What an application would be handed now, one after the other."""
        messages = []
        when = now_ms() if at_ms is None else at_ms
        while (found := self.mailroom.history.next_message(when)) is not None:
            row, message = found
            with self.profile.store.transaction():
                self.mailroom.history.offered(row)
                self.mailroom.history.taken(row)
            messages.append(message)
        return messages

    def texts(self, *, at_ms: int | None = None) -> list[str]:
        return [message.text for message in self.heard(at_ms=at_ms)]


def converse(one: Home, other: Home) -> None:
    """Bring both to an answered session: each has heard the other, and nothing is on its way."""
    one.meet(other)
    other.add(one)
    one.say(other, "hello")
    other.take_in(*one.send(other))
    other.say(one, "hello back")
    one.take_in(*other.send(one))
    assert one.texts() == ["hello back"]
    assert other.texts() == ["hello"]
