"""Somebody with keys of its own who would like to pass for a device of somebody else.

Owns keys, prekeys and an engine (the real one, over memory), and forged public halves. Knows no relay:
attacks hand it over what an evil one shows and sees.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Self

from clients import clock
from keys.errors import DecryptError
from keys.primitives import sign
from tests.attacks.attack import Succeeded
from tests.support.memory_state import Speaker
from wire.control import Bundle, OfferedDevice
from wire.device_lists import NO_PREVIOUS, DeviceEntry, DeviceList
from wire.frames import Put
from wire.prekeys import DeviceBundle


class Impostor(Speaker):
    """An attacker with a device. What it reads, it remembers."""

    def __init__(self) -> None:
        super().__init__(os.urandom, clock.now_seconds())
        self.read: list[str] = []
        self._looked_at: set[bytes] = set()

    @classmethod
    def of(cls, account_key: bytes, *beside: DeviceEntry, after: DeviceList | None = None) -> Self:
        """One with a device list for somebody else's account, signed with a key that is not the account's."""
        made = cls()
        made.forge(account_key, *beside, after=after, seed=made.account.seed)
        return made

    def forge(
        self, account_key: bytes, *beside: DeviceEntry, seed: bytes, after: DeviceList | None = None
    ) -> DeviceList:
        """A list of that account with our device in it, signed by `seed`, whoever that belongs to."""
        version, before = (1, NO_PREVIOUS) if after is None else (after.version + 1, after.hash())
        entries = sorted((self.device.entry(account_key), *beside), key=lambda entry: entry.device_key)
        unsigned = DeviceList(account_key, version, before, clock.now_seconds(), tuple(entries), b"")
        self.devices = replace(unsigned, signature=sign(seed, unsigned.signed_bytes()))
        self.state.own_lists[version] = self.devices
        return self.devices

    def offered(self, bundle: DeviceBundle | None = None) -> OfferedDevice:
        """Our device as a relay hands it out."""
        prekeys = [prekey.encode() for prekey in (bundle or self.bundle()).prekeys()]
        return OfferedDevice(device_key=self.key, prekeys=prekeys)

    def shown(self, ref: int, *beside: OfferedDevice) -> Bundle:
        """Our list, and our device beside others, as a relay's answer."""
        return Bundle(ref=ref, device_list=self.devices.encode(), devices=[*beside, self.offered()])

    def reads(self, puts: Iterable[Put], text: str) -> Succeeded | None:
        """Whether that text was in anything that came for our device."""
        for put in puts:
            if put.mailbox != self.key or put.frame_id in self._looked_at:
                continue
            self._looked_at.add(put.frame_id)
            try:
                received = self.engine.open(put.envelope, clock.now_seconds())
            except DecryptError:
                continue
            self.read.append(received.content.body.decode("utf-8", "replace"))
        return Succeeded("the relay reads the message") if text in self.read else None
