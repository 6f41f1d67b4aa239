"""Contacts: names, requests, alarms."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.errors import NotFoundError, UsageError
from clients.model import ContactStatus, Sharing
from clients.store.contacts import Contacts
from clients.store.names import NAME_MAX, check_name, clean_display_name, offered_name
from clients.store.state import KeyState
from clients.store.store import Store
from keys.identities import Account, Device
from tests.keys.parties import Seeded
from wire.addresses import Address, RelayUrl
from wire.device_lists import DeviceList

BOB = Address(b"b" * 32, RelayUrl.parse("relay.example"))
CAROL = Address(b"c" * 32)
ALARM = "the device list is not the signed successor of the known one"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db", bytes(32))
    yield store
    store.close()


@pytest.fixture
def contacts(store: Store) -> Contacts:
    return Contacts(store)


def devices_of(seed: str) -> DeviceList:
    random = Seeded(seed)
    account, device = Account.generate(random), Device.generate(random, 1)
    return account.sign_device_list((device.entry(account.key),), 1)


def ask(store: Store, devices: DeviceList) -> None:
    """A stranger writes."""
    with store.transaction():
        KeyState(store).pin(devices)
        row = Contacts(store).by_account(devices.account_key)
        assert row is not None
        assert row.status is ContactStatus.REMOVED  # not listed before its first message
        Contacts(store).wrote_again(row)


@pytest.mark.parametrize(
    "name", ["bob", " bob ", "Bob Ross", "Zoë 🦊", "b" * NAME_MAX, "a'; DROP TABLE contacts;"]
)
def test_ordinary_names_are_kept(contacts: Contacts, name: str) -> None:
    added = contacts.add(name, BOB)
    assert added.name == name.strip()
    assert contacts.named(name.strip()) == added
    if name.isascii():
        assert contacts.named(name.strip().upper()) == added


@pytest.mark.parametrize(
    "name",
    ["", "  ", "b" * (NAME_MAX + 1), "-f", "bp1qxyz", "BP1QXYZ", "request-1", "Request-1", "a\nb", "a\x1b[2J",
     "a\u202eb", "\u200b"],
)  # fmt: skip
def test_names_that_could_deceive_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


def test_a_name_is_taken_whatever_its_case(contacts: Contacts) -> None:
    contacts.add("bob", BOB)
    with pytest.raises(UsageError, match="'BOB'"):
        contacts.add("BOB", CAROL)
    assert len(contacts.all()) == 1


def test_an_address_is_added_once(contacts: Contacts) -> None:
    contacts.add("bob", BOB)
    with pytest.raises(UsageError, match="as 'bob'"):
        contacts.add("robert", BOB)
    assert [row.name for row in contacts.all()] == ["bob"]


def test_an_unknown_name_says_what_to_do(contacts: Contacts) -> None:
    with pytest.raises(NotFoundError, match="contact add") as error:
        contacts.named("b\x1bb")
    assert "\x1b" not in str(error.value)


def test_the_relay_of_an_address_is_kept(contacts: Contacts) -> None:
    assert contacts.add("bob", BOB).shown().address == BOB
    assert contacts.add("carol", CAROL).shown().address == CAROL


def test_a_stranger_is_a_request_until_added(store: Store, contacts: Contacts) -> None:
    devices = devices_of("stranger")
    ask(store, devices)
    request = contacts.by_account(devices.account_key)
    assert request is not None
    assert request.status is ContactStatus.REQUEST
    assert request.name == f"request-{devices.account_key.hex()[:12]}"
    approved = contacts.add("bob", Address(devices.account_key, RelayUrl.parse("relay.example")))
    assert approved.id == request.id
    assert approved.status is ContactStatus.APPROVED
    assert approved.devices == devices
    assert approved.shown().address.relay == RelayUrl.parse("relay.example")


def test_a_stranger_whose_key_begins_like_anothers_is_another_request(
    store: Store, contacts: Contacts
) -> None:
    # 48 bits in common are a matter of minutes for whoever wants them, and must not stop the mail of others.
    first, second = devices_of("stranger"), devices_of("stranger")
    ask(store, first)
    twin = bytearray(first.account_key)
    twin[-1] ^= 1
    ask(store, DeviceList(bytes(twin), 1, first.previous, 1, second.devices, second.signature))
    names = {row.name for row in contacts.all()}
    assert len(names) == 2
    assert all(len(name) <= NAME_MAX for name in names)


def test_an_alarm_stays_as_it_was_first_raised(contacts: Contacts) -> None:
    contacts.add("bob", BOB)
    contacts.raise_alarm(BOB.account_key, ALARM)
    contacts.raise_alarm(BOB.account_key, "another")
    contacts.raise_alarm(b"?" * 32, "nobody")
    assert [row.alarm for row in contacts.all()] == [ALARM]


def test_removing_takes_everything_of_the_contact_along(store: Store, contacts: Contacts) -> None:
    devices = devices_of("stranger")
    ask(store, devices)
    row = contacts.by_account(devices.account_key)
    assert row is not None
    with store.transaction() as db:
        db.execute(
            "INSERT INTO messages (message_id, contact, outgoing, kind, body, sent_ms, sort_ms, status) "
            "VALUES (x'00', ?, 1, 1, 'hi', 1, 1, 'queued')", (row.id,),
        )  # fmt: skip
    contacts.raise_alarm(row.account_key, "a forked list")
    row = contacts.by_account(devices.account_key)
    assert row is not None
    assert contacts.remove(row) == 1
    for table in ("contacts", "devices", "messages", "outbox", "sent"):
        assert store.db.execute(f"SELECT count(*) FROM {table}").get == 0, table  # noqa: S608 ours


def test_the_sequence_to_a_device_goes_on_after_its_contact_was_removed(
    store: Store, contacts: Contacts
) -> None:
    # Began again at 1, its messages would be taken for late ones, and old receipts would count for them.
    devices = devices_of("stranger")
    (entry,) = devices.devices
    state = KeyState(store)
    ask(store, devices)
    with store.transaction():
        assert [state.next_sequence(entry.device_key) for _ in range(3)] == [1, 2, 3]
    row = contacts.by_account(devices.account_key)
    assert row is not None
    contacts.remove(row)
    ask(store, devices)
    with store.transaction():
        assert state.next_sequence(entry.device_key) == 4


def test_contacts_are_listed_with_those_approved_first(store: Store, contacts: Contacts) -> None:
    ask(store, devices_of("stranger"))
    contacts.add("zoe", BOB)
    contacts.add("carol", CAROL)
    assert [row.status.value for row in contacts.all()] == ["approved", "approved", "request"]
    assert [row.name for row in contacts.all()][:2] == ["carol", "zoe"]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("bbo", "bob"), ("BOBB", "bob"), ("Carol Le", "Carol Lee"), ("carl lee", "Carol Lee"), ("zz", None)],
)
def test_an_unknown_name_offers_the_nearest_and_the_next_command(
    contacts: Contacts, wrong: str, right: str | None
) -> None:
    contacts.add("bob", BOB)
    contacts.add("Carol Lee", CAROL)
    with pytest.raises(NotFoundError) as error:
        contacts.named(wrong)
    offered = f" Did you mean {right!r}?" if right else ""
    assert str(error.value) == (
        f"There is no contact named {wrong!r}.{offered} Add one: blindpost contact add NAME ADDRESS"
    )


def test_case_is_none_in_any_script(contacts: Contacts) -> None:
    contacts.add("Зоя Straße", BOB)
    for name in ("зоя straße", "ЗОЯ STRASSE"):
        assert contacts.named(name).name == "Зоя Straße"
        with pytest.raises(UsageError, match="already"):
            contacts.add(name, CAROL)


@pytest.mark.parametrize("name", ["\ud800", "x" * 100_000, "\0", "\u202e", "' OR 1=1 --"])
def test_any_text_may_be_asked_for_as_a_name(contacts: Contacts, name: str) -> None:
    contacts.add("bob", BOB)
    with pytest.raises(NotFoundError) as error:
        contacts.named(name)
    assert len(str(error.value)) < 250
    assert str(error.value).isprintable()


def test_requests_and_blocked_ones_have_names_and_removed_ones_have_none(
    store: Store, contacts: Contacts
) -> None:
    devices = devices_of("stranger")
    ask(store, devices)
    request = contacts.all()[0]
    assert contacts.named(request.name) == request
    contacts.block(request)
    assert contacts.named(request.name).status is ContactStatus.BLOCKED
    contacts.remove(contacts.named(request.name))
    for name in (request.name, f"removed-{request.account_key.hex()}"):
        with pytest.raises(NotFoundError):
            contacts.named(name)


def test_a_card_is_kept_as_it_came_and_cleaned(contacts: Contacts) -> None:
    bob = contacts.add("bob", Address(b"b" * 32, None, b"a" * 16)).id

    def known() -> tuple[str, bytes | None, bytes | None]:
        row = contacts.by_id(bob)
        assert row is not None
        return row.display_name, row.token, row.presence

    assert known() == ("", b"a" * 16, None)
    assert contacts.learn_card(bob, " Bob\n\u202eB. \x1b[2J", b"t" * 16, b"p" * 16)
    assert known() == ("BobB. [2J", b"t" * 16, b"p" * 16)
    assert not contacts.learn_card(bob, " Bob\n\u202eB. \x1b[2J", b"t" * 16, b"p" * 16)
    assert contacts.learn_card(bob, "Bob", None, None)
    assert known() == ("Bob", b"t" * 16, None)
    assert contacts.learn_card(bob, "x" * 100, None, None)
    assert not contacts.learn_card(bob, "x" * 65, None, None)
    assert known() == ("x" * 64, b"t" * 16, None)
    row = contacts.by_id(bob)
    assert row is not None
    assert "tttt" not in repr(row)
    assert "pppp" not in repr(row)


def test_what_was_chosen_for_a_contact_is_kept_until_it_is_removed(contacts: Contacts) -> None:
    bob = contacts.add("bob", Address(b"b" * 32, None, b"a" * 16))
    contacts.set_verified(bob.id, is_verified=True)
    contacts.set_sharing(bob.id, Sharing(False, None, True))
    contacts.learn_card(bob.id, "Bob", b"t" * 16, b"p" * 16)
    row = contacts.named("bob")
    assert (row.is_verified, row.sharing) == (True, Sharing(False, None, True))
    assert row.shown().sharing == Sharing(False, None, True)
    contacts.remove(row)
    again = contacts.add("bob", BOB)
    assert again.id == bob.id
    assert (again.is_verified, again.sharing, again.display_name) == (False, Sharing(), "")
    assert (again.token, again.presence) == (None, None)


def test_the_token_of_an_address_is_kept_and_none_leaves_the_known_one(
    store: Store, contacts: Contacts
) -> None:
    devices = devices_of("stranger")
    ask(store, devices)
    request = contacts.all()[0]
    contacts.learn_card(request.id, "", b"t" * 16, None)
    added = contacts.add("bob", Address(devices.account_key))
    assert added.token == b"t" * 16
    assert added.shown().address == Address(devices.account_key)
    contacts.block(added)
    assert contacts.add("bob", Address(devices.account_key, None, b"n" * 16)).token == b"n" * 16


@pytest.mark.parametrize(
    ("display_name", "name"),
    [("Alice", "Alice"), ("BOB", "BOB 2"), ("Carol", "Carol 3"), ("", None), ("-x", None), ("bp1qq", None),
     ("request-1", None), ("y" * 64, "y" * 60)],
)  # fmt: skip
def test_a_display_name_becomes_a_name_that_nobody_has(display_name: str, name: str | None) -> None:
    assert offered_name(display_name, ["bob", "Carol", "carol 2"]) == name


def test_a_display_name_is_what_can_be_seen_of_it() -> None:
    assert clean_display_name("\u200bZoë\u2028 🦊\0\ue000 ") == "Zoë 🦊"
    assert clean_display_name("\u202e" * 1000 + "a" * 100) == "a" * 64


def test_a_name_can_change_its_case_but_not_become_anothers(contacts: Contacts) -> None:
    bob, _ = contacts.add("bob", BOB), contacts.add("carol", CAROL)
    contacts.rename(bob.id, "BOB")
    assert contacts.named("bob").name == "BOB"
    with pytest.raises(UsageError, match="'Carol'"):
        contacts.rename(bob.id, "Carol")
    with pytest.raises(UsageError, match="1 to 64"):
        contacts.rename(bob.id, "-f")
    assert contacts.named("bob").name == "BOB"
