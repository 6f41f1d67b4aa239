"""What the engine remembers, kept in the profile's store.

Owns the tables of keys: own lists, prekeys, devices, sessions, handshakes. Every call runs inside a
transaction that its caller opened. Implements `clients.engine_state.State`.
"""

from collections.abc import Sequence
from typing import Any, Final

from clients.past import Place
from clients.store.known import known_list, known_prekey
from clients.store.store import Store
from keys.content import STREAM_ID
from keys.handshake import Party
from keys.prekeys import PrivatePrekey
from keys.sessions import Sessions
from wire.binary import Reader, u64
from wire.device_lists import DeviceList
from wire.limits import CLOCK_SKEW, SIGNED_PREKEY_ROTATE
from wire.prekeys import Prekey, PrekeyKind

READ_MAX: Final = 64  # devices whose sessions need not be read again


def _is_recent(prekey: Prekey, known: Prekey) -> bool:
    """Whether a prekey cannot be one that its owner has deleted by now."""
    return prekey.created >= known.created - SIGNED_PREKEY_ROTATE - CLOCK_SKEW


class KeyState:
    """The engine's state of one profile."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db
        # Device: the record and what it says. The store decides: what was rolled back is no longer there.
        self._read: dict[bytes, tuple[bytes, Sessions]] = {}

    @property
    def stream(self) -> bytes:
        """The 16-byte stream id of this store's life."""
        return self._store.meta("stream") or b""

    def _value(self, sql: str, *arguments: bytes | int | str) -> bytes | None:
        value = self._db.execute(sql, arguments).get
        return None if value is None else bytes(value)

    # --- life of the store ----------------------------------------------------------------------------

    def next_prekeys(self) -> tuple[int, ...]:
        """The id of the next prekey of each kind."""
        return tuple(self._number(f"next_prekey_{kind.value}") for kind in PrekeyKind)

    def _number(self, name: str) -> int:
        return int.from_bytes(self._store.meta(name) or b"", "big")

    def begin_stream(self, stream: bytes) -> None:
        """Go on in another stream, whose sequences begin at 1 with each device."""
        self._store.set_meta("stream", stream)
        self._db.execute("DELETE FROM sequences")
        self._db.execute("UPDATE devices SET read_ours = 0")

    def lose_sessions(self, next_prekeys: tuple[int, ...]) -> None:
        """Drop all sessions, and go on with prekey ids that were not reached in between."""
        for kind, mine, used in zip(PrekeyKind, self.next_prekeys(), next_prekeys, strict=True):
            self._store.set_meta(f"next_prekey_{kind.value}", max(mine, used).to_bytes(4, "big"))
        self._db.execute("UPDATE devices SET sessions = NULL, told_sealing = 0, told_card = 0")
        self._read.clear()

    # --- device lists ---------------------------------------------------------------------------------

    def pinned(self, account_key: bytes) -> DeviceList | None:
        """The device list last believed for an account."""
        encoded = self._value("SELECT device_list FROM contacts WHERE account_key = ?", account_key)
        return None if encoded is None else known_list(encoded)

    def party(self, device_key: bytes) -> Party | None:
        """A device of a known account, or None if its pinned list does not (or no longer) hold it."""
        encoded = self._value(
            "SELECT c.device_list FROM devices d JOIN contacts c ON c.id = d.contact WHERE d.device_key = ?",
            device_key,
        )
        if encoded is None:
            return None
        devices = known_list(encoded)
        entry = devices.entry(device_key)
        return None if entry is None else Party(devices, entry)

    def owner(self, device_key: bytes) -> bytes | None:
        """The account under which a device was met first, also if it is no longer in its list."""
        return self._value(
            "SELECT c.account_key FROM devices d JOIN contacts c ON c.id = d.contact WHERE d.device_key = ?",
            device_key,
        )

    def pin(self, devices: DeviceList) -> None:
        """Believe a verified list. An account never heard of is listed nowhere before its first message."""
        self._db.execute(
            "INSERT INTO contacts (name, account_key, relay, status) VALUES (?, ?, '', 'removed') "
            "ON CONFLICT (account_key) DO NOTHING",
            (f"removed-{devices.account_key.hex()}", devices.account_key),
        )
        self._db.execute(
            "UPDATE contacts SET device_list = ? WHERE account_key = ?",
            (devices.encode(), devices.account_key),
        )
        for entry in devices.devices:
            self._db.execute(
                "INSERT INTO devices (device_key, contact) "
                "SELECT ?, id FROM contacts WHERE account_key = ? ON CONFLICT DO NOTHING",
                (entry.device_key, devices.account_key),
            )

    def own_list(self, version: int) -> DeviceList | None:
        """A version of our own device list."""
        encoded = self._value("SELECT device_list FROM own_lists WHERE version = ?", min(version, 2**63 - 1))
        return None if encoded is None else known_list(encoded)

    # --- sessions -------------------------------------------------------------------------------------

    def sessions(self, device_key: bytes) -> Sessions:
        """All sessions with a device."""
        record = self._value("SELECT sessions FROM devices WHERE device_key = ?", device_key)
        if record is None:
            self._read.pop(device_key, None)
            return Sessions()
        known, sessions = self._read.get(device_key, (b"", None))
        if sessions is None or known != record:
            sessions = self._remember(device_key, record, Sessions.from_record(record))
        return sessions

    def save_sessions(self, device_key: bytes, sessions: Sessions) -> None:
        """Keep them."""
        record = sessions.to_record()
        self._db.execute("UPDATE devices SET sessions = ? WHERE device_key = ?", (record, device_key))
        self._remember(device_key, record, sessions)

    def _remember(self, device_key: bytes, record: bytes, sessions: Sessions) -> Sessions:
        """Spare the reading of what was read or written last; what was before that is not kept alive."""
        self._read.pop(device_key, None)
        if len(self._read) >= READ_MAX:
            del self._read[next(iter(self._read))]
        self._read[device_key] = record, sessions
        return sessions

    def tidy_sessions(self, now: int) -> None:
        """Let old sessions and old message keys die, in memory too."""
        self._read.clear()
        since = self.held_since(PrekeyKind.SEALING, now)
        signed = self._privates(PrekeyKind.SIGNED)
        rows: list[tuple[Any, ...]] = self._db.execute(
            "SELECT device_key FROM devices WHERE sessions IS NOT NULL"
        ).fetchall()
        for (device_key,) in rows:
            self.save_sessions(device_key, self.sessions(device_key).tidied(now, since, signed))

    def last_repair(self, device_key: bytes) -> Place | None:
        """The newest REPAIR of a device, if there was one."""
        record = self._value("SELECT repaired FROM devices WHERE device_key = ?", device_key)
        if record is None:
            return None
        reader = Reader(record, "last repair")
        return Place(reader.take(STREAM_ID), reader.u64(), reader.u64())

    def save_repair(self, device_key: bytes, place: Place) -> None:
        """Keep it."""
        record = place.stream_id + u64(place.sequence) + u64(place.sent_ms)
        self._db.execute("UPDATE devices SET repaired = ? WHERE device_key = ?", (record, device_key))

    def next_sequence(self, device_key: bytes, count: int = 1) -> int:
        """Reserve the next sequences of our stream to a device, from 1; returns the first of them."""
        after = self._db.execute(
            "INSERT INTO sequences VALUES (?1, 1 + ?2) "
            "ON CONFLICT DO UPDATE SET next = next + ?2 RETURNING next",
            (device_key, count),
        ).get
        return int(after) - count

    def last_sequence(self, device_key: bytes) -> int:
        """The last sequence of our stream to a device, 0 for none."""
        after = self._db.execute("SELECT next FROM sequences WHERE device_key = ?", (device_key,)).get
        return int(after or 1) - 1

    def devices_of_contacts(self) -> list[bytes]:
        """The devices of approved contacts whose keys we have."""
        rows = self._db.execute(
            "SELECT d.device_key FROM devices d JOIN contacts c ON c.id = d.contact "
            "WHERE c.status = 'approved' AND c.alarm IS NULL AND c.device_list IS NOT NULL"
        )
        return [bytes(row[0]) for row in rows]

    def spend_handshake(self, id: bytes) -> bool:
        """Remember an accepted handshake; False if it was accepted before (a replay)."""
        self._db.execute("INSERT INTO handshakes VALUES (?, unixepoch()) ON CONFLICT DO NOTHING", (id,))
        return self._db.changes() == 1

    def forget_handshakes(self, now: int) -> None:
        """Drop those older than every signed prekey still held: a replay could not be accepted anyway."""
        self._db.execute("DELETE FROM handshakes WHERE at < ?", (self.held_since(PrekeyKind.SIGNED, now),))

    def held_since(self, kind: PrekeyKind, now: int) -> int:
        """When the oldest prekey of a kind that we still hold was made, less a day for a wrong clock.

        The beginning of time while one is held that was made when the clock was ahead: nobody knows when.
        """
        rows = self._db.execute("SELECT public FROM prekeys WHERE kind = ?", (kind,))
        made = [known_prekey(bytes(row[0])).created for row in rows]
        return 0 if max(made, default=now) > now + CLOCK_SKEW else min(made, default=now) - CLOCK_SKEW

    # --- prekeys of others ----------------------------------------------------------------------------

    def sealing_key(self, device_key: bytes) -> bytes | None:
        """The newest known sealing key of a device."""
        encoded = self._value("SELECT sealing FROM devices WHERE device_key = ?", device_key)
        return None if encoded is None else known_prekey(encoded).key

    def sealing_known(self, device_key: bytes) -> int | None:
        """When the sealing key of a device was made, or last seen at its relay: Unix seconds."""
        row = self._db.execute(
            "SELECT sealing, refreshed FROM devices WHERE device_key = ?", (device_key,)
        ).fetchone()
        if row is None or row[0] is None:
            return None
        return max(known_prekey(bytes(row[0])).created, int(row[1]))

    def refreshed(self, device_key: bytes, now: int) -> None:
        """The relay has just shown this device's newest keys."""
        self._db.execute("UPDATE devices SET refreshed = ? WHERE device_key = ?", (now, device_key))

    def learn_sealing(self, device_key: bytes, prekey: Prekey, *, is_only: bool = False) -> None:
        """Keep a verified sealing prekey if it is newer than the known one, or the only one that is left."""
        known = self._value("SELECT sealing FROM devices WHERE device_key = ?", device_key)
        if (
            known is None
            or (is_only and _is_recent(prekey, known_prekey(known)))
            or known_prekey(known).id < prekey.id
        ):
            self._db.execute(
                "UPDATE devices SET sealing = ? WHERE device_key = ?", (prekey.encode(), device_key)
            )

    def newest_signed(self, device_key: bytes) -> int:
        """The highest id of a signed prekey seen from a device, 0 for none."""
        return int(
            self._db.execute("SELECT newest_signed FROM devices WHERE device_key = ?", (device_key,)).get or 0
        )

    def learn_signed(self, device_key: bytes, id: int) -> None:
        """Remember it."""
        self._db.execute(
            "UPDATE devices SET newest_signed = max(newest_signed, ?) WHERE device_key = ?", (id, device_key)
        )

    # --- our card -------------------------------------------------------------------------------------

    def told_card(self, device_key: bytes) -> int:
        """The version of our card that a device was told, 0 for none."""
        return int(
            self._db.execute("SELECT told_card FROM devices WHERE device_key = ?", (device_key,)).get or 0
        )

    def card_told(self, device_key: bytes, version: int, now: int) -> None:
        """Our card is on its way to this device."""
        self._db.execute(
            "UPDATE devices SET told_card = ?, told_card_at = ? WHERE device_key = ?",
            (version, now, device_key),
        )

    def without_card(self, version: int) -> list[tuple[int, bytes]]:
        """(contact, device) of approved contacts that we have a session with, and that have an older card."""
        rows = self._db.execute(
            "SELECT d.contact, d.device_key FROM devices d JOIN contacts c ON c.id = d.contact "
            "WHERE d.told_card < ? AND d.sessions IS NOT NULL AND c.status = 'approved' AND c.alarm IS NULL",
            (version,),
        )
        return [(int(row[0]), bytes(row[1])) for row in rows]

    def forget_card(self, device_key: bytes, told_before: int, now: int) -> bool:
        """Count our card as not told to this device, unless that was after `told_before`; whether it was so.

        What was told in the future was told by a clock that was wrong.
        """
        self._db.execute(
            "UPDATE devices SET told_card = 0 WHERE device_key = ?1 AND told_card > 0 "
            "AND (told_card_at < ?2 OR told_card_at > ?3)",
            (device_key, told_before, now),
        )
        return self._db.changes() == 1

    # --- our own prekeys ------------------------------------------------------------------------------

    def own_sealing(self) -> Prekey:
        """Our current sealing prekey."""
        encoded = self._value(
            "SELECT public FROM prekeys WHERE kind = ? ORDER BY id DESC LIMIT 1", PrekeyKind.SEALING
        )
        assert encoded is not None
        return known_prekey(encoded)

    def sealing_news(self, device_key: bytes) -> Prekey | None:
        """Our sealing prekey if this device has not been told yet; counts as told from now on."""
        current = self.own_sealing()
        self._db.execute(
            "UPDATE devices SET told_sealing = ?1 WHERE device_key = ?2 AND told_sealing < ?1",
            (current.id, device_key),
        )
        return current if self._db.changes() else None

    def sealing_privates(self) -> Sequence[bytes]:
        """Our private sealing keys, newest first."""
        return self._privates(PrekeyKind.SEALING)

    def _privates(self, kind: PrekeyKind) -> list[bytes]:
        rows = self._db.execute("SELECT private FROM prekeys WHERE kind = ? ORDER BY id DESC", (kind,))
        return [bytes(row[0]) for row in rows]

    def private_prekey(self, kind: PrekeyKind, id: int) -> PrivatePrekey | None:
        """One of our prekeys, if we still hold it."""
        row = self._db.execute(
            "SELECT private, public FROM prekeys WHERE kind = ? AND id = ?", (kind, id)
        ).fetchone()
        return None if row is None else PrivatePrekey(bytes(row[0]), known_prekey(bytes(row[1])))

    def spend_prekey(self, kind: PrekeyKind, id: int) -> None:
        """Delete a one-time private key: its session is accepted."""
        self._db.execute("DELETE FROM prekeys WHERE kind = ? AND id = ?", (kind, id))
