"""Migrations: a store of the first version opens with everything that it held."""

from hashlib import sha256
from pathlib import Path

import apsw
import pytest

from clients.errors import StorageError
from clients.model import ContactStatus, MessageStatus
from clients.past import Place
from clients.store.contacts import Contacts
from clients.store.history import History
from clients.store.outbox import Outbox
from clients.store.repairs import Fault, Repairs
from clients.store.schema import MIGRATIONS
from clients.store.state import KeyState
from clients.store.store import Store
from tests.clients.store.desk import DEVICE, STREAM

KEY = bytes(32)
OLD = (
    "INSERT INTO messages "
    "(message_id, contact, outgoing, kind, body, sent_ms, sort_ms, device, stream, sequence, "
)


def first_version(path: Path) -> apsw.Connection:
    """A store as the first version made it, with a conversation in it."""
    db = apsw.Connection(str(path))
    db.pragma("key", "raw:" + KEY.hex())
    db.execute(MIGRATIONS[0])
    db.pragma("user_version", 1)
    db.execute(
        "INSERT INTO contacts (name, account_key, relay, status) VALUES ('bob', ?, '', 'approved')",
        (b"b" * 32,),
    )
    db.execute("INSERT INTO devices (device_key, contact) VALUES (?, 1)", (DEVICE,))
    db.execute(
        "INSERT INTO received (device_key, stream, ranges) VALUES (?, ?, ?)", (DEVICE, STREAM, bytes(16))
    )
    texts = ("Hello World", "Привет, МИР", "早上好世界", "\ufffd")
    for number, text in enumerate(texts, start=1):
        body = b"\xff" if text == "\ufffd" else text.encode()
        db.execute(
            OLD + "status, handed) VALUES (?, 1, 0, 1, ?, ?, ?, ?, ?, ?, 'received', 2)",
            (number.to_bytes(16, "big"), body, number, number, DEVICE, STREAM, number),
        )
    db.execute(
        OLD + "status, handed) VALUES (?, 1, 0, 7, ?, 5, 5, ?, ?, 5, 'received', 0)",
        (b"d" * 16, b"hello data", DEVICE, STREAM),
    )
    db.execute(
        OLD + "status, handed, sealed) VALUES (?, 1, 1, 1, ?, 6, 6, NULL, NULL, 7, 'accepted', 2, 1)",
        (b"o" * 16, b"hello from us"),
    )
    db.execute("INSERT INTO sent VALUES (?, 7, 6)", (DEVICE,))
    return db


def test_a_store_of_the_first_version_is_searchable_and_has_been_seen(tmp_path: Path) -> None:
    first_version(tmp_path / "store.db").close()
    store = Store(tmp_path / "store.db", KEY)
    history, contacts = History(store), Contacts(store)
    assert store.db.pragma("user_version") == len(MIGRATIONS)
    (bob,) = contacts.all()
    assert (bob.unread, bob.display_name, bob.is_verified, bob.token) == (0, "", False, None)
    assert bob.status is ContactStatus.APPROVED
    whole = history.conversation(bob.id, 100)
    assert [message.seen for message in whole] == [True] * 6
    for search, ids in (("hello", [1]), ("мир", [2]), ("世界", [3]), ("早上好", [3])):
        assert [int.from_bytes(m.id[8:], "big") for m in history.conversation(bob.id, 9, search=search)][
            :1
        ] == ids
    assert [m.text for m in history.conversation(bob.id, 9, search="from us")] == ["hello from us"]
    # What was on its way goes on.
    assert history.delivered(DEVICE, ((7, 7),)) == 1
    assert history.read(DEVICE, 7) == 1
    assert whole[-1].status is MessageStatus.ACCEPTED
    assert history.conversation(bob.id, 1)[0].status is MessageStatus.READ
    # And what the application had not taken yet comes.
    found = history.next_message(9)
    assert found is not None
    assert found[1].body == b"hello data"
    store.close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_version(tmp_path / "store.db").close()
    broken = (MIGRATIONS[0], f"{MIGRATIONS[1]} DROP TABLE nothing;")
    monkeypatch.setattr("clients.store.store.MIGRATIONS", broken)
    with pytest.raises(StorageError):
        Store(tmp_path / "store.db", KEY)
    monkeypatch.undo()
    store = Store(tmp_path / "store.db", KEY)
    assert len(History(store).conversation(1, 100)) == 6
    store.close()


def test_a_message_that_goes_takes_its_words_and_its_count_along(tmp_path: Path) -> None:
    first_version(tmp_path / "store.db").close()
    store = Store(tmp_path / "store.db", KEY)
    with store.transaction() as db:
        db.execute("DELETE FROM messages WHERE id = 1")
    assert store.db.execute("SELECT count(*) FROM words WHERE words MATCH 'hello'").get == 1
    store.close()


