"""`contact`, `settings`: deciding about people, from the words to what is remembered."""

import json
from pathlib import Path

import pytest

from clients.config import ClientConfig
from clients.errors import ExitCode
from clients.local.place import is_served
from clients.profile import Profile
from clients.store.contacts import Contacts
from tests.clients.cli.conftest import MakePerson
from tests.clients.cli.test_output import HOSTILE, is_harmless
from tests.support.client_process import ClientProcess, Deadline, Running
from tests.support.command_line import CommandLine
from tests.support.relay_process import RelayProcess
from wire.addresses import Address, RelayUrl

NOWHERE = "ws://127.0.0.1:1"


def line_of(name: str) -> str:
    """An address that nobody has the secret of."""
    return Address(name.encode().ljust(32, b"."), RelayUrl.parse(NOWHERE)).text


FAR, OTHER = line_of("far"), line_of("other")


@pytest.fixture
def away(alice: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Alice, whose relay is not there, with a contact named bob."""
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    alice("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    alice("contact", "add", "bob", FAR)
    return alice


def calls_itself(alice: CommandLine, name: str, display_name: str) -> None:
    """As if a card of this contact had come."""
    profile = Profile.open(ClientConfig(alice.profile))
    with profile.store.transaction() as db:
        row = Contacts(profile.store).named(name)
        db.execute("UPDATE contacts SET display_name = ? WHERE id = ?", (display_name, row.id))
    profile.close()


def requests_from(alice: CommandLine, account: str, display_name: str = "") -> str:
    """As if a stranger had written; its name as a request."""
    profile = Profile.open(ClientConfig(alice.profile))
    key = Address.parse(line_of(account)).account_key
    name = f"request-{key.hex()[:12]}"
    with profile.store.transaction() as db:
        db.execute(
            "INSERT INTO contacts (name, account_key, relay, status, display_name) "
            "VALUES (?, ?, '', 'request', ?)",
            (name, key, display_name),
        )
    profile.close()
    return name


# --- who there is -----------------------------------------------------------------------------------


def test_the_list_has_its_groups(away: CommandLine) -> None:
    request = requests_from(away, "eve", "Eve")
    away("contact", "add", "mallory", OTHER)
    away("contact", "block", "mallory")
    said = away("contact", "list").out.splitlines()
    assert said[0].startswith("bob")
    assert "not verified" in said[0]
    assert said.index("Requests (to accept: blindpost contact accept NAME):") < said.index(
        "Blocked (to undo: blindpost contact unblock NAME):"
    )
    assert any(line.startswith(request) and line.endswith("calls itself 'Eve'") for line in said)
    assert "mallory" in said[-1]
    assert [row["status"] for row in away("--json", "contact", "list").json()] == [
        "approved", "request", "blocked",
    ]  # fmt: skip
    assert all(len(line) <= 80 for line in said if not line.startswith(" "))


def test_addresses_are_shown_where_they_are_asked_for(away: CommandLine) -> None:
    assert FAR not in away("contact", "list").out
    assert f"    {FAR}" in away("contact", "list", "--addresses").out


def test_requests_alone(away: CommandLine) -> None:
    assert "blindpost listen" in away("contact", "requests").err  # it may wait at the relay
    name = requests_from(away, "eve", "Eve")
    done = away("contact", "requests")
    assert done.out.startswith(name)
    assert "bob" not in done.out
    assert "blindpost contact accept" in done.err
    assert [row["name"] for row in away("contact", "requests", "--json").json()] == [name]


def test_a_request_without_a_name_is_told_apart(away: CommandLine) -> None:
    nameless, eve = requests_from(away, "mallory"), requests_from(away, "eve", "Eve")
    listed = away("contact", "requests")
    assert "gives no name" in listed.out
    assert "calls itself 'Eve'" in listed.out
    assert "blindpost history NAME" in listed.err
    heard = away("listen", "--idle", "0", code=ExitCode.RELAY).err
    assert f"New request from {eve} (calls itself 'Eve'): blindpost contact requests" in heard
    done = away("contact", "accept", nameless)
    digits = nameless.removeprefix("request-")
    assert f"blindpost contact rename {digits} NAME" in done.err
    assert "contact rename" not in away("contact", "accept", eve).err


def test_nobody_yet(alice: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    alice("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    done = alice("contact", "list")
    assert done.out == ""
    assert "blindpost chat LINE" in done.err


@pytest.mark.parametrize("name", [*HOSTILE.values(), "two\nlines", "tab\tbed"])
def test_what_somebody_calls_itself_cannot_act_on_the_terminal(away: CommandLine, name: str) -> None:
    calls_itself(away, "bob", name)
    shown = away("contact", "list").out
    assert is_harmless(shown)
    assert len(shown.splitlines()) == 1
    assert "calls itself '" in shown
    (row,) = away("contact", "list", "--json").json()
    assert row["display_name"] == name


def test_a_name_cannot_close_its_quotation_marks(away: CommandLine) -> None:
    calls_itself(away, "bob", "x', verified, calls itself 'bob")
    assert '''calls itself "x', verified, calls itself 'bob"''' in away("contact", "list").out


def test_an_alarm_has_a_line_of_its_own(away: CommandLine) -> None:
    profile = Profile.open(ClientConfig(away.profile))
    contacts = Contacts(profile.store)
    contacts.raise_alarm(contacts.named("bob").account_key, "its device list was rolled back")
    profile.close()
    said = away("contact", "list").out
    assert "    ALARM: its device list was rolled back. Nothing is sent there." in said.splitlines()


# --- decisions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "called"), [(("eve",), "eve"), ((), "Eve E.")])
def test_a_request_is_accepted(away: CommandLine, given: tuple[str, ...], called: str) -> None:
    name = requests_from(away, "eve", "Eve E.")
    done = away("contact", "accept", name, *given)
    assert done.out.startswith(f"'{called}' is a contact now.")
    assert "blindpost contact verify" in done.err
    away("contact", "accept", name, code=ExitCode.NOT_FOUND)
    assert called in [row["name"] for row in away("--json", "contact", "list").json()]


def test_a_name_with_blanks_is_quoted_where_it_is_to_be_copied(away: CommandLine) -> None:
    assert away("contact", "add", "O'Brien the 2nd", OTHER).out == (
        """"O'Brien the 2nd" added. Write with: blindpost send 'O'"'"'Brien the 2nd' TEXT\n"""
    )


def test_a_contact_is_renamed(away: CommandLine) -> None:
    assert away("contact", "rename", "bob", "robert").out == "'bob' is called 'robert' now.\n"
    away("contact", "rename", "bob", "x", code=ExitCode.NOT_FOUND)
    away("contact", "add", "carol", OTHER)
    assert "already" in away("contact", "rename", "carol", "robert", code=ExitCode.USAGE).err
    away("contact", "rename", "carol", "bp1x", code=ExitCode.USAGE)


def test_blocked_and_unblocked(away: CommandLine) -> None:
    assert "contact unblock bob" in away("contact", "block", "bob").out
    away("send", "bob", "hi", code=None)
    assert away("--json", "history", "bob").json() == []
    assert away("contact", "unblock", "bob").out == "'bob' is a contact again.\n"
    assert "is not blocked" in away("contact", "unblock", "bob", code=ExitCode.USAGE).err


def test_a_contact_is_replaced_after_a_yes(away: CommandLine) -> None:
    away("send", "bob", "old", "--timeout", "0", code=ExitCode.QUEUED)
    asked = away("contact", "replace", "bob", OTHER, code=ExitCode.USAGE)
    for words in ("another account", "--yes", "safety numbers", "blindpost contact verify bob"):
        assert words in asked.err
    assert away("--json", "contact", "list").json()[0]["address"] == FAR
    done = away("contact", "replace", "bob", OTHER, "--yes")
    assert "another account now" in done.out
    assert away("--json", "contact", "list").json()[0]["address"] == OTHER
    (kept,) = away("--json", "history", "bob").json()
    assert (kept["text"], kept["status"]) == ("old", "failed")
    assert "replaced" in away("history", "bob").out


def test_a_replacement_is_refused_before_anything_is_asked(away: CommandLine) -> None:
    away("contact", "replace", "nobody", OTHER, code=ExitCode.NOT_FOUND)
    assert "address" in away("contact", "replace", "bob", "bp1nonsense", code=ExitCode.USAGE).err


# --- safety numbers ---------------------------------------------------------------------------------


def test_the_safety_number_stands_in_three_lines(away: CommandLine) -> None:
    done = away("contact", "verify", "bob")
    assert [len(line) for line in done.out.splitlines()] == [23, 23, 23]
    assert "blindpost contact verify bob NUMBER" in done.err
    assert "█" in away("contact", "verify", "bob", "--qr").err


@pytest.mark.parametrize("form", ["digits", "lines", "scanned"])
def test_equal_numbers_are_remembered(
    away: CommandLine, person: MakePerson, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    bob = person("bob")
    bob("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    away("contact", "replace", "bob", bob("address").out.strip(), "--yes")
    bob("contact", "add", "alice", away("address").out.strip())
    (number,) = bob("contact", "verify", "alice", "--json").json()
    lines = bob("contact", "verify", "alice").out
    text = {"digits": number["safety_number"], "lines": lines, "scanned": number["scannable"]}[form]
    assert not number["verified"]
    assert "is verified" in away("contact", "verify", "bob", "--compare", text).out
    assert away("--json", "contact", "list").json()[0]["verified"]
    assert "have compared this before" in away("contact", "verify", "bob").err


def test_6_other_numbers_fail_loudly_and_are_remembered(away: CommandLine) -> None:
    (number,) = away("contact", "verify", "bob", "--json").json()
    away("contact", "verify", "bob", "--compare", number["safety_number"])
    wrong = str((int(number["safety_number"][0]) + 1) % 10) + number["safety_number"][1:]
    done = away("contact", "verify", "bob", "--compare", wrong, code=ExitCode.TRUST)
    assert done.out == ""
    assert len(done.err) > 50
    assert not away("--json", "contact", "list").json()[0]["verified"]


# --- what they may learn ----------------------------------------------------------------------------


def test_settings_are_shown_and_set(away: CommandLine) -> None:
    (first,) = away("--json", "settings").json()
    delay = first.pop("receipt_delay")
    assert first == {"display_name": "", "presence": True, "typing": True, "read": True}
    away("settings", "--presence", "off", "--name", "Alice A.", "--receipt-delay", "2.5")
    (second,) = away("--json", "settings").json()
    assert second.pop("receipt_delay") == 2.5 != delay
    assert second == {"display_name": "Alice A.", "presence": False, "typing": True, "read": True}
    said = away("settings").out
    assert "delay     2.5 s at most" in said
    away("settings", "--receipt-delay", "61", code=ExitCode.USAGE)
    away("settings", "--receipt-delay", "0")
    assert "delay     none" in away("settings").out
    assert "'Alice A.'" in said
    assert "presence  off" in said
    assert all(len(line) <= 80 for line in said.splitlines())
    away("settings", "--name", "x" * 65, code=ExitCode.USAGE)


def test_one_contact_may_learn_more_or_less(away: CommandLine) -> None:
    (first,) = away("contact", "sharing", "bob", "--json").json()
    assert first == {"name": "bob", "presence": None, "typing": None, "read": None}
    away("settings", "--typing", "off")
    said = away("contact", "sharing", "bob", "--read", "off", "--presence", "on").out
    assert [line.split() for line in said.splitlines()] == [
        ["presence", "on"], ["typing", "off", "(as", "for", "all)"], ["read", "off"],
    ]  # fmt: skip
    (now,) = away("contact", "sharing", "bob", "--read", "default", "--json").json()
    assert now == {"name": "bob", "presence": True, "typing": None, "read": None}


# --- while another process has the profile ----------------------------------------------------------


def listens(owner: ClientProcess) -> Running:
    """It has the profile open, and carries out calls."""
    listening = owner.start("--json", "listen")
    deadline = Deadline("the owner listens")
    while not is_served(owner.profile):
        deadline.turn()
    return listening


def test_every_command_goes_through_the_process_that_has_the_profile(
    tmp_path: Path, person: MakePerson
) -> None:
    with RelayProcess(tmp_path) as relay:
        owner = ClientProcess(tmp_path, "alice")
        address = owner.init(relay.origin)
        alice = person("alice")
        listening = listens(owner)
        try:
            assert alice("address").out.strip() == address
            for arguments in (
                ("contact", "add", "bob", FAR), ("contact", "rename", "bob", "robert"),
                ("contact", "sharing", "robert", "--read", "off"), ("contact", "block", "robert"),
                ("contact", "unblock", "robert"), ("contact", "replace", "robert", OTHER, "--yes"),
                ("settings", "--name", "Alice"), ("history", "robert"), ("contact", "verify", "robert"),
            ):  # fmt: skip
                alice(*arguments)
            renewed = alice("address", "--renew").out
            assert renewed == alice("address").out != address + "\n"
            assert alice("--json", "contact", "list").json()[0]["sharing"]["read"] is False
            assert alice("--json", "contact", "remove", "robert").json()[0]["removed"] == "robert"
            checks = {row["check"]: row for row in alice("--json", "doctor").json()}
            assert checks["owner"]["what"].startswith("another process uses the profile, and answers")
            assert checks["login"]["verdict"] == "ok"
            assert listening.process.poll() is None
        finally:
            listening.close()


def test_errors_keep_their_codes_through_another_process(tmp_path: Path, person: MakePerson) -> None:
    with RelayProcess(tmp_path) as relay:
        owner = ClientProcess(tmp_path, "alice")
        owner.init(relay.origin)
        listening = listens(owner)
        try:
            alice = person("alice")
            done = alice("--json", "contact", "rename", "nobody", "x", code=ExitCode.NOT_FOUND)
            assert json.loads(done.err)["error"] == "NOT_FOUND"
            alice("contact", "add", "bp1", FAR, code=ExitCode.USAGE)
        finally:
            listening.close()
