"""A laptop is lost: its account goes on elsewhere, with real processes at a real relay."""

import shutil
from pathlib import Path

import pytest

from clients.errors import ExitCode
from tests.end_to_end.conftest import People
from tests.end_to_end.test_one_profile import running
from tests.support.accounting import ndjson, numbers
from tests.support.client_process import ClientProcess
from tests.support.relay_process import RelayProcess

SECRET = {"BLINDPOST_BACKUP_PASSPHRASE": "correct horse battery staple"}


def texts(who: ClientProcess, name: str) -> list[str]:
    return [line["text"] for line in who.json("history", name)]


def backed_up(who: ClientProcess, directory: Path) -> Path:
    file = directory / f"{who.name}.backup"
    who.environment |= SECRET
    (done,) = who.json("backup", str(file))
    assert done["file"] == str(file)
    return file


def restored(who: ClientProcess, file: Path, name: str, *options: str) -> ClientProcess:
    """The same person at another machine."""
    again = ClientProcess(who.profile.parent, name, SECRET)
    (made,) = again.json("restore", str(file), *options)
    assert (made["address"], made["registered"], made["told"]) == (who.address, True, True)
    again.address = made["address"]
    return again


def safety_number(who: ClientProcess, name: str) -> str:
    return str(who.json("contact", "verify", name)[0]["safety_number"])


@pytest.fixture
def couple(people: People) -> list[ClientProcess]:
    alice, bob = people("alice", "bob")
    alice.run("send", "bob", "before the backup")
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["before the backup"]
    bob.run("send", "alice", "seen")
    assert [line["text"] for line in alice.json("listen", "--count", "1")] == ["seen"]
    bob.run("listen", "--idle", "0.5")
    return [alice, bob]


def test_a_lost_laptop(couple: list[ClientProcess], tmp_path: Path) -> None:
    alice, bob = couple
    number = safety_number(alice, "bob")
    for one, other in ((alice, "bob"), (bob, "alice")):
        one.run("contact", "verify", other, number)
    file = backed_up(alice, tmp_path)
    shutil.rmtree(alice.profile)
    again = restored(alice, file, "desktop")
    assert texts(again, "bob") == ["before the backup", "seen"]
    bob.run("send", "alice", "to your new machine")
    bob.run("listen", "--idle", "1")
    (heard,) = again.json("listen", "--count", "1")
    assert (heard["text"], heard["late"], heard["missing_before"]) == ("to your new machine", False, 0)
    again.run("send", "bob", "all here", "--wait", "accepted")
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["all here"]
    assert safety_number(again, "bob") == safety_number(bob, "alice") == number
    for one in (again, bob):
        (contact,) = one.json("contact", "list")
        assert (contact["verified"], contact["alarm"], contact["devices"]) == (True, None, 1)
    assert [line["text"] for line in again.json("history", "bob", "--search", "before backup")] == [
        "before the backup"
    ]
    bob.run("listen", "--idle", "1")
    statuses = {line["status"] for line in bob.json("history", "alice") if line["direction"] == "out"}
    assert statuses == {"delivered"}


def test_what_waited_for_the_lost_laptop_arrives(couple: list[ClientProcess], tmp_path: Path) -> None:
    """The relay deletes the mailbox of a revoked device: whoever wrote to it sends it again."""
    alice, bob = couple
    file = backed_up(alice, tmp_path)
    sent = bob.json("send", "alice", "--ndjson", stdin=ndjson(range(20)))
    shutil.rmtree(alice.profile)
    again = restored(alice, file, "desktop")
    bob.run("listen", "--idle", "1")
    heard = again.json("listen", "--count", "20")
    assert numbers(heard) == list(range(20))
    assert [line["id"] for line in heard] == [line["id"] for line in sent]
    assert not any(line["late"] or line["missing_before"] for line in heard)
    bob.run("listen", "--idle", "1")
    statuses = {line["status"] for line in bob.json("history", "alice") if line["direction"] == "out"}
    assert statuses == {"delivered"}


def test_the_device_before_says_that_it_is_revoked_and_registers_no_more(
    couple: list[ClientProcess], tmp_path: Path
) -> None:
    alice, bob = couple
    file = backed_up(alice, tmp_path)
    with running(alice, "listen") as listening:
        again = restored(alice, file, "desktop")
        assert listening.process.wait(20) == ExitCode.TRUST
    assert "no longer in its account's device list" in alice.errors
    refused = alice.run("send", "bob", "from the old one", code=ExitCode.TRUST).stderr.decode()
    assert "no longer in its account's device list" in refused
    assert "queued" not in refused
    assert (
        "no longer in its account's device list" in alice.run("listen", code=ExitCode.TRUST).stderr.decode()
    )
    assert texts(alice, "bob")[:2] == ["before the backup", "seen"]
    # Nothing of it has reached anybody, and the account goes on at the new device.
    bob.run("send", "alice", "still there?")
    assert [line["text"] for line in again.json("listen", "--count", "1")] == ["still there?"]
    assert "from the old one" not in texts(bob, "alice")
    (contact,) = bob.json("contact", "list")
    assert contact["alarm"] is None


