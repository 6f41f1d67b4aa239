"""What went wrong with a device: what is owed to it, and how often that may be.

Owns the repairs table: one row for a device and a kind of repair, whose next time moves further away each
time, from half a minute to a day, and comes near again after a quiet day. Every call runs inside a
transaction that its caller opened. Knows nothing of what a repair does.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from clients.store.store import Store

WAITS: Final = (30, 120, 480, 1920, 7680, 30_720, 86_400)  # seconds until the same may happen again
QUIET: Final = 86_400  # seconds after which the waits begin anew
# A time that lies further ahead was set by a clock that was wrong.
_MAY: Final = "(not_before <= ?1 OR not_before > ?1 + 86400)"

_OF_CONTACTS: Final = "JOIN devices d ON d.device_key = r.device_key JOIN contacts c ON c.id = d.contact"


class Fault(StrEnum):
    """What is to be mended, or granted, with one device."""

    SESSION = "session"  # what it sends cannot be decrypted: a new session is to be begun
    GAP = "gap"  # something that it sent is missing: it is to be asked for it
    AGAIN = "again"  # it lacks something: it is granted to be sent that again
    RENEWED = "renewed"  # it has begun a new session: what it lacks is encrypted anew for that
    RECEIPT = "receipt"  # it repeats what has arrived: it is granted another receipt


class Repairs:
    """The repairs of a profile."""

    def __init__(self, store: Store) -> None:
        self._db = store.db

    def owe(self, device_key: bytes, fault: Fault) -> None:
        """A repair is due, now or when it may be."""
        self._db.execute(
            "INSERT INTO repairs (device_key, what, due) VALUES (?, ?, 1) "
            "ON CONFLICT (device_key, what) DO UPDATE SET due = 1",
            (device_key, fault),
        )

    def forget_others(self, contact: int, device_keys: Sequence[bytes]) -> None:
        """Nothing is owed to devices of a contact that are none any more."""
        keep = ", ".join("?" * len(device_keys))
        self._db.execute(
            f"DELETE FROM repairs WHERE device_key NOT IN ({keep}) "  # noqa: S608 marks
            "AND device_key IN (SELECT device_key FROM devices WHERE contact = ?)",
            (*device_keys, contact),
        )

    def is_due(self, device_key: bytes, fault: Fault, now: int) -> bool:
        """Whether a repair is owed and may be done now."""
        query = f"SELECT 1 FROM repairs WHERE device_key = ?2 AND what = ?3 AND due = 1 AND {_MAY}"  # noqa: S608 our own words
        return self._db.execute(query, (now, device_key, fault)).get is not None

    def due(self, fault: Fault, now: int) -> list[tuple[int, bytes]]:
        """(contact, device) of approved contacts whose repair may be done now."""
        rows = self._db.execute(
            f"SELECT d.contact, r.device_key FROM repairs r {_OF_CONTACTS} "  # noqa: S608 our own words
            f"WHERE r.what = ?2 AND r.due = 1 AND {_MAY} AND c.status = 'approved' AND c.alarm IS NULL",
            (now, fault),
        )
        return [(int(row[0]), bytes(row[1])) for row in rows]

    def done(self, device_key: bytes, fault: Fault, now: int) -> None:
        """It is mended, and may be again after the next wait."""
        count = self._db.execute(
            "SELECT iif(not_before + ?4 < ?3, 0, count) FROM repairs WHERE device_key = ?1 AND what = ?2",
            (device_key, fault, now, QUIET),
        ).get
        count = int(count or 0)
        self._db.execute(
            "INSERT INTO repairs VALUES (?1, ?2, 0, ?3, ?4) "
            "ON CONFLICT (device_key, what) DO UPDATE SET due = 0, count = ?3, not_before = ?4",
            (device_key, fault, count + 1, now + WAITS[min(count, len(WAITS) - 1)]),
        )

    def grant(self, device_key: bytes, fault: Fault, now: int) -> bool:
        """Whether it may be done now; if so, it counts as done."""
        query = f"SELECT {_MAY} FROM repairs WHERE device_key = ?2 AND what = ?3"  # noqa: S608 our own words
        may = self._db.execute(query, (now, device_key, fault)).get
        if may == 0:
            return False
        self.done(device_key, fault, now)
        return True
