"""Every call, in the owner's process and through its socket."""

import asyncio
import base64
from typing import Any

import pytest

from clients.errors import (
    ClientError,
    NotFoundError,
    OutboxFullError,
    StorageError,
    TooLargeError,
    TrustError,
    UsageError,
)
from clients.local import performer as performer_module
from clients.local.access import Line
from clients.local.performer import fitting
from clients.local.values import contact_from, message_from
from clients.messenger import Messenger
from clients.store import outbox as outbox_module
from clients.version import package_version
from tests.clients.local.conftest import FAR
from wire.addresses import Address, RelayUrl

CAROL = Address(b"c" * 32, RelayUrl.parse("ws://127.0.0.1:1")).text
GONE = "0" * 32


async def test_me(line: Line, me: Messenger) -> None:
    about = await line.call("me", settle=5)
    assert about["address"] == me.address.text
    assert about["bare_address"] == me.bare_address.text
    assert (about["relay"], about["profile"]) == ("127.0.0.1:1", str(me.config.profile))
    assert about["sharing"] == {"presence": True, "typing": True, "read": True}
    assert (about["version"], about["display_name"], about["connected"]) == (package_version(), "", False)
    assert "cannot be reached" in about["problems"][0]


async def test_contacts_come_and_go(line: Line, me: Messenger) -> None:
    added = await line.call("add", name="carol", address=CAROL)
    assert contact_from(added) == me.contacts.named("carol")
    assert [row["name"] for row in await line.call("contacts")] == ["bob", "carol"]
    assert [row["name"] for row in await line.call("contacts", after="bob")] == ["carol"]
    assert await line.call("contacts", after="carol") == []
    assert await line.call("contact", name="carol") == await line.call("contact", name=CAROL) == added
    assert (await line.call("rename", name="carol", to="caroline"))["name"] == "caroline"
    assert (await line.call("block", name="caroline"))["status"] == "blocked"
    assert (await line.call("unblock", name="caroline"))["status"] == "approved"
    assert (await line.call("replace", name="caroline", address=CAROL))["name"]
    assert await line.call("remove", name="caroline") == {"removed": "caroline", "messages": 0}
    assert [contact.name for contact in me.contacts.all()] == ["bob"]


async def test_a_history_is_only_deleted_by_force(line: Line) -> None:
    await line.call("send", to="bob", text="hi")
    with pytest.raises(UsageError, match="would be deleted"):
        await line.call("remove", name="bob")
    assert await line.call("remove", name="bob", force=True) == {"removed": "bob", "messages": 1}


async def test_comparing(line: Line, me: Messenger) -> None:
    said = await line.call("safety_number", name="bob")
    assert (said["name"], said["verified"], len(said["safety_number"])) == ("bob", False, 60)
    assert said["scannable"] == me.contacts.scannable("bob")
    assert (await line.call("verify", name="bob", text=said["safety_number"]))["verified"] is True
    with pytest.raises(TrustError):
        await line.call("verify", name="bob", text="1" * 60)
    assert (await line.call("safety_number", name="bob"))["verified"] is False


async def test_sharing_is_told_and_changed(line: Line, me: Messenger) -> None:
    assert await line.call("share") == {"presence": True, "typing": True, "read": True}
    assert (await line.call("share", typing=False))["typing"] is False
    asked = await line.call("share", name="bob")
    assert asked == {"name": "bob", "presence": None, "typing": None, "read": None}
    assert (await line.call("share", name="bob", read=False))["read"] is False
    assert (await line.call("share", name="bob", presence=True))["read"] is False
    assert (await line.call("share", name="bob", read=None))["read"] is None
    assert me.contacts.named("bob").sharing.presence is True


async def test_the_delay_of_receipts_is_told_and_changed(line: Line) -> None:
    assert await line.call("delay") == {"longest": 0.0}  # as these tests have it
    assert await line.call("delay", longest=2.5) == await line.call("delay") == {"longest": 2.5}
    with pytest.raises(UsageError, match="0 to 60 seconds"):
        await line.call("delay", longest=61)
    assert await line.call("delay") == {"longest": 2.5}


async def test_what_we_say_of_ourselves(line: Line, me: Messenger) -> None:
    assert (await line.call("set_name", display_name="Alice"))["display_name"] == "Alice"
    before = me.address.text
    assert (await line.call("renew_address"))["address"] == me.address.text != before
    said = await line.call("trust_relay", relay="wss://relay.example")
    assert said == {"relay": "relay.example", "was_known": False}


async def test_messages(line: Line, me: Messenger) -> None:
    first = await line.call("send", to="bob", text="hi")
    assert (first["status"], first["failed"]) == ("queued", None)
    data = base64.b64encode(b"\xff\x00").decode()
    second = await line.call("send", to=FAR, data=data, reply_to=first["id"])
    assert await line.call("status", id=first["id"]) == first
    assert (await line.call("status", id=first["id"], wait="delivered", timeout=0.01))["status"] == "queued"
    history = await line.call("history", name="bob")
    assert [message_from(value) for value in history] == me.history("bob")
    assert [value["id"] for value in history] == [first["id"], second["id"]]
    assert (history[1]["data"], history[1]["reply_to"]) == (data, first["id"])
    assert await line.call("history", name="bob", limit=1) == history[1:]
    assert await line.call("history", name="bob", before=second["id"]) == history[:1]
    assert await line.call("history", name="bob", search="hi") == history[:1]
    assert await line.call("history", name="bob", since_ms=2**60) == []
    assert await line.call("read", name="bob") == {}
    assert await line.call("typing", name="bob", on=True) == {}
    assert await line.call("flush", timeout=0) == {"flushed": False}


