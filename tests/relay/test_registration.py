"""Who may register at a real relay: its modes, its invites made beside it, its list edited under it."""

import asyncio
import json
import logging
import os
import subprocess
import time
from pathlib import Path

import pytest

from relay.registration import AllowListError, Registration, read_allow_list
from relay.store.base import ANYBODY
from tests.relay.devices import NOW, Account, Device
from tests.relay.peers import Peer, dial
from tests.relay.web import get
from tests.support.relay_process import RELAY, RelayProcess, running_relay
from wire import control
from wire.addresses import Address
from wire.control_values import encode_base64url
from wire.errors import ErrorCode
from wire.invites import invite_hash, parse_invite

# --- the command ---------------------------------------------------------------------------------------


def command(name: str, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RELAY, name, "--data-directory", str(directory), *arguments],
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def printed(name: str, directory: Path, *arguments: str) -> list[str]:
    done = command(name, directory, *arguments)
    assert done.returncode == 0, done
    return done.stdout.splitlines()


def refused(name: str, directory: Path, *arguments: str) -> str:
    done = command(name, directory, *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    sentence = done.stderr.strip()
    assert sentence.startswith("blindpost relay: ")
    assert "\n" not in sentence
    return sentence


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of a relay that has run once and is stopped."""
    with RelayProcess(tmp_path) as relay:
        return relay.data_dir


def test_an_invite_is_one_line_and_its_token_is_nowhere_on_the_relay(data: Path) -> None:
    (text,) = printed("invite", data)
    token = parse_invite(text)
    (listed,) = (json.loads(line) for line in printed("invites", data, "--json"))
    assert listed.keys() == {"id", "uses", "until"}
    assert listed["id"] == invite_hash(token)[:5].hex()
    on_disk = b"".join(path.read_bytes() for path in data.iterdir())
    assert invite_hash(token) in on_disk
    for form in (token, text.encode(), token.hex().encode(), encode_base64url(token).encode()):
        assert form not in on_disk


def test_uses_days_and_count_are_what_they_say(data: Path) -> None:
    made = [
        json.loads(line)
        for line in printed("invite", data, "--uses", "3", "--days", "2", "--count", "4", "--json")
    ]
    assert len({item["invite"] for item in made}) == 4
    left = made[0]["until"] - int(time.time())
    assert {item["uses"] for item in made} == {3}
    assert 2 * 86_400 - 60 < left <= 2 * 86_400
    lines = printed("invites", data)
    assert len(lines) == 4
    assert all("3 left" in line and "UTC" in line for line in lines)


def test_revoking_takes_ids_as_they_are_listed_and_all_of_them_or_none(data: Path) -> None:
    printed("invite", data, "--count", "3")
    ids = [json.loads(line)["id"] for line in printed("invites", data, "--json")]
    assert "no invite has the id 'nobody'" in refused("invites", data, "--revoke", ids[0], "nobody")
    assert len(printed("invites", data)) == 3
    (left,) = printed("invites", data, "--revoke", ids[0], ids[2].upper(), "--json")
    assert json.loads(left)["id"] == ids[1]


@pytest.mark.parametrize("wrong", [("--uses", "0"), ("--days", "3651"), ("--count", "1001"), ("--uses", "²")])
def test_numbers_out_of_range_are_one_sentence(wrong: tuple[str, str], tmp_path: Path) -> None:
    assert "give a whole number from 1 to" in refused("invite", tmp_path, *wrong)


def test_where_no_relay_has_run_nothing_is_made(tmp_path: Path) -> None:
    assert "start it once, or give the --data-directory" in refused("invite", tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
    (tmp_path / "relay.db").write_bytes(os.urandom(4096))
    assert "relay.db" in refused("invite", tmp_path)
    (tmp_path / "relay.db").write_bytes(b"")
    assert "start the relay with this version once" in refused("invites", tmp_path)
    assert "keeps no invites" in refused_in_memory(tmp_path)


def refused_in_memory(directory: Path) -> str:
    settings = directory / "relay.toml"
    settings.write_text('store = "memory"\n')
    return refused("invite", directory, "--config", str(settings))


def test_the_commands_stand_in_the_help() -> None:
    done = subprocess.run([*RELAY, "--help"], capture_output=True, text=True, timeout=30, check=True)
    assert "blindpost relay invite (make invites)" in " ".join(done.stdout.split())
    for name in ("invite", "invites"):
        told = subprocess.run(
            [*RELAY, name, "--help"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert told.stdout.startswith(f"usage: blindpost relay {name} ")


# --- over the wire -------------------------------------------------------------------------------------


async def asks(relay: RelayProcess, account: Account, invite: str | None = None) -> control.ControlMessage:
    """What a device is told that has logged in and sends its account's list."""
    async with dial(relay.url) as peer:
        return await say(peer, account, invite)


async def say(peer: Peer, account: Account, invite: str | None) -> control.ControlMessage:
    await peer.log_in(account.device)
    token = None if invite is None else parse_invite(invite)
    await peer.send(control.Register(ref=5, device_list=account.list().encode(), invite=token))
    text = await peer.websocket.recv()
    assert isinstance(text, str)
    return control.decode_relay_message(text)


REGISTERED = control.Registered(ref=5)


async def test_an_operator_lets_a_friend_in_while_the_relay_runs(tmp_path: Path) -> None:
    with running_relay(tmp_path, registration="invite") as relay:
        stranger = await asks(relay, Account())
        assert isinstance(stranger, control.Error)
        assert (stranger.code, stranger.ref) == (ErrorCode.REGISTRATION_REFUSED, 5)
        assert (stranger.field, "ask its operator" in stranger.message) == ("invite", True)
        used, revoked = printed("invite", relay.data_dir, "--count", "2")
        printed("invites", relay.data_dir, "--revoke", invite_hash(parse_invite(revoked))[:5].hex())
        friend = Account()
        assert await asks(relay, friend, used) == REGISTERED
        assert await asks(relay, friend) == REGISTERED
        answers = [await asks(relay, Account(), token) for token in (used, revoked)]
        assert isinstance(answers[0], control.Error)
        assert answers[0] == answers[1]
        assert answers[0].code is ErrorCode.REGISTRATION_REFUSED
        for token in (used, revoked):
            assert token not in relay.log
            assert encode_base64url(parse_invite(token)) not in relay.log
        assert json.loads((await get(relay, "/v1/info")).text)["registration"] == "invite"


async def test_the_mode_counts_for_new_accounts_alone(tmp_path: Path) -> None:
    """Who came in while the relay was open stays, and may change its list, whatever the mode is now."""
    early, friends = Account(), tmp_path / "friends"
    friends.touch()
    with running_relay(tmp_path) as relay:
        assert await asks(relay, early) == REGISTERED
        devices = early.list()
        by_list: dict[str, object] = {"registration": "allow-list", "allow-list": friends}
        by_invite: dict[str, object] = {"registration": "invite"}
        for settings in (by_invite, by_list):
            relay.settings = settings
            relay.restart()
            assert isinstance(await asks(relay, Account()), control.Error)
            early.devices.append(Device())
            devices = early.successor(devices)
            async with dial(relay.url) as peer:
                assert (await peer.log_in(early.device)).registered
                await peer.send(control.Register(ref=5, device_list=devices.encode()))
                assert await peer.next(control.Registered) == REGISTERED


async def test_a_list_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    alice, bob = Account(), Account()
    friends = tmp_path / "friends"
    friends.write_text(f"# who may\n{Address(alice.key).text}@relay.example # Alice\n")
    with running_relay(tmp_path, registration="allow-list", allow_list=friends) as relay:
        assert await asks(relay, alice) == REGISTERED
        not_yet = await asks(relay, bob)
        assert isinstance(not_yet, control.Error)
        assert not_yet.code is ErrorCode.REGISTRATION_REFUSED
        assert (not_yet.field, "your address" in not_yet.message) == ("device_list", True)
        with friends.open("a") as file:
            file.write(Address(bob.key, None, bytes(16)).text + "\n")
        assert await asks(relay, bob) == REGISTERED
        for account in (alice, bob):
            assert Address(account.key).text not in relay.log


async def test_a_kill_loses_neither_the_account_nor_its_invite(tmp_path: Path) -> None:
    """Whatever the instant: the invite is spent exactly if the account is there, and asking again gets in."""
    with running_relay(tmp_path, registration="invite") as relay:
        for delay in (None, 0.001, 0.003):
            (line,) = printed("invite", relay.data_dir, "--json")
            made, friend = json.loads(line), Account()
            async with dial(relay.url) as peer:
                await peer.log_in(friend.device)
                devices, token = friend.list().encode(), parse_invite(made["invite"])
                await peer.send(control.Register(ref=5, device_list=devices, invite=token))
                if delay is None:
                    while uses_left(relay.data_dir, made["id"]):  # the answer is on its way, or not
                        pass
                else:
                    await asyncio.sleep(delay)  # the instant of the fault, not a wait for anything
                relay.kill()
            relay.start()
            async with dial(relay.url) as peer:
                is_known = (await peer.log_in(friend.device)).registered
            assert is_known == (uses_left(relay.data_dir, made["id"]) == 0)
            assert is_known or delay is not None
            assert await asks(relay, friend, made["invite"]) == REGISTERED
            assert uses_left(relay.data_dir, made["id"]) == 0
            assert isinstance(await asks(relay, Account(), made["invite"]), control.Error)


def uses_left(data: Path, id: str) -> int:
    (uses,) = (
        item["uses"] for item in map(json.loads, printed("invites", data, "--json")) if item["id"] == id
    )
    return int(uses)


# --- the list alone ------------------------------------------------------------------------------------


async def test_every_mode_has_its_terms(tmp_path: Path) -> None:
    listed, other = os.urandom(32), os.urandom(32)
    assert await Registration("open", None).terms(other, None, NOW) == ANYBODY
    by_invite = Registration("invite", None)
    without, wrong = await by_invite.terms(other, None, NOW), await by_invite.terms(other, b"h" * 32, NOW)
    assert without.refusal != wrong.refusal
    assert None not in (without.refusal, wrong.refusal)
    assert (wrong.invite_hash, wrong.now) == (b"h" * 32, NOW)
    file = tmp_path / "friends"
    file.write_text(f"# friends\n\n{Address(listed).text}  # Alice\n")
    by_list = Registration("allow-list", file)
    assert await by_list.terms(listed, None, NOW) == ANYBODY
    terms = await by_list.terms(other, b"h" * 32, NOW)
    assert terms.refusal is not None
    assert terms.invite_hash is None


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"bp1qqqqq", "line 1: address: "),
        (b"# fine\n\nalice # no address\n", "line 3: address: "),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"#" * (4 * 1024 * 1024 + 1), "use invites instead"),
    ],
)
def test_a_list_that_cannot_be_used_is_one_sentence(content: bytes, what: str, tmp_path: Path) -> None:
    file = tmp_path / "friends"
    file.write_bytes(content)
    with pytest.raises(AllowListError, match=what) as raised:
        read_allow_list(file)
    assert "alice" not in str(raised.value)
    done = subprocess.run(
        [*RELAY, "--registration", "allow-list", "--allow-list", str(file),
         "--data-directory", str(tmp_path / "data"), "--port", "0"],
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    assert what in done.stderr
    assert done.stderr.count("\n") == 1


async def test_while_the_list_cannot_be_read_the_one_before_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = os.urandom(32), os.urandom(32)
    file = tmp_path / "friends"
    file.write_text(Address(alice).text)
    by_list = Registration("allow-list", file)

    async def who() -> list[bool]:
        return [(await by_list.terms(key, None, NOW)).refusal is None for key in (alice, bob)]

    with caplog.at_level(logging.ERROR):
        assert await who() == [True, False]
        file.write_text(f"{Address(bob).text}\nnonsense")
        assert await who() == [True, False]
        assert await who() == [True, False]
        file.unlink()
        assert await who() == [True, False]
        (tmp_path / "new").write_text(Address(bob).text)
        (tmp_path / "new").rename(file)
        assert await who() == [False, True]
    told = [record.getMessage() for record in caplog.records]
    assert ["line 2" in told[0], "cannot be read" in told[1], len(told)] == [True, True, 2]
