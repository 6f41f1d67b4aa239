"""How an account stands at its relay: the invite that is to let it in, a refusal, what was lost there.

Owns what is remembered of that in the store, and the sentences about it. A relay's word on these is told to
the user, and decides nothing else. Knows no connection.
"""

import time
from typing import TYPE_CHECKING

from clients import clock
from clients.parsing import parse_invite
from clients.store.store import Store
from wire.errors import ErrorCode
from wire.limits import CLOCK_SKEW

if TYPE_CHECKING:  # a command that only looks into a profile starts sooner without
    from wire.control import Error, Welcome

_INVITE, _REFUSED, _EXPIRED, _FULL = "invite", "refused", "expired", "full_at"


def has_published(store: Store) -> bool:
    """Whether prekeys of this device are at its relay, which means that it is registered there."""
    return store.db.execute("SELECT 1 FROM prekeys WHERE published != 0 LIMIT 1").get is not None


def last_refusal(store: Store) -> str | None:
    """Why the relay did not take this account when it was last asked, if so."""
    refusal = store.meta(_REFUSED)
    return None if refusal is None else refusal.decode()


def keep_invite(store: Store, text: str | None) -> None:
    """Bring this invite to the relay, or none, until it has let the account in. Raises UsageError."""
    invite = None if text is None else parse_invite(text)
    with store.transaction() as db:
        if invite is None:
            db.execute("DELETE FROM meta WHERE name = ?", (_INVITE,))
        else:
            store.set_meta(_INVITE, invite)


def gone(deletion: str) -> str:
    """The sentence for whoever wants to use an account that was deleted then, or is about to be."""
    if deletion == "begun":
        return (
            "The deletion of this account was begun, and its relay has not confirmed it. Finish it: "
            "blindpost account delete"
        )
    return (
        f"This account was deleted at its relay on {deletion[:10]}: nothing is sent or received any more. "
        "What is in this profile can be read. For another account, make another profile: "
        "blindpost init --profile NAME --relay URL"
    )


def is_refusal(error: "Error") -> bool:
    """Whether this answer to a list means that the relay takes no such account, whatever the list says."""
    return error.code is ErrorCode.REGISTRATION_REFUSED and error.field in (_INVITE, "device_list")


class Standing:
    """Of one profile. `notices` are to be told to the user, `refusal` is why the relay does not take it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.notices: list[str] = []
        self.refusal: str | None = None

    @property
    def invite(self) -> bytes | None:
        """What to bring to the relay for a new account, 16 bytes."""
        return self._store.meta(_INVITE)

    def registered(self) -> None:
        """The relay has the account: no invite is needed any more, and none kept."""
        self.refusal = None
        if self.invite is not None or last_refusal(self._store) is not None:
            with self._store.transaction() as db:
                db.execute("DELETE FROM meta WHERE name IN (?, ?)", (_INVITE, _REFUSED))

    def refused(self, error: "Error") -> str:
        """The relay does not take the account; why, in a sentence."""
        about = "With an invite: blindpost init --invite TOKEN"
        if error.field != _INVITE:
            about = "Your address: blindpost address --bare"
        self.refusal = f"The relay does not register this account: {error.message}. {about}"
        with self._store.transaction():
            self._store.set_meta(_REFUSED, self.refusal.encode())
        return self.refusal

    def welcomed(self, welcome: "Welcome") -> None:
        """What the relay says at a login: tell what is new of it, once."""
        # It counts what it lost since ever, by age or to its disk.
        known = int.from_bytes(self._store.meta(_EXPIRED) or b"", "big")
        if welcome.expired > known:
            self._remember(_EXPIRED, welcome.expired)
            self.notices.append(
                f"{welcome.expired - known} messages were lost at the relay: they waited for longer than it "
                "keeps them, or its disk damaged them."
            )
        # A time in the future is a relay's nonsense, and may be none that can be shown.
        full_at = welcome.full_at
        if full_at is None or full_at > clock.now_seconds() + CLOCK_SKEW:
            return
        if full_at != int.from_bytes(self._store.meta(_FULL) or b"", "big"):
            self._remember(_FULL, full_at)
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(full_at))
            self.notices.append(f"Your mailbox at the relay was full on {when}: senders had to wait.")

    def _remember(self, name: str, value: int) -> None:
        with self._store.transaction():
            self._store.set_meta(name, value.to_bytes(8, "big"))