async def test_a_key_sends_once(line: Line, me: Messenger) -> None:
    first = await line.call("send", to="bob", text="hi", key="k")
    assert await line.call("send", to="bob", text="hi", key="k") == first
    with pytest.raises(UsageError, match="another message"):
        await line.call("send", to="bob", text="ho", key="k")
    assert len(me.history("bob")) == 1


@pytest.mark.parametrize(
    ("call", "arguments", "kind"),
    [
        ("contact", {"name": "nobody"}, NotFoundError), ("contact", {"name": CAROL}, NotFoundError),
        ("contact", {"name": "bp1nonsense"}, UsageError), ("contacts", {"after": "nobody"}, NotFoundError),
        ("add", {"name": "bob", "address": CAROL}, UsageError), ("accept", {"name": "bob"}, UsageError),
        ("accept", {"name": "bob", "as": "b"}, UsageError), ("status", {"id": GONE}, NotFoundError),
        ("send", {"to": "nobody", "text": "hi"}, NotFoundError),
        ("send", {"to": CAROL, "text": ""}, NotFoundError),
        ("send", {"to": "bob", "text": "x" * 65_001}, TooLargeError), ("send", {"to": "bob"}, UsageError),
        ("send", {"to": "bob", "data": "!"}, UsageError),
        ("send", {"to": "bob", "text": "\ud800"}, UsageError),
        ("send", {"to": "bob", "text": "x" * 600_000}, TooLargeError), ("done", {"id": GONE}, NotFoundError),
        ("watch", {"name": "nobody"}, NotFoundError), ("history", {"name": "nobody"}, NotFoundError),
        ("trust_relay", {"relay": "ftp://x"}, UsageError), ("nonsense", {}, UsageError),
        ("me", {"x": 1}, UsageError),
    ],
)  # fmt: skip
async def test_what_fails_is_the_same_error_near_and_far(
    line: Line, call: str, arguments: dict[str, Any], kind: type[ClientError]
) -> None:
    with pytest.raises(ClientError) as caught:
        await line.call(call, **arguments)
    assert type(caught.value) is kind
    assert str(caught.value)
    await line.call("me")


async def test_a_full_outbox_is_given_time(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MESSAGES_MAX", 1)
    await line.call("send", to="bob", text="one")
    with pytest.raises(OutboxFullError):
        await line.call("send", to="bob", text="two", timeout=0.05)


async def test_who_waits_for_room_is_not_overtaken(
    line: Line, me: Messenger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MESSAGES_MAX", 1)

    def send(text: str) -> asyncio.Task[Any]:
        return asyncio.create_task(line.call("send", to="bob", text=text, timeout=10))

    waiting = [send("1"), send("2")]
    await line.call("me")
    await asyncio.sleep(0.05)
    # Asked for just before there is room, and run before those who wait have woken.
    waiting.append(send("3"))
    monkeypatch.setattr(outbox_module, "MESSAGES_MAX", 2)
    me._bell.ring()
    await line.call("me")
    await asyncio.sleep(0.05)
    monkeypatch.setattr(outbox_module, "MESSAGES_MAX", 3)
    me._bell.ring()
    await asyncio.gather(*waiting)
    assert [message.text for message in me.history("bob")] == ["1", "2", "3"]


async def test_what_one_line_sends_keeps_its_order(line: Line, me: Messenger) -> None:
    await asyncio.gather(*(line.call("send", to="bob", text=str(number)) for number in range(150)))
    assert [message.text for message in me.history("bob", 1000)] == [str(number) for number in range(150)]


async def test_more_than_a_line_holds_comes_in_pages(
    line: Line, me: Messenger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performer_module, "ROOM", 900)
    for number in range(7):
        await me.send("bob", str(number))
    found = page = await line.call("history", name="bob")
    while page := await line.call("history", name="bob", before=page[0]["id"]):
        assert len(page) < 4
        found = [*page, *found]
    assert [message["text"] for message in found] == [str(number) for number in range(7)]
    assert await line.call("contacts") != []


def test_one_always_fits() -> None:
    assert fitting(iter([{"a": "x" * performer_module.ROOM}, {}])) == [{"a": "x" * performer_module.ROOM}]
    assert fitting(iter([{}, {"a": "x" * performer_module.ROOM}])) == [{}]
    assert fitting(iter([])) == []


async def test_a_bug_is_an_error_of_the_call_and_of_nothing_else(
    line: Line, me: Messenger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the plaintext")

    with monkeypatch.context() as patch:
        patch.setattr(me, "mark_read", fails)
        with pytest.raises((RuntimeError, ClientError)) as caught:
            await line.call("read", name="bob")
    assert line.is_owner or "plaintext" not in str(caught.value)
    assert (await line.call("contact", name="bob"))["name"] == "bob"


async def test_a_full_disk_is_told_as_such(
    line: Line, me: Messenger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(me.contacts, "add", fails)
    with pytest.raises(StorageError, match="disk is full"):
        await line.call("add", name="carol", address=CAROL)


async def test_accepting_a_request(line: Line, me: Messenger) -> None:
    db = me._profile.store.db
    db.execute(
        "INSERT INTO contacts (name, account_key, relay, status, display_name) "
        "VALUES ('request-636363636363', ?, '', 'request', 'Carol')",
        (b"c" * 32,),
    )
    assert (await line.call("accept", name="request-636363636363", **{"as": "cc"}))["name"] == "cc"
    db.execute("UPDATE contacts SET name = 'request-636363636363', status = 'request' WHERE name = 'cc'")
    accepted = await line.call("accept", name="request-636363636363")
    assert (accepted["name"], accepted["status"]) == ("Carol", "approved")
