"""Alice with her contact book, what it told, and somebody who asks for her."""

from clients.contact_book import ContactBook
from clients.model import Contact
from clients.store.contacts import ContactRow
from tests.support.homes import Home
from wire.addresses import RelayUrl

RELAY = RelayUrl.parse("relay.example")
NOW = 1_700_000_000


class Alice:
    """Her book, what it told, and the other side of her mailroom."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.told: list[int] = []
        room = home.mailroom
        self.cards, self.history, self.contacts = room.cards, room.history, room.contacts
        self.book = ContactBook(
            home.profile, room.contacts, room.history, room.cards, self._changed, now=lambda: NOW
        )

    def _changed(self, row: int) -> None:
        assert self.home.profile.store.db.get_autocommit()  # after the commit
        self.told.append(row)

    def row(self, name: str) -> ContactRow:
        return self.contacts.named(name)

    def statuses(self, name: str) -> list[tuple[str, str | None]]:
        shown = self.history.conversation(self.row(name).id, 100)
        return [(message.status.value, message.failed) for message in shown]

    def count(self, table: str) -> int:
        return int(self.home.profile.store.db.execute(f"SELECT count(*) FROM {table}").get)  # noqa: S608 ours


def ask(stranger: Home, alice: Alice, *texts: str) -> Contact:
    """Somebody whom she does not know writes to her."""
    stranger.meet(alice.home)
    for text in texts or ("hello",):
        stranger.say(alice.home, text)
    alice.home.take_in(*stranger.waiting(alice.home))
    row = alice.contacts.by_account(stranger.profile.account.key)
    assert row is not None
    return row.shown()
