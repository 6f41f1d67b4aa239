"""Our own prekeys: when to make, publish, replace and forget them.

Owns the schedule of DESIGN section 6: signed, sealing and last-resort keys change weekly and their private
halves live 60 days past replacement; one-time keys are topped up to 100 when the relay has fewer than 25.
Everything is stored before it is published. Knows no sockets.
"""

from typing import Final

from clients.store.store import Store
from keys.identities import Device
from keys.prekeys import generate_prekey
from keys.primitives import Random
from wire.control import Stock
from wire.limits import (
    CLOCK_SKEW,
    ONE_TIME_LOW,
    ONE_TIME_PUBLISHED,
    PREKEYS_PER_PAGE,
    PRIVATE_PREKEY_KEEP,
    SIGNED_PREKEY_ROTATE,
)
from wire.prekeys import LASTING_KINDS, PrekeyKind, decode_prekey

PrekeyPage = list[tuple[PrekeyKind, int, bytes]]  # kind, id, canonical bytes
SKIP_EVERY: Final = 8 * 3600  # seconds
SKIP: Final = 1000  # ids: more than are published in a month
ID_MAX: Final = 2**32 - 2**20  # where skipping ends, with room for ids that are used
ONE_TIME_PRIVATES_MAX: Final = 2000  # per kind: what others took and never used is forgotten, oldest first


class PrekeyStock:
    """The prekeys of one device."""

    def __init__(self, store: Store, device: Device, random: Random) -> None:
        self._store = store
        self._device = device
        self._random = random

    def rotate(self, now: int) -> None:
        """Make what is missing or over a week old; forget privates 60 days after replacement."""
        with self._store.transaction() as db:
            for kind in LASTING_KINDS:
                newest = db.execute(
                    "SELECT public FROM prekeys WHERE kind = ? ORDER BY id DESC LIMIT 1", (kind,)
                ).get
                made = None if newest is None else decode_prekey(bytes(newest)).created
                # One from the future was made while this computer's clock was wrong: nobody believes it.
                if made is None or not now - SIGNED_PREKEY_ROTATE < made <= now + CLOCK_SKEW:
                    db.execute(
                        "UPDATE prekeys SET replaced = ? WHERE kind = ? AND replaced IS NULL", (now, kind)
                    )
                    self._make(kind, now)
            db.execute("DELETE FROM prekeys WHERE replaced < ?", (now - PRIVATE_PREKEY_KEEP,))

    def publish_again(self) -> None:
        """The relay does not know this device (any more): it needs the lasting keys once more.

        One-time keys are not repeated, because it may have handed them out; new ones are made.
        """
        with self._store.transaction() as db:
            db.execute("UPDATE prekeys SET published = 0 WHERE replaced IS NULL AND kind NOT IN (3, 5)")

    def begin_anew(self, now: int) -> None:
        """The private halves of what was published last are lost: publish others in place of all of it.

        The ids to go on with are in the store already. What we still hold stays, for what is on its way.
        """
        with self._store.transaction() as db:
            db.execute("DELETE FROM prekeys WHERE published = 0 AND kind IN (3, 5)")
            db.execute("UPDATE prekeys SET published = 1, replaced = coalesce(replaced, ?)", (now,))
            for kind in LASTING_KINDS:
                self._make(kind, now)
            self._store.set_meta("publish_anew", b"\1")

    @property
    def is_anew(self) -> bool:
        """Whether the next page takes the place of everything before."""
        return self._store.meta("publish_anew") == b"\1"

    def skip_ahead(self, now: int) -> None:
        """The relay says that it has others under our next ids: leave them behind, at most every 8 hours."""
        skipped = int.from_bytes(self._store.meta("skipped_ahead") or b"", "big")
        if skipped <= now < skipped + SKIP_EVERY:
            return
        with self._store.transaction():
            self._store.set_meta("skipped_ahead", now.to_bytes(8, "big"))
            for kind in PrekeyKind:
                name = f"next_prekey_{kind.value}"
                next_id = int.from_bytes(self._store.meta(name) or b"\x01", "big") + SKIP
                self._store.set_meta(name, max(next_id - SKIP, min(next_id, ID_MAX)).to_bytes(4, "big"))
            self.begin_anew(now)

    def top_up(self, stock: Stock, now: int) -> bool:
        """Make one-time keys of each kind up to 100 if the relay holds fewer than 25; whether it did."""
        made = False
        with self._store.transaction() as db:
            for kind, count in (
                (PrekeyKind.ONE_TIME, stock.one_time),
                (PrekeyKind.ONE_TIME_KEM, stock.one_time_kem),
            ):
                waiting = int(
                    db.execute("SELECT count(*) FROM prekeys WHERE kind = ? AND published = 0", (kind,)).get
                )
                if count + waiting < ONE_TIME_LOW:
                    made = True
                    for _ in range(ONE_TIME_PUBLISHED - count - waiting):
                        self._make(kind, now)
                db.execute(
                    "DELETE FROM prekeys WHERE kind = ?1 "
                    "AND id <= (SELECT max(id) FROM prekeys WHERE kind = ?1) - ?2",
                    (kind, ONE_TIME_PRIVATES_MAX),
                )
        return made

    def _make(self, kind: PrekeyKind, now: int) -> None:
        """A new prekey with an id never used before, even if the keys before it are gone."""
        name = f"next_prekey_{kind.value}"
        id = int.from_bytes(self._store.meta(name) or b"\x01", "big")
        self._store.set_meta(name, (id + 1).to_bytes(4, "big"))
        prekey = generate_prekey(self._device, kind, id, now, self._random)
        self._store.db.execute(
            "INSERT INTO prekeys (kind, id, private, public) VALUES (?, ?, ?, ?)",
            (kind, id, prekey.private, prekey.public.encode()),
        )

    def unpublished(self) -> PrekeyPage:
        """One page that the relay has not confirmed yet, lasting kinds first: (kind, id, canonical bytes)."""
        rows = self._store.db.execute(
            "SELECT kind, id, public FROM prekeys WHERE published = 0 AND replaced IS NULL "
            "ORDER BY kind IN (3, 5), id LIMIT ?",
            (PREKEYS_PER_PAGE,),
        )
        return [(PrekeyKind(row[0]), int(row[1]), bytes(row[2])) for row in rows]

    def mark_published(self, page: PrekeyPage) -> None:
        """The relay has confirmed this page."""
        with self._store.transaction() as db:
            self._store.set_meta("publish_anew", b"\0")
            for kind, id, _ in page:
                db.execute("UPDATE prekeys SET published = 1 WHERE kind = ? AND id = ?", (kind, id))
