"""Starting: the listening line, the files, and one clear sentence for everything that can be wrong."""

import errno
import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import apsw
import pytest

from relay.config import Config
from relay.data_directory import DirectoryError, only_one
from relay.store import schema
from relay.store.base import StoreUnusableError
from relay.version import package_version
from tests.support.relay_process import RELAY, RelayProcess, free_port
from wire.control_values import decode_base64url


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RELAY, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environment},
    )


def refused(*arguments: str, **environment: str) -> str:
    done = run(*arguments, **environment)
    assert done.returncode == 2, done
    assert done.stdout == ""
    sentence = done.stderr.strip()
    assert sentence.startswith("blindpost relay: ")
    assert "\n" not in sentence
    return sentence


def test_help_teaches_every_setting() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in Config.model_fields:
        assert "--" + name.replace("_", "-") in done.stdout
    assert "BLINDPOST_RELAY_" in done.stdout


def test_the_listening_line_is_the_only_output(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*RELAY, "--port", "0", "--data-directory", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    rest, diagnostics = process.communicate(timeout=15)
    words = line.split()
    assert words[:4] == ["blindpost", "relay", "listening", "on"]
    assert words[4].startswith("ws://127.0.0.1:")
    assert words[5] == "key"
    assert len(decode_base64url(words[6])) == 32
    assert (rest, diagnostics, process.returncode) == ("", "", 0)


def test_files_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        assert stat.S_IMODE(relay.data_dir.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in relay.data_dir.iterdir()}
        assert {"relay.db", "relay.key"} <= set(modes)
        assert set(modes.values()) == {0o600}


def test_no_core_dump_would_be_written(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        limits = Path(f"/proc/{relay.pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["1", "1"]  # 0 would let it through a pipe


def test_a_second_relay_on_the_same_data_or_port_is_refused(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        assert "another relay runs on" in refused("--port", "0", "--data-directory", str(relay.data_dir))
        other = refused("--port", str(relay.port), "--data-directory", str(tmp_path / "other"))
        assert f"port {relay.port}" in other
        assert "--port" in other


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "relay.key"
    key.write_bytes(bytes(32))
    key.chmod(0o644)
    assert f"chmod 600 {key}" in refused("--port", "0", "--data-directory", str(tmp_path))
    key.chmod(0o600)
    key.write_bytes(bytes(31))
    assert "not a relay key" in refused("--port", "0", "--data-directory", str(tmp_path))


def test_a_data_directory_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        assert "is a file" in refused("--port", "0", "--data-directory", str(tmp_path / place))
    # Nobody can write there, not even the superuser.
    assert "--data-directory" in refused("--port", "0", "--data-directory", "/proc/self")
    assert "--data-directory" in refused("--port", "0", "--data-directory", "/proc/self/new")


@pytest.mark.parametrize(
    "failure",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EROFS, "Read-only file system"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_data_directory_that_takes_no_lock_is_one_sentence(
    failure: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise failure

    monkeypatch.setattr(Path, "open", failing)
    with (
        pytest.raises(DirectoryError, match=r"cannot be written to: [prn].*--data-directory"),
        only_one(tmp_path),
    ):
        pass


@pytest.mark.parametrize("name", ["relay.lock", "relay.key", "relay.db"])
def test_a_directory_where_a_file_belongs_is_named_so(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    sentence = refused("--port", "0", "--data-directory", str(tmp_path))
    assert f"{name} is a directory" in sentence
    assert "chmod" not in sentence


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        (apsw.FullError(), "free some space"),
        (apsw.CantOpenError(), "check owner and permissions"),
        (apsw.BusyError(), "another program holds it"),
        (apsw.IOError(), "check its disk"),
        (OSError(errno.EROFS, "Read-only file system"), "read-only file system; check owner"),
    ],
)
def test_a_database_that_cannot_be_opened_says_what_to_do(
    failure: Exception, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise failure

    monkeypatch.setattr(schema, "_create", failing)
    with pytest.raises(StoreUnusableError, match=advice) as raised:
        schema.open_writer(tmp_path / "relay.db")
    assert "Error" not in str(raised.value)


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(os.urandom(4096))
    assert "damaged" in refused("--port", "0", "--data-directory", str(tmp_path))


def test_a_schema_with_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    schema.open_writer(path)[0].close()
    content = path.read_bytes()
    assert b"full_at INTEGER" in content
    path.write_bytes(content.replace(b"full_at INTEGER", b"full_\xe1t INTEGER"))  # one bit
    assert "check its disk, or restore it" in refused("--port", "0", "--data-directory", str(tmp_path))


def test_tls_files_that_do_not_work_are_refused(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("not a certificate")
    files = ("--tls-certificate", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    place = ("--port", "0", "--data-directory", str(tmp_path / "data"))
    sentence = refused(*place, *files)
    assert "tls_certificate" in sentence
    assert "SSL" not in sentence
    (tmp_path / "key.pem").unlink()
    assert f"tls_key {tmp_path / 'key.pem'} cannot be read: no such file" in refused(*place, *files)


def test_a_bad_setting_ends_the_program_with_2() -> None:
    assert "port" in refused("--port", "70000")
    assert "port" in refused(BLINDPOST_RELAY_PORT="nine")
    assert "did you mean BLINDPOST_RELAY_PORT?" in refused(BLINDPOST_RELAY_PROT="9")
    assert "unrecognized arguments: --prot" in refused("--prot", "9")


def test_version_is_one_line() -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"blindpost relay {package_version()}\n"


@pytest.mark.parametrize("stdout", [">&-", "| true", ">/dev/full", ">&- 2>&- <&-"])
def test_a_relay_whose_listening_line_nobody_can_read_serves_all_the_same(
    stdout: str, tmp_path: Path
) -> None:
    port, errors = free_port(), tmp_path / "errors"
    errors.touch()
    program = shlex.join((*RELAY, "--port", str(port), "--data-directory", str(tmp_path / "data")))
    # The inner shell becomes the relay, whose own number it writes down first.
    script = f"(echo $BASHPID >{tmp_path / 'pid'}; exec {program} 2>>{errors}) {stdout}"
    shell = subprocess.Popen(["bash", "-c", script])
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                    assert answer.status == 200
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < deadline, errors.read_text()
                time.sleep(0.05)
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        shell.wait(15)
    assert "Traceback" not in errors.read_text()
    assert len(errors.read_text().splitlines()) <= 1


def test_a_relay_for_others_without_public_urls_is_warned_about(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, settings={"host": "0.0.0.0"}) as relay:  # noqa: S104 the case under test
        (line, announced) = sorted(relay.log.splitlines(), key=lambda line: line.startswith("{"))
        assert "--public-urls" in line
        # What is announced can be dialled: the wildcard is no address of anybody.
        assert json.loads(announced)["url"] == f"ws://127.0.0.1:{relay.port}"


def test_a_relay_announces_the_url_that_it_is_dialled_under(tmp_path: Path) -> None:
    settings = {"host": "0.0.0.0", "public-urls": "wss://relay.example/post,ws://10.0.0.7"}  # noqa: S104 the case under test
    with RelayProcess(tmp_path, settings=settings) as relay:
        assert json.loads(relay.log)["url"] == "wss://relay.example/post"


def test_the_memory_store_leaves_nothing_on_disk(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, settings={"store": "memory"}) as relay:
        assert relay.running
        assert not relay.data_dir.exists()


def test_listening_on_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    for host in ("192.0.2.1", "nowhere.invalid", "a..b"):
        sentence = refused("--host", host, "--port", "0", "--data-directory", str(tmp_path))
        assert host in sentence
        assert "choose another --host" in sentence
        assert "--port" not in sentence


def test_json_names_the_same_things(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        (line,) = [json.loads(text) for text in relay.log.splitlines()]
        assert line == {
            "event": "listening",
            "url": relay.origin,
            "port": relay.port,
            "relay_key": relay.relay_key,
        }
        with socket.create_connection(("127.0.0.1", relay.port), timeout=5):
            pass