def test_a_backup_while_listen_runs(couple: list[ClientProcess], tmp_path: Path) -> None:
    alice, bob = couple
    with running(alice, "--json", "listen") as listening:
        file = backed_up(alice, tmp_path)
        bob.run("send", "alice", "and on", "--wait", "delivered")
        assert listening.json()["text"] == "and on"
    assert file.stat().st_mode & 0o777 == 0o600
    long = alice.run("backup", str(file), "--backup-passphrase-file", __file__, code=ExitCode.USAGE)
    assert "at most 1,000" in long.stderr.decode()
    weak = tmp_path / "weak"
    weak.write_text("hello\n")
    said = alice.run("backup", str(file), "--backup-passphrase-file", str(weak), code=ExitCode.USAGE)
    assert "too weak" in said.stderr.decode()
    del alice.environment["BLINDPOST_BACKUP_PASSPHRASE"]
    said = alice.run("backup", str(file), code=ExitCode.USAGE)
    assert "A backup has a passphrase" in said.stderr.decode()


def test_an_old_backup_follows_lists_that_are_newer(couple: list[ClientProcess], tmp_path: Path) -> None:
    """The same backup again and again: each time the relay holds a newer list than the backup."""
    alice, bob = couple
    file = backed_up(alice, tmp_path)
    *_, again = [restored(alice, file, f"machine-{number}") for number in range(3)]
    # Bob was away all the time, and has missed two lists.
    bob.run("send", "alice", "which one are you?")
    assert [line["text"] for line in again.json("listen", "--count", "1")] == ["which one are you?"]
    (contact,) = bob.json("contact", "list")
    assert contact["alarm"] is None


def test_two_restores_at_once(couple: list[ClientProcess], tmp_path: Path) -> None:
    alice, bob = couple
    file = backed_up(alice, tmp_path)
    both = [ClientProcess(tmp_path, name, SECRET) for name in ("one", "two")]
    started = [who.start("--json", "restore", str(file)) for who in both]
    codes = [process.process.wait(40) for process in started]
    for process in started:
        process.close()
    # One after the other is as good: then the later has revoked the earlier.
    winners = [who for who, code in zip(both, codes, strict=True) if code == 0]
    assert winners, [who.errors for who in both]
    for who, code in zip(both, codes, strict=True):
        if code != 0:
            assert code == ExitCode.TRUST, who.errors
            # Too late for the relay, or revoked by the other while it was still telling its contacts.
            was_late = "run the same command again" in who.errors
            assert was_late or "no longer in its account's device list" in who.errors
            assert who.profile.exists() != was_late
    bob.run("send", "alice", "one of you")
    listening = [
        who.start("--json", "listen", "--count", "1") for who in winners
    ]  # the revoked one ends, too
    heard = [line["text"] for process in listening for line in process.rest()]
    for process in listening:
        process.close()
    assert heard == ["one of you"]
    (contact,) = bob.json("contact", "list")
    assert contact["alarm"] is None


def test_a_restore_without_its_relay_is_finished_by_the_next_command(
    couple: list[ClientProcess], tmp_path: Path, relay: RelayProcess
) -> None:
    alice, bob = couple
    file = backed_up(alice, tmp_path)
    relay.terminate()
    again = ClientProcess(tmp_path, "desktop", SECRET)
    (made,) = again.json("restore", str(file), code=ExitCode.QUEUED)
    assert made["registered"] is False
    again.json("send", "bob", "later", "--timeout", "0.3", code=ExitCode.QUEUED)
    relay.start()
    restored(alice, file, "desktop")  # again, and so to the end
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["later"]
    assert again.run("restore", str(file), code=ExitCode.USAGE).stderr.decode().count("profile already")


def test_a_wrong_passphrase_changes_nothing(couple: list[ClientProcess], tmp_path: Path) -> None:
    alice, _ = couple
    file = backed_up(alice, tmp_path)
    again = ClientProcess(tmp_path, "desktop", {"BLINDPOST_BACKUP_PASSPHRASE": "something else altogether"})
    said = again.run("restore", str(file), code=ExitCode.LOCKED).stderr.decode()
    assert "does not open the backup" in said
    assert not again.profile.exists()
    assert alice.run("send", "bob", "still me").stdout == b"accepted\n"
