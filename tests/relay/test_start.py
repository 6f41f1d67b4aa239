"""Starting: the listening line, the files, and one clear sentence for everything that can be wrong."""

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from relay import config
from relay.config import Config, ConfigError, parser, read
from tests.support.relay_process import RelayProcess
from wire.control import decode_base64url


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relay", *arguments],
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
        [sys.executable, "-m", "relay", "--port", "0", "--data-directory", str(tmp_path / "data")],
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
        assert core.split()[4:6] == ["0", "0"]


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


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(os.urandom(4096))
    assert "damaged" in refused("--port", "0", "--data-directory", str(tmp_path))


def test_tls_files_that_do_not_work_are_refused(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("not a certificate")
    files = ("--tls-certificate", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    assert "tls_certificate" in refused("--port", "0", "--data-directory", str(tmp_path / "data"), *files)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--port", "70000"), "port"),
        (("--mailbox-frames", "0"), "mailbox_frames"),
        (("--store", "paper"), "store"),
        (("--public-urls", "wss://a b"), "public_urls"),
        (("--trusted-proxies", "nowhere"), "trusted_proxies"),
        (("--root-path", "/a?b"), "root_path"),
        (("--tls-key", "key.pem"), "go together"),
        (("--metrics-token", "short"), "metrics_token"),
        (("--config", "/nonexistent.toml"), "cannot be read"),
    ],
)
def test_a_bad_setting_is_named_without_quoting_secrets(arguments: tuple[str, ...], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as raised:
        read(arguments)
    assert "\n" not in str(raised.value)
    assert "short" not in str(raised.value)


def test_a_bad_setting_ends_the_program_with_2() -> None:
    assert "port" in refused("--port", "70000")
    assert "port" in refused(BLINDPOST_RELAY_PORT="nine")


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(
        'port = 1\nhost = "::1"\nmailbox_frames = 3\npublic_urls = ["wss://relay.example/post/"]\n'
    )
    monkeypatch.setenv("BLINDPOST_RELAY_PORT", "2")
    monkeypatch.setenv("BLINDPOST_RELAY_HOST", "127.0.0.2")
    settings, as_json = read(["--config", str(path), "--port", "4", "--json"])
    assert (settings.port, settings.host, settings.mailbox_frames) == (4, "127.0.0.2", 3)
    assert settings.origins(4) == ("wss://relay.example/post",)
    assert as_json


def test_an_unknown_key_in_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("mailbox_frame = 3\n")
    with pytest.raises(ConfigError, match="mailbox_frame"):
        read(["--config", str(path)])
    path.write_text("port = = 3\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read(["--config", str(path)])


def test_default_origins_are_those_of_the_own_machine() -> None:
    assert Config(root_path="post/").origins(8760) == (
        "ws://127.0.0.1:8760/post",
        "ws://localhost:8760/post",
        "ws://[::1]:8760/post",
    )
    assert Config(host="192.0.2.1").origins(1)[0] == "ws://192.0.2.1:1"


def test_the_token_does_not_print() -> None:
    assert "a token of some length" not in repr(Config(metrics_token="a token of some length"))


def test_the_default_data_directory_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert config.default_data_directory() == Path("/data/blindpost-relay")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert config.default_data_directory() == Path.home() / ".local" / "share" / "blindpost-relay"


def test_a_relay_for_others_without_public_urls_is_warned_about(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, settings={"host": "0.0.0.0"}) as relay:  # noqa: S104
        assert "public_urls" in relay.log


def test_the_memory_store_leaves_nothing_on_disk(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, settings={"store": "memory"}) as relay:
        assert relay.running
        assert not relay.data_dir.exists()


def test_listening_on_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    sentence = refused("--host", "192.0.2.1", "--port", "0", "--data-directory", str(tmp_path))
    assert "192.0.2.1" in sentence


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


def test_every_flag_has_a_sentence() -> None:
    assert all(field.description for field in Config.model_fields.values())
    assert parser().prog == "python -m relay"
