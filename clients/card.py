"""Our card: what we give to contacts, so that they reach us, see us and know what we call ourselves.

Owns the tokens table and the values of the card in `meta`: our display name, the delivery tokens that a relay
shall take (one for contacts, one in the address line, and those before), the presence capability, what
contacts may learn of us unless said otherwise for one, and how long notes wait. Every method is one
transaction. Knows no contact: who was told which version is in the devices table.
"""

from dataclasses import dataclass, field
from typing import Final

from clients import delays
from clients.errors import UsageError
from clients.model import Sharing
from clients.store.store import Store
from keys.primitives import Random
from wire.capabilities import presence_capability
from wire.limits import MAILBOX_TTL, TOKEN, TOKENS_MAX

PREVIOUS_KEEP: Final = MAILBOX_TTL + 7 * 86_400  # seconds: a contact that was away so long still gets through
DISPLAY_NAME_MAX: Final = 64
_CONTACTS: Final = "contacts"
_ADDRESS: Final = "address"


@dataclass(frozen=True, slots=True)
class Card:
    """What a contact gets. `version` rises with every change of it."""

    version: int
    display_name: str
    token: bytes = field(repr=False)
    presence: bytes = field(repr=False)


class Cards:
    """The card of a profile. Times are Unix seconds."""

    def __init__(self, store: Store, random: Random) -> None:
        self._store = store
        self._db = store.db
        self._random = random

    def current(self, now: int) -> Card:
        """The card as it is; made on first use."""
        with self._store.transaction():
            token = self._current(_CONTACTS)
            secret, version = self.presence_secret(now), self._store.meta("card_version")
            if version is None:
                version = self._raise_version()
            return Card(int(version), self.display_name, token, presence_capability(secret))

    def is_newer(self, version: int) -> bool:
        """Whether the card has changed since this version of it."""
        current = self._store.meta("card_version")
        return current is None or int(current) > version

    def presence_secret(self, now: int) -> bytes:
        """What the relay is shown so that contacts see us online, 16 bytes; made on first use."""
        with self._store.transaction():
            return self._store.meta("presence") or self._new_presence()

    def address_token(self, now: int) -> bytes:
        """The token in the address line; made on first use."""
        with self._store.transaction():
            return self._current(_ADDRESS)

    def allowed(self, now: int) -> list[tuple[bytes, int | None]]:
        """(token, until) of everything that the relay shall take: at most 16, the current ones first."""
        with self._store.transaction():
            current = [self._current(_CONTACTS), self._current(_ADDRESS)]
            self._db.execute("DELETE FROM tokens WHERE until <= ?", (now,))
            rows = self._db.execute(
                "SELECT token, until FROM tokens WHERE until IS NOT NULL ORDER BY until DESC, token"
            )
            return [*((token, None) for token in current), *((bytes(row[0]), int(row[1])) for row in rows)]

    def rotate_token(self, now: int, *, revoke: bool) -> None:
        """A new token for contacts. The one before is taken for 37 days more, unless `revoke`.

        `revoke` kills every former token at once, the address line's too, because whoever is to be kept out
        may hold any of them.
        """
        with self._store.transaction():
            if revoke:
                self._db.execute("DELETE FROM tokens")
            else:
                self._current(_CONTACTS)
                self._db.execute(
                    "UPDATE tokens SET until = ? WHERE purpose = ? AND until IS NULL",
                    (now + PREVIOUS_KEEP, _CONTACTS),
                )
                self._db.execute(
                    "DELETE FROM tokens WHERE until <= ?1 OR (until IS NOT NULL AND token NOT IN "
                    "(SELECT token FROM tokens WHERE until IS NOT NULL ORDER BY until DESC, token LIMIT ?2))",
                    (now, TOKENS_MAX - 2),
                )
            self._raise_version()

    def rotate_presence(self, now: int) -> None:
        """A new presence capability; the one before shows nothing any more."""
        with self._store.transaction():
            self._new_presence()
            self._raise_version()

    def revoke_former(self, now: int) -> None:
        """Every token but the contacts' current one dies at once: all that whoever is no contact can hold."""
        with self._store.transaction():
            self._current(_CONTACTS)
            self._db.execute("DELETE FROM tokens WHERE purpose != ? OR until IS NOT NULL", (_CONTACTS,))

    def renew_address(self, now: int) -> bytes:
        """A new token for the address line; the one before dies at once. Contacts do not notice."""
        with self._store.transaction():
            self._db.execute("DELETE FROM tokens WHERE purpose = ?", (_ADDRESS,))
            return self._current(_ADDRESS)

    @property
    def display_name(self) -> str:
        """What we call ourselves; empty for nothing."""
        return (self._store.meta("display_name") or b"").decode()

    def set_display_name(self, name: str, now: int) -> None:
        """Call ourselves something else. Raises UsageError."""
        name = name.strip()
        if len(name) > DISPLAY_NAME_MAX or not name.isprintable():
            raise UsageError("A display name has at most 64 characters, all of them printable.")
        with self._store.transaction():
            if name != self.display_name:
                self._store.set_meta("display_name", name.encode())
                self._raise_version()

    def sharing(self) -> Sharing:
        """What contacts may learn of us unless said otherwise for one: three booleans, all true at first."""
        presence, typing, read = self._store.meta("sharing") or b"\1\1\1"
        return Sharing(bool(presence), bool(typing), bool(read))

    def set_sharing(self, sharing: Sharing) -> Sharing:
        """Change it where it is not None. Whom presence is taken away from loses the capability."""
        with self._store.transaction():
            before = self.sharing()
            after = Sharing(
                before.presence if sharing.presence is None else sharing.presence,
                before.typing if sharing.typing is None else sharing.typing,
                before.read if sharing.read is None else sharing.read,
            )
            self._store.set_meta("sharing", bytes(map(bool, (after.presence, after.typing, after.read))))
            if after.presence != before.presence:
                self._new_presence()
                self._raise_version()
        return after

    def longest_delay(self) -> float:
        """Seconds that a note waits at most before it goes out; 0 for none."""
        chosen = self._store.meta("longest_delay_ms")
        return delays.USUAL if chosen is None else int(chosen) / 1000

    def set_longest_delay(self, seconds: float) -> None:
        """Let notes wait for so long at most. Raises UsageError over a minute."""
        if not 0 <= seconds <= delays.MOST:
            raise UsageError(f"Receipts wait for 0 to {delays.MOST:.0f} seconds.")
        with self._store.transaction():
            self._store.set_meta("longest_delay_ms", str(round(seconds * 1000)).encode())

    def _current(self, purpose: str) -> bytes:
        token = self._db.execute(
            "SELECT token FROM tokens WHERE purpose = ? AND until IS NULL", (purpose,)
        ).get
        if token is None:
            token = self._random(TOKEN)
            self._db.execute("INSERT INTO tokens VALUES (?, ?, NULL)", (token, purpose))
        return bytes(token)

    def _new_presence(self) -> bytes:
        secret = self._random(TOKEN)
        self._store.set_meta("presence", secret)
        return secret

    def _raise_version(self) -> bytes:
        version = str(int(self._store.meta("card_version") or b"0") + 1).encode()
        self._store.set_meta("card_version", version)
        return version
