"""What a relay could know people by: nothing that a user says on one connection is said on another."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trustme

from clients.clock import now_seconds
from clients.config import ClientConfig
from clients.connection import RelayConnection
from clients.messenger import Messenger
from clients.profile import Profile
from clients.sender import Sender
from clients.store.contacts import ContactRow
from clients.watching import ContactEvent
from tests.privacy.wiretap import PRE_SHARED_KEY, TICKET, Call, Tap
from tests.support.relay_process import RelayProcess, free_port, running_relay
from wire.addresses import RelayUrl
from wire.control import Watch
from wire.control_values import decode_base64url
from wire.frames import split_put

WITHIN = 20.0


@asynccontextmanager
async def tapped(directory: Path) -> AsyncIterator[tuple[Tap, bytes]]:
    """A relay behind a tap, and the authority of the tap's certificate."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    port = free_port()
    with RelayProcess(directory, settings={"public-urls": f"wss://localhost:{port}"}) as relay:
        async with Tap(relay.port, context).listening(port) as tap:
            yield tap, authority.cert_pem.bytes()


async def converse(one: Messenger, other: Messenger, name: str, own: str) -> None:
    """Both write, and look whether the other is there."""
    one.contacts.add(name, other.address)
    other.contacts.add(own, one.address)
    await one.send(name, "hello")
    assert await other.receive(WITHIN) is not None
    await other.send(own, "hello back")
    assert await one.receive(WITHIN) is not None
    async with asyncio.timeout(WITHIN), one.watch(name) as events:
        async for event in events:
            if isinstance(event, ContactEvent) and event.contact.online:
                break


@asynccontextmanager
async def a_day(directory: Path) -> AsyncIterator[list[Call]]:
    """Alice talks to Bob and to Carol, Dave to Erin: all that they said."""
    async with tapped(directory) as (tap, ca), AsyncExitStack() as stack:
        people = []
        for name in ("alice", "bob", "carol", "dave", "erin"):
            config = ClientConfig(directory / name)
            place = RelayUrl.parse(f"wss://localhost:{tap.port}")
            Profile.create(config, place, now_seconds(), ca).close()
            people.append(await stack.enter_async_context(Messenger.from_config(config)))
            assert await people[-1].connected(WITHIN), people[-1].problems()
        alice, bob, carol, dave, erin = people
        await converse(alice, bob, "bob", "alice")
        await converse(alice, carol, "carol", "alice")
        await converse(dave, erin, "erin", "dave")
        await stack.aclose()
        yield tap.calls


def device_of(call: Call) -> bytes | None:
    """Who logs in there."""
    keys = [decode_base64url(said["device_key"]) for said in call.objects() if said["type"] == "login"]
    return keys[0] if keys else None


def mailboxes_of(call: Call) -> set[bytes]:
    """Whom it puts to."""
    return {bytes(split_put(message)[0]) for message in call.messages() if isinstance(message, bytes)}


def names_of(call: Call) -> set[bytes]:
    """Whom it asks for and writes to: whoever writes there says so."""
    asked = {decode_base64url(said["account_key"]) for said in call.objects() if said["type"] == "fetch"}
    return asked | mailboxes_of(call)


def in_common(calls: list[Call]) -> list[str]:
    """What connections that submit have in common with others, to other people, that no stranger says."""
    devices = [device for call in calls if (device := device_of(call)) is not None]
    strangers = set(devices[3:])  # Dave and Erin
    theirs = [
        call for call in calls if (device_of(call) or next(iter(mailboxes_of(call)), None)) in strangers
    ]
    words = set[bytes | str]().union(*(call.windows() for call in theirs))
    ours = [call for call in calls if call not in theirs]
    submits = [call for call in ours if device_of(call) is None]
    assert len(submits) >= 4
    assert {len(mailboxes_of(call)) for call in submits} == {1}
    found = []
    for call in submits:
        said = call.windows(names_of(call)) - words
        for other in ours:
            if other is not call and mailboxes_of(other) != mailboxes_of(call):
                kind = "submit connection" if device_of(other) is None else "login"
                found += [f"{window!r} of a {kind}" for window in said & other.windows()]
    return found


def without_key(head: bytes) -> list[bytes]:
    """A request head but for the number that is drawn for each: RFC 6455 section 4.1."""
    lines = head.split(b"\r\n")
    assert sum(line.startswith(b"Sec-WebSocket-Key: ") for line in lines) == 1
    return [line for line in lines if not line.startswith(b"Sec-WebSocket-Key: ")]


async def test_no_connection_says_what_another_one_says(tmp_path: Path) -> None:
    async with a_day(tmp_path) as calls:
        assert in_common(calls) == []
        # Nor do they differ in anything that does not have to differ.
        assert len({tuple(without_key(call.head)) for call in calls}) == 1
        assert len({tuple(call.extensions().items()) for call in calls}) == 1
        # The tap has offered each of them a ticket to come back with.
        assert not any(call.resumed for call in calls)
        assert not any(PRE_SHARED_KEY in call.extensions() for call in calls)
        assert not any(call.extensions().get(TICKET) for call in calls)


async def test_control_a_key_that_is_said_on_both_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach = Sender._attach

    async def attach_and_tell(self: Sender, connection: RelayConnection, contact: ContactRow) -> None:
        await attach(self, connection, contact)
        await connection.send(Watch(ref=9, capability=self._profile.device.key))

    monkeypatch.setattr(Sender, "_attach", attach_and_tell)
    async with a_day(tmp_path) as calls:
        assert any("login" in each for each in in_common(calls))
        assert any("submit connection" in each for each in in_common(calls))


def visit(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSession:
    """One request; the session that could be gone on with."""
    with (
        socket.create_connection(("127.0.0.1", port), WITHIN) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as secured,
    ):
        secured.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while secured.recv(4096):
            pass
        assert secured.session is not None
        return secured.session


async def test_control_a_connection_that_goes_on_with_another_is_found(tmp_path: Path) -> None:
    async with tapped(tmp_path) as (tap, ca):
        context = ssl.create_default_context(cadata=ca.decode())
        session = await asyncio.to_thread(visit, tap.port, context)
        assert session.has_ticket
        await asyncio.to_thread(visit, tap.port, context, session)
        assert [PRE_SHARED_KEY in call.extensions() for call in tap.calls] == [False, True]
        assert [call.resumed for call in tap.calls] == [False, True]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_relay_gives_nobody_a_ticket(tmp_path: Path, version: ssl.TLSVersion) -> None:
    authority, both = trustme.CA(), tmp_path / "both.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(both)
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    context.maximum_version = version
    with running_relay(tmp_path, tls_certificate=both, tls_key=both) as relay:
        assert not visit(relay.port, context).has_ticket