def second_version(path: Path) -> apsw.Connection:
    """A store as the second version made it: the first's, and what that one added, in use."""
    db = first_version(path)
    db.execute(MIGRATIONS[1])
    db.pragma("user_version", 2)
    db.execute(
        "UPDATE contacts SET display_name = 'Bob B.', verified = 1, shares_typing = 0, token = ?,"
        " presence = ?",
        (b"t" * 16, b"p" * 32),
    )
    db.execute(
        OLD + "status, handed, reply_to) VALUES (?, 1, 0, 1, ?, 8, 8, ?, ?, 8, 'received', 2, ?)",
        (b"n" * 16, b"new, and not looked at", DEVICE, STREAM, b"o" * 16),
    )
    db.execute(
        f"{OLD}status, handed, sealed, key)"
        " VALUES (?, 1, 1, 1, ?, 9, 9, NULL, NULL, 0, 'queued', 2, 1, 'disk-1')",
        (b"w" * 16, b"waits for the relay"),
    )
    db.execute(
        "INSERT INTO outbox (frame_id, contact, mailbox, envelope, message) VALUES (?, 1, ?, ?, ?)",
        (b"f" * 16, DEVICE, b"\x01" + bytes(1023), db.last_insert_rowid()),
    )
    db.execute("INSERT INTO tokens VALUES (?, 'contacts', NULL)", (b"c" * 16,))
    return db


def test_a_store_of_the_second_version_opens_with_everything_in_it(tmp_path: Path) -> None:
    second_version(tmp_path / "store.db").close()
    store = Store(tmp_path / "store.db", KEY)
    history, contacts, outbox = History(store), Contacts(store), Outbox(store)
    assert store.db.pragma("user_version") == len(MIGRATIONS)
    (bob,) = contacts.all()
    assert (bob.unread, bob.display_name, bob.is_verified, bob.token) == (1, "Bob B.", True, b"t" * 16)
    assert (bob.presence, bob.sharing.typing) == (b"p" * 32, False)
    whole = history.conversation(bob.id, 100)
    assert len(whole) == 8
    assert [message.text for message in whole if not message.seen and not message.outgoing] == [
        "new, and not looked at"
    ]
    # What waited for the relay waits still, and goes out as it was.
    assert store.db.execute("SELECT count, bytes FROM waiting").get == (1, 1024)
    (frame,) = outbox.frames(bob.id, 0, 10)
    assert (frame.frame.frame_id, len(frame.frame.envelope)) == (b"f" * 16, 1024)
    assert bob.id in outbox.contacts_waiting(1)
    with store.transaction():
        outbox.accepted(b"f" * 16, keep=True)
    assert store.db.execute("SELECT count, bytes FROM waiting").get == (0, 0)
    assert store.db.execute("SELECT purpose FROM tokens WHERE token = ?", (b"c" * 16,)).get == "contacts"
    assert [m.text for m in history.conversation(bob.id, 9, search="waits for")] == ["waits for the relay"]
    store.close()


def third_version(path: Path) -> apsw.Connection:
    """A store as the third version made it: with a frame that was accepted, and a repair that is owed."""
    db = second_version(path)
    db.execute(MIGRATIONS[2])
    db.pragma("user_version", 3)
    db.execute("UPDATE outbox SET accepted = 1")
    db.execute("INSERT INTO repairs (device_key, what, due) VALUES (?, 'session', 1)", (DEVICE,))
    return db


def test_a_store_of_the_third_version_opens_with_everything_in_it(tmp_path: Path) -> None:
    third_version(tmp_path / "store.db").close()
    store = Store(tmp_path / "store.db", KEY)
    assert store.db.pragma("user_version") == len(MIGRATIONS)
    assert len(History(store).conversation(1, 100)) == 8
    assert Outbox(store).frames(1, 0, 10) == []
    assert store.db.execute("SELECT count(*) FROM outbox WHERE accepted = 1").get == 1
    assert Repairs(store).is_due(DEVICE, Fault.SESSION, 1)
    state = KeyState(store)
    assert state.last_repair(DEVICE) is None
    with store.transaction():
        state.save_repair(DEVICE, Place(STREAM, 7, 8))
    assert state.last_repair(DEVICE) == Place(STREAM, 7, 8)
    store.close()


def test_released_migrations_are_as_they_were() -> None:
    """SHA-256 of the scripts, its first 16 digits: what was in somebody's hands is never edited."""
    frozen = ["b0bebc722acb7c02", "819bb685ab68037d", "dd53a55fc4e5da6f"]
    assert [sha256(script.encode()).hexdigest()[:16] for script in MIGRATIONS[:3]] == frozen
