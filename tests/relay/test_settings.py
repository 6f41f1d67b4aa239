"""The settings: where they come from, which wins, and what is said of one that cannot be used."""

import re
import sys
from pathlib import Path

import pytest

from relay import config
from relay.config import Config, ConfigError, parser, read

# What a library or Python would say; an operator is told the setting and what to do.
NOT_FOR_OPERATORS = re.compile(r"Error\b|Input|Extra|inputs|permitted|str\b|int\b|pydantic|[Vv]alid ")


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
        (("--config", "/nonexistent.toml"), "cannot be read: no such file"),
        (("--login-deadline", "inf"), "login_deadline"),
        (("--login-deadline", "soon"), "login_deadline: must be a number"),
        (("--port", "x"), "port: must be a whole number"),
        (("--port", "-1"), "port: must be at least 0"),
        (("--store", "paper"), "must be one of 'sqlite' or 'memory'"),
        (("--metrics-token", "short"), "must have at least 16 characters"),
        (("--mailbox-frames", "0"), "must be more than 0"),
    ],
)
def test_a_bad_setting_is_named_without_quoting_secrets(arguments: tuple[str, ...], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as raised:
        read(arguments)
    assert "\n" not in str(raised.value)
    assert "short" not in str(raised.value)
    assert NOT_FOR_OPERATORS.search(str(raised.value)) is None


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


@pytest.mark.parametrize("token", ["-a_token-with-a-dash", "--a_token-with-two", "-p_like=another-flag"])
def test_a_value_may_begin_with_a_dash(token: str) -> None:
    settings, as_json = read(["--metrics-token", token, "--json", "--port", "4"])
    assert (settings.metrics_token, settings.port, as_json) == (token, 4, True)


@pytest.mark.parametrize(
    "behind", [(), ("--json",), ("--port", "4"), ("--port=4",), ("-h",), ("--prot", "4"), ("--prot=4",)]
)
def test_another_flag_is_no_value(behind: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="--metrics-token: expected one argument"):
        read(["--metrics-token", *behind])


def test_an_unknown_key_in_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("mailbox_frame = 3\n")
    with pytest.raises(ConfigError, match="no setting is called mailbox_frame; did you mean mailbox_frames"):
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
    # The first is announced, and so must be one under which the relay can be dialled.
    assert Config(host="0.0.0.0").origins(1)[0] == "ws://127.0.0.1:1"  # noqa: S104 the case under test
    assert Config(host="::").origins(1)[0] == Config(host="::1").origins(1)[0] == "ws://[::1]:1"
    assert Config(host="fe80::1%eth0").origins(1)[0] == "ws://127.0.0.1:1"


def test_the_token_does_not_print() -> None:
    assert "a token of some length" not in repr(Config(metrics_token="a token of some length"))


def test_the_default_data_directory_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert config.default_data_directory() == Path("/data/blindpost-relay")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert config.default_data_directory() == Path.home() / ".local" / "share" / "blindpost-relay"


def test_every_flag_has_a_sentence() -> None:
    assert all(field.description for field in Config.model_fields.values())
    assert parser().prog == "blindpost relay"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("prot = 3", "no setting is called prot; did you mean port"),
        ("port = [1]", "port: must be a whole number"),
        ("port = 1.5", "port: must be a whole number"),
        ("host = 7", "host: must be text"),
        ("data_directory = 7", "data_directory: must be the path"),
        ("public_urls = 7", "public_urls: must be a list"),
        ("public_urls = [7]", "public_urls: must be text"),
        ("login_deadline = nan", "login_deadline: must be"),
        ("log_level = 7", "log_level: must be one of"),
    ],
)
def test_a_bad_setting_in_the_file_is_named_in_words_for_operators(
    text: str, word: str, tmp_path: Path
) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=word) as raised:
        read(["--config", str(path)])
    assert NOT_FOR_OPERATORS.search(str(raised.value)) is None


def test_a_file_of_settings_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory; name a TOML file"):
        read(["--config", str(tmp_path)])
    (tmp_path / "latin").write_bytes(b"\xe9")
    with pytest.raises(ConfigError, match="UTF-8"):
        read(["--config", str(tmp_path / "latin")])


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLINDPOST_RELAY_FOO", "1")
    with pytest.raises(ConfigError, match="no setting is called BLINDPOST_RELAY_FOO"):
        read([])


def test_a_variable_in_lower_case_wins_over_the_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("port = 1\n")
    monkeypatch.setenv("blindpost_relay_port", "2")
    assert read(["--config", str(path)])[0].port == 2
