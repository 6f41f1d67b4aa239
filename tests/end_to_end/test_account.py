"""What the relay holds about somebody, shown and deleted with real processes at a real relay."""

import json
import stat
import sys
from pathlib import Path

from clients.errors import ExitCode
from tests.end_to_end.conftest import People
from tests.end_to_end.test_one_profile import running
from tests.relay.furnished import traces
from tests.support.client_process import Json
from tests.support.relay_process import RelayProcess
from tests.support.terminal import Terminal
from wire.control_values import decode_base64url


def values(records: list[Json]) -> set[bytes]:
    """What of an account could be recognised in a file; what is in memory alone is not."""
    found = set()
    for record in records:
        for name, value in record.items():
            if isinstance(value, str) and name not in ("held", "sha256") and record["held"] != "presence":
                found.add(decode_base64url(value))
    return found


def test_an_export_for_people_and_for_programs(people: People, tmp_path: Path) -> None:
    alice, bob = people("alice", "bob")
    bob.run("send", "alice", "waiting", "--wait", "accepted")
    records = alice.json("account", "export")
    held = {record["held"] for record in records}
    assert held == {"account", "mailbox", "prekey", "token", "rates", "presence"} | held & {"frame"}
    assert len([record for record in records if record["held"] == "prekey"]) > 200  # more than a page
    (presence,) = (record for record in records if record["held"] == "presence")
    assert presence["connected"]
    file = tmp_path / "out.json"
    (done,) = alice.json("account", "export", "-o", str(file))
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert done == {"file": str(file), "records": len(written)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {record["held"] for record in written} == held - {"frame"}
    said = alice.run("account", "export").stdout.decode()
    assert "account key" in said
    assert "one-time, 1 last-resort KEM" in said


def test_a_deleted_account_is_gone_and_its_profile_says_so(people: People, relay: RelayProcess) -> None:
    alice, bob = people("alice", "bob")
    alice.run("send", "bob", "remember me", "--wait", "accepted")
    bob.run("listen", "--count", "1")
    found = values(alice.json("account", "export"))
    assert traces(relay.data_dir, found) > 200
    refused = alice.run("account", "delete", code=ExitCode.USAGE)
    assert "--yes" in refused.stderr.decode()
    (done,) = alice.json("account", "delete", "--yes")
    assert done["wiped"] is True
    assert traces(relay.data_dir, found) == 0
    # Nothing registers it again, and everything says why.
    for command in (("send", "bob", "still here?"), ("listen", "--idle", "1"), ("account", "export")):
        ended = alice.run(*command, code=ExitCode.NOT_FOUND)
        assert "was deleted at its relay on" in ended.stderr.decode(), command
    shown = alice.run("history", "bob")
    assert b"remember me" in shown.stdout
    assert "account was deleted at its relay on" in shown.stderr.decode()
    examined = alice.run("doctor", code=None)
    assert b"was deleted at its relay on" in examined.stdout
    assert b"registers it" not in examined.stdout
    again = alice.json("account", "delete", "--yes")
    assert again == [{"deleted": done["deleted"], "wiped": None}]
    assert traces(relay.data_dir, found) == 0
    # Others meet nobody.
    bob.run("send", "alice", "hello?", "--wait", "accepted", "--timeout", "3", code=ExitCode.QUEUED)


def test_while_another_process_owns_the_profile(people: People, relay: RelayProcess) -> None:
    (alice,) = people("alice")
    with running(alice, "listen", "--json") as listening:
        found = values(alice.json("account", "export"))
        (done,) = alice.json("account", "delete", "--yes")
        assert done["wiped"] is True
        assert listening.process.wait(20) == ExitCode.NOT_FOUND
    assert traces(relay.data_dir, found) == 0


def test_a_relay_that_is_away_changes_nothing_and_a_lost_answer_is_asked_for_again(
    people: People, relay: RelayProcess
) -> None:
    alice, bob = people("alice", "bob")
    relay.kill()
    away = alice.run("account", "delete", "--yes", code=ExitCode.RELAY)
    assert "cannot be reached" in away.stderr.decode()
    relay.start()
    alice.run("send", "bob", "still here", "--wait", "accepted")
    # As after a kill between the note and the answer.
    noted = json.loads((alice.profile / "profile.json").read_text())
    (alice.profile / "profile.json").write_text(json.dumps({**noted, "deleted": "begun"}))
    ended = alice.run("send", "bob", "again", code=ExitCode.NOT_FOUND)
    assert "Finish it: blindpost account delete" in ended.stderr.decode()
    (done,) = alice.json("account", "delete", "--yes")
    assert done["wiped"] is True
    bob.run("send", "alice", "x", "--wait", "accepted", "--timeout", "2", code=ExitCode.QUEUED)


def test_a_person_types_the_word_and_is_told_what_goes_and_what_stays(people: People) -> None:
    (alice,) = people("alice")
    command = [sys.executable, "-m", "clients", "--profile", str(alice.profile), "account", "delete"]
    for typed, code in (("yes", ExitCode.USAGE), ("delete", ExitCode.OK)):
        with Terminal(command) as terminal:
            terminal.until("type delete:")
            said = " ".join(terminal.text.split())
            assert "contacts are not told" in said
            assert "backups that the relay's operator made before" in said
            assert str(alice.profile.name) in said
            terminal.type(f"{typed}\r")
            assert terminal.ended() == code
            assert ("Nothing was deleted" in terminal.text) == (code is ExitCode.USAGE)
        if code is ExitCode.USAGE:
            assert alice.json("account", "export")
    alice.run("account", "export", code=ExitCode.NOT_FOUND)
