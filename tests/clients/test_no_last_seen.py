"""Nobody is told when somebody was online last: no message says it, and neither side writes it down."""

from pathlib import Path
from typing import Any

import apsw

from clients.messenger import Messenger
from clients.watching import ContactEvent
from keys.content import Extension, Kind
from tests.clients.test_messenger import WITHIN, people
from tests.clients.test_watching import contact_is, talk, until
from tests.relay.devices import HELD, Account
from tests.relay.peers import dial, logged_in, submitting
from tests.support.relay_process import RelayProcess
from wire import control
from wire.capabilities import presence_capability

SECRET = b"presence, unseen"


def rows(connection: apsw.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a database holds, by table."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}  # noqa: S608


def kept_by(relay: RelayProcess) -> dict[str, list[tuple[Any, ...]]]:
    connection = apsw.Connection(str(relay.data_dir / "relay.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = rows(connection)
        names = [name for _, name, *_ in connection.execute("PRAGMA table_info(mailboxes)")]
    finally:
        connection.close()
    # Sequences are reserved in blocks for whoever pulls: how often, and no time.
    others = [at for at, name in enumerate(names) if name not in ("next_sequence", "skipped")]
    found["mailboxes"] = [tuple(row[at] for at in others) for row in found["mailboxes"]]
    return {table: found[table] for table in found if table != "life"}  # of the file as a whole


def test_neither_presence_nor_a_message_has_a_place_for_it() -> None:
    assert set(control.Presence.model_fields) == {"type", "ref", "online"}
    assert {kind.name for kind in Kind} | {extension.name for extension in Extension} == {
        "OPEN", "TEXT", "RECEIPT", "TYPING", "PROFILE", "RESEND", "REPAIR", "DATA", "READ",
        "DEVICE_LIST", "TOKEN", "PRESENCE", "SEALING_KEY", "REPLY_TO", "RELAY",
    }  # fmt: skip


async def test_a_relay_keeps_nothing_of_who_came_and_went(relay: RelayProcess) -> None:
    bob = Account()
    async with logged_in(relay.url, bob, pull=False) as device:
        await device.publish(bob.device)
    before = kept_by(relay)
    capability = presence_capability(SECRET)
    async with submitting(relay.url) as watcher:
        await watcher.send(control.Watch(ref=1, capability=capability))
        seen = [(await watcher.next(control.Presence)).online]
        async with dial(relay.url) as peer:
            await peer.log_in(bob.device)
            await peer.send(control.Appear(secrets=[SECRET]))
            await peer.send(control.Pull())
            seen.append((await watcher.next(control.Presence)).online)
        seen.append((await watcher.next(control.Presence)).online)
    assert seen == [False, True, False]
    assert kept_by(relay) == before
    # The control: what is written down would be seen.
    async with dial(relay.url) as peer:
        await peer.log_in(bob.device)
        await peer.allow(control.AllowedToken(hash=HELD, until=2**40))
    assert kept_by(relay) != before


async def test_a_client_keeps_nothing_of_who_came_and_went(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await talk(alice, bob)
    async with Messenger.open(tmp_path / "alice") as alice:
        assert await alice.connected(WITHIN)

        def kept() -> list[tuple[Any, ...]]:
            found = rows(alice._profile.store.db)
            return [*found["contacts"], *found["devices"], *found["received"]]

        async with alice.watch("bob") as events:
            await until(events, contact_is(lambda bob: bob.online is False))
            before = kept()
            async with Messenger.open(tmp_path / "bob"):
                await until(events, contact_is(lambda bob: bob.online is True))
            event = await until(events, contact_is(lambda bob: bob.online is False))
        assert kept() == before
        assert isinstance(event, ContactEvent)
        told = event.contact.to_json()
        assert told["online"] is False
        assert not any("seen" in name or name.endswith("_ms") for name in told)
