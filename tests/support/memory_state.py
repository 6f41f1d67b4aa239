"""A twin of the engine's state, held in memory: what `clients.store.state` keeps in tables.

A dataclass of plain values, so that a test can compare the whole state before and after, and put it back as
a rolled back transaction would.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

from clients.engine import Engine
from clients.past import Place
from keys.handshake import Party
from keys.identities import Account, Device
from keys.prekeys import PrivatePrekey, generate_prekey
from keys.primitives import Random
from keys.sessions import Sessions
from wire.device_lists import DeviceList
from wire.prekeys import DeviceBundle, Prekey, PrekeyKind


@dataclass
class MemoryState:
    """Implements `clients.engine_state.State`."""

    stream: bytes = b""
    lists: dict[bytes, DeviceList] = field(default_factory=dict)
    own_lists: dict[int, DeviceList] = field(default_factory=dict)
    by_device: dict[bytes, Sessions] = field(default_factory=dict)
    sequences: dict[bytes, int] = field(default_factory=dict)
    sealing: dict[bytes, Prekey] = field(default_factory=dict)
    signed: dict[bytes, int] = field(default_factory=dict)
    told: dict[bytes, int] = field(default_factory=dict)
    repaired: dict[bytes, Place] = field(default_factory=dict)
    handshakes: set[bytes] = field(default_factory=set)
    prekeys: dict[tuple[PrekeyKind, int], PrivatePrekey] = field(default_factory=dict)

    def party(self, device_key: bytes) -> Party | None:
        for devices in self.lists.values():
            if (entry := devices.entry(device_key)) is not None:
                return Party(devices, entry)
        return None

    def owner(self, device_key: bytes) -> bytes | None:
        party = self.party(device_key)
        return None if party is None else party.devices.account_key

    def pinned(self, account_key: bytes) -> DeviceList | None:
        return self.lists.get(account_key)

    def pin(self, devices: DeviceList) -> None:
        self.lists[devices.account_key] = devices

    def own_list(self, version: int) -> DeviceList | None:
        return self.own_lists.get(version)

    def sessions(self, device_key: bytes) -> Sessions:
        return self.by_device.get(device_key, Sessions())

    def save_sessions(self, device_key: bytes, sessions: Sessions) -> None:
        self.by_device[device_key] = sessions

    def last_repair(self, device_key: bytes) -> Place | None:
        return self.repaired.get(device_key)

    def save_repair(self, device_key: bytes, place: Place) -> None:
        self.repaired[device_key] = place

    def next_sequence(self, device_key: bytes, count: int = 1) -> int:
        self.sequences[device_key] = self.sequences.get(device_key, 0) + count
        return self.sequences[device_key] - count + 1

    def sealing_key(self, device_key: bytes) -> bytes | None:
        known = self.sealing.get(device_key)
        return None if known is None else known.key

    def learn_sealing(self, device_key: bytes, prekey: Prekey, *, is_only: bool = False) -> None:
        known = self.sealing.get(device_key)
        if known is None or is_only or known.id < prekey.id:
            self.sealing[device_key] = prekey

    def newest_signed(self, device_key: bytes) -> int:
        return self.signed.get(device_key, 0)

    def learn_signed(self, device_key: bytes, id: int) -> None:
        self.signed[device_key] = max(id, self.newest_signed(device_key))

    def own_sealing(self) -> Prekey:
        return self.newest(PrekeyKind.SEALING)

    def sealing_news(self, device_key: bytes) -> Prekey | None:
        current = self.own_sealing()
        if self.told.get(device_key, 0) >= current.id:
            return None
        self.told[device_key] = current.id
        return current

    def sealing_privates(self) -> Sequence[bytes]:
        held = [prekey for (kind, _), prekey in self.prekeys.items() if kind is PrekeyKind.SEALING]
        return [prekey.private for prekey in sorted(held, key=lambda prekey: -prekey.public.id)]

    def private_prekey(self, kind: PrekeyKind, id: int) -> PrivatePrekey | None:
        return self.prekeys.get((kind, id))

    def spend_prekey(self, kind: PrekeyKind, id: int) -> None:
        self.prekeys.pop((kind, id), None)

    def spend_handshake(self, id: bytes) -> bool:
        is_new = id not in self.handshakes
        self.handshakes.add(id)
        return is_new

    # --- for tests ---------------------------------------------------------------------------------

    def newest(self, kind: PrekeyKind) -> Prekey:
        return max((p.public for (k, _), p in self.prekeys.items() if k is kind), key=lambda p: p.id)

    def copy(self) -> "MemoryState":
        """The state as it is now; the values in it never change."""
        return MemoryState(**{name: copy.copy(value) for name, value in vars(self).items()})


class Speaker:
    """Somebody with an engine, one device and prekeys of every kind; ids of one-time keys from 1 to 9."""

    def __init__(self, random: Random, now: int) -> None:
        self.random = random
        self.account, self.device = Account.generate(random), Device.generate(random, now)
        self.devices = self.account.sign_device_list((self.device.entry(self.account.key),), now)
        self.stream = random(16)
        self.state = MemoryState(own_lists={1: self.devices}, stream=self.stream)
        for kind in PrekeyKind:
            for id in range(1, 10 if kind in (PrekeyKind.ONE_TIME, PrekeyKind.ONE_TIME_KEM) else 2):
                made = generate_prekey(self.device, kind, id, now, random)
                self.state.prekeys[kind, id] = made
        self._public = {place: prekey.public for place, prekey in self.state.prekeys.items()}
        self.restore(self.state)

    def restore(self, state: MemoryState) -> None:
        """Go on from this state, as after a transaction that was rolled back."""
        self.state = state
        self.engine = Engine(self.device, state, self.random)

    @property
    def key(self) -> bytes:
        return self.device.key

    @property
    def party(self) -> Party:
        return Party(self.devices, self.devices.devices[0])

    def bundle(self, id: int = 1, *, one_time: bool = True) -> DeviceBundle:
        """What a relay would hand out; `id` chooses among the one-time keys."""
        kem = (PrekeyKind.ONE_TIME_KEM, id) if one_time else (PrekeyKind.LAST_RESORT_KEM, 1)
        return DeviceBundle(
            self.key,
            self._public[PrekeyKind.SIGNED, 1],
            self._public[PrekeyKind.SEALING, 1],
            self._public[kem],
            self._public[PrekeyKind.ONE_TIME, id] if one_time else None,
        )

    def approach(self, other: "Speaker", now: int, bundle: DeviceBundle | None = None) -> None:
        """Believe the other's list and begin a session from its bundle."""
        self.state.pin(other.devices)
        self.engine.learn_bundle(other.party, bundle or other.bundle(), now)
        self.engine.start_session(self.devices, other.party, bundle or other.bundle(), now)
