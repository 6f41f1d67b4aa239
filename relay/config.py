"""What an operator may set, read once.

Owns the settings, their sources (flags before environment before file before default) and their meaning. The
only file of the relay that reads the environment. Knows nothing about who uses a setting.
"""

import argparse
import contextlib
import ipaddress
import os
import re
import sys
import tomllib
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError

from relay.admission import Caps, Network
from relay.buckets import Rate
from relay.complaints import OperatorError, complaint, reason, unknown
from relay.rates import Limit
from relay.store.base import Quota
from relay.version import package_version
from wire.addresses import RelayUrl
from wire.errors import WireError
from wire.limits import (
    IDLE_SUBMIT,
    LOGIN_DEADLINE,
    MAILBOX_BYTES,
    MAILBOX_FRAMES,
    MAILBOX_TTL,
    REQUEST_BYTES,
    REQUEST_FRAMES,
)

PREFIX: Final = "BLINDPOST_RELAY_"
DEFAULT_PORT: Final = 8760

Texts = Annotated[tuple[str, ...], NoDecode]
Positive = Annotated[int, Field(gt=0)]
RateText = Annotated[Rate, NoDecode, BeforeValidator(lambda value: Rate.parse(str(value)))]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
RegistrationMode = Literal["open", "invite", "allow-list"]
FirewallMode = Literal["basic", "strict"]
_FLAG: Final = re.compile(r"-h|--[a-z][a-z-]*(=.*)?", re.DOTALL)  # a random token has other characters
SLOWEST_RATE: Final = 3 * 3600  # seconds until the slowest of the default rates, `list_rate`, has recovered
EVERYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


class ConfigError(OperatorError):
    """A setting cannot be used; the text is one sentence for the operator, naming it."""


def default_data_directory() -> Path:
    """Where this platform keeps a program's data."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return root / "blindpost-relay"


class Config(BaseSettings):
    """Every setting of a relay. Each is a flag, a `BLINDPOST_RELAY_*` variable and a key of the TOML file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, validate_default=True
    )

    data_directory: Path = Field(
        default_factory=default_data_directory, description="holds relay.db and relay.key"
    )
    store: Literal["sqlite", "memory"] = Field("sqlite", description="memory forgets everything at exit")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(DEFAULT_PORT, ge=0, le=65535, description="0 picks a free one")
    public_urls: Texts = Field(
        (), description="where clients dial this relay, such as wss://relay.example; default: loopback"
    )
    root_path: str = Field("", description="path prefix that a proxy adds, such as /post")
    tls_certificate: Path | None = Field(None, description="PEM file, with the chain")
    tls_key: Path | None = Field(None, description="PEM file")
    registration: RegistrationMode = Field(
        "open",
        description="who may register a new account: open (everybody), invite or allow-list",
    )
    allow_list: Path | None = Field(
        None, description="file of addresses, one per line, for registration allow-list; read when changed"
    )
    firewall: FirewallMode = Field(
        "basic",
        description="what is not taken: basic (what is no envelope), strict (what looks like plaintext, too)",
    )
    mailbox_frames: Positive = Field(MAILBOX_FRAMES, description="frames a mailbox holds")
    mailbox_bytes: Positive = Field(MAILBOX_BYTES, description="bytes a mailbox holds")
    request_frames: Positive = Field(
        REQUEST_FRAMES, description="frames put without a delivery token that a mailbox holds beside them"
    )
    request_bytes: Positive = Field(REQUEST_BYTES, description="bytes put without a delivery token, likewise")
    mailbox_ttl: Positive = Field(MAILBOX_TTL, description="seconds that a frame waits to be pulled")
    login_deadline: Seconds = Field(
        LOGIN_DEADLINE,
        description="seconds from accept to a finished login, and from there to a registration",
    )
    submit_idle: Seconds = Field(IDLE_SUBMIT, description="seconds until an unused submit connection ends")
    sockets_before_login: Positive = Field(1000, description="in all")
    sockets_per_prefix: Positive = Field(
        32, description="before a registered device's login, per IPv4 address or IPv6 /64"
    )
    submit_per_prefix: Positive = Field(64, description="submit connections per IPv4 address or IPv6 /64")
    buffered_bytes: Positive = Field(
        256 * 1024 * 1024, description="bytes that wait for all readers together; then the slowest is closed"
    )
    # Rates are a burst and what comes after it. Prefix: an IPv4 address or IPv6 /64.
    put_rate_per_prefix: RateText = Field(Rate(2000, 400, 1), description="frames put from one prefix")
    put_rate_per_token: RateText = Field(Rate(1000, 100, 1), description="frames put with one delivery token")
    request_rate: RateText = Field(
        Rate(20, 6, 60), description="frames from one prefix to one mailbox without a token that holds"
    )
    take_rate: RateText = Field(
        Rate(6, 6, 3600), description="one-time prekeys of one account taken from one prefix"
    )
    take_rate_per_account: RateText = Field(
        Rate(30, 30, 3600), description="one-time prekeys of one account taken in all"
    )
    fetch_rate: RateText = Field(Rate(60, 2, 1), description="bundles fetched from one prefix")
    watch_rate: RateText = Field(Rate(120, 4, 1), description="presence watches begun from one prefix")
    device_rate: RateText = Field(
        Rate(300, 10, 1),
        description="changes by one device: lists, prekeys, tokens, appearances, checkpoints",
    )
    register_rate: RateText = Field(
        Rate(120, 12, 60), description="lists brought from one prefix by devices that are not registered"
    )
    list_rate: RateText = Field(
        Rate(12, 4, 3600), description="lists of one account brought by its registered devices"
    )
    socket_rate: RateText = Field(Rate(240, 10, 1), description="sockets opened from one prefix")
    http_rate: RateText = Field(Rate(240, 10, 1), description="HTTP requests from one prefix")
    trusted_proxies: Texts = Field((), description="addresses or networks whose X-Forwarded-For is believed")
    loop: Literal["auto", "asyncio", "uvloop"] = Field(
        "auto", description="event loop; auto is uvloop where that is installed, else asyncio"
    )
    metrics_token: str | None = Field(
        None, min_length=16, repr=False, description="lets others than loopback read /metrics"
    )
    log_format: Literal["text", "json"] = Field("text", description="one line per event, to stderr")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severity")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is handed in and the environment; `read` puts the file below them."""
        return init_settings, env_settings

    @field_validator("public_urls", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(item.strip() for item in value.split(",") if item.strip())
        return value

    @field_validator("public_urls")
    @classmethod
    def _canonical_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(RelayUrl.parse(url).origin for url in value)
        except WireError as error:
            raise ValueError(
                "must be URLs such as wss://relay.example or ws://127.0.0.1:8760/post"
            ) from error

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError as error:
                raise ValueError("must be addresses or networks such as 127.0.0.1 or 10.0.0.0/8") from error
        return value

    @field_validator("root_path")
    @classmethod
    def _path(cls, value: str) -> str:
        path = "/" + value.strip("/") if value.strip("/") else ""
        try:
            RelayUrl.parse("localhost" + path)
        except WireError as error:
            raise ValueError("must be a plain path such as /post") from error
        return path

    @model_validator(mode="after")
    def _both_tls_files(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together; set both or neither")
        return self

    @model_validator(mode="after")
    def _registration_has_what_it_needs(self) -> Self:
        if (self.registration == "allow-list") != (self.allow_list is not None):
            raise ValueError(
                "registration allow-list and the file allow_list go together; set both or neither"
            )
        if self.registration == "invite" and self.store == "memory":
            raise ValueError(
                "registration invite needs the store sqlite, where invites are kept; choose another"
            )
        return self

    @property
    def scheme(self) -> str:
        """`wss` where this relay ends TLS itself, else `ws`."""
        return "ws" if self.tls_certificate is None else "wss"

    def origins(self, port: int) -> tuple[str, ...]:
        """`public_urls`, or what is true of a relay that is dialled on its own machine at `port`."""
        if self.public_urls:
            return self.public_urls
        own = EVERYWHERE.get(self.host, self.host)
        origins = []
        for host in dict.fromkeys((own, "127.0.0.1", "localhost", "::1")):
            shown = f"[{host}]" if ":" in host else host
            # A link-local address with its zone can be listened on, and stands in no URL.
            with contextlib.suppress(WireError):
                origins.append(RelayUrl.parse(f"{self.scheme}://{shown}:{port}{self.root_path}").origin)
        return tuple(dict.fromkeys(origins))

    @property
    def quota(self) -> Quota:
        """What one mailbox holds."""
        return Quota(self.mailbox_frames, self.mailbox_bytes, self.request_frames, self.request_bytes)

    def caps(self, in_all: int) -> Caps:
        """How many sockets are let in; `in_all` is what the system allows.

        Those before login, and the same number again that have not asked for anything, leave half of them.
        """
        before_login = min(self.sockets_before_login, max(1, in_all // 4))
        return Caps(before_login, self.sockets_per_prefix, self.submit_per_prefix, in_all)

    @property
    def rates(self) -> dict[Limit, Rate]:
        """Every rate, by its name."""
        return {limit: getattr(self, limit) for limit in Limit}

    @cached_property
    def proxies(self) -> tuple[Network, ...]:
        """`trusted_proxies` as networks."""
        return tuple(ipaddress.ip_network(network, strict=False) for network in self.trusted_proxies)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence, as for every other mistake, in place of all flags and then the sentence."""
        raise ConfigError(f"{message}; --help lists all flags")

    def words(self, arguments: Sequence[str] | None) -> list[str]:
        """What is parsed: a value that begins with a dash, as one random token of 64, joined to its flag.

        What has the form of a flag is none, so that a misspelt one becomes nobody's token or directory.
        """
        given, found = list(sys.argv[1:] if arguments is None else arguments), list[str]()
        for word in given:
            flag = self._option_string_actions.get(found[-1]) if found else None
            takes_value = flag is not None and flag.nargs is None
            if takes_value and word[:1] == "-" and _FLAG.fullmatch(word) is None:
                found[-1] += f"={word}"
            else:
                found.append(word)
        return found


def _add_settings(flags: argparse.ArgumentParser, names: Collection[str]) -> None:
    flags.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    for name, field in Config.model_fields.items():
        if name not in names:
            continue
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "" if default in (None, (), "") else f" (default: {default})"
        flags.add_argument(
            "--" + name.replace("_", "-"),
            dest=name,
            default=argparse.SUPPRESS,
            metavar="VALUE",
            help=f"{field.description}{shown}".replace("%", "%%"),
        )


def parser(commands: Collection[str] = ()) -> _Parser:
    """The flags of a running relay; one per setting, so that `--help` is the whole list.

    `commands`: what else the program does, as `name (summary)`.
    """
    also = f" Commands: blindpost relay {', '.join(commands)}." if commands else ""
    flags = _Parser(
        prog="blindpost relay",
        description="Run a blindpost relay: it stores and forwards ciphertext that it cannot read.",
        epilog=f"Every setting is also a {PREFIX}* environment variable and a key of the --config file "
        "(TOML); flags win, then the environment. Separate lists by commas. Try: blindpost relay --port 0."
        + also,
        allow_abbrev=False,
    )
    flags.add_argument("--version", action="version", version=f"blindpost relay {package_version()}")
    flags.add_argument("--json", action="store_true", help="print the listening line as a JSON object")
    _add_settings(flags, Config.model_fields)
    return flags


def command_parser(name: str, description: str, settings: Collection[str]) -> _Parser:
    """The flags of `blindpost relay NAME`: `--config` and these settings, if any; it adds its own."""
    flags = _Parser(
        prog=f"blindpost relay {name}",
        description=description,
        epilog=f"The {PREFIX}* environment variables and the --config file count as they do for the relay: "
        "give what the relay is given."
        if settings
        else None,
        allow_abbrev=False,
    )
    if settings:
        _add_settings(flags, settings)
    return flags


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {path} cannot be read: {reason(error)}; name a TOML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--config {path} is not UTF-8 text; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"--config {path} is not valid TOML; correct it: {error}") from error


def _in_environment(known: Collection[str]) -> set[str]:
    """The settings that the environment gives; a misspelt one would else be passed over in silence."""
    given = {name: value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    for variable in given:
        if variable[len(PREFIX) :].lower() not in known:
            variables = [PREFIX + name.upper() for name in known]
            raise ConfigError("environment: " + unknown(variable, variables))
    return {variable[len(PREFIX) :].lower() for variable, value in given.items() if value}


def settle(flags: dict[str, Any]) -> Config:
    """The settings: those among parsed flags, which are taken out, then the environment, then the file.

    Raises ConfigError.
    """
    path, known = flags.pop("config"), tuple(Config.model_fields)
    given = {name: flags.pop(name) for name in known if name in flags}
    from_file = {} if path is None else _from_file(path)
    for name in _in_environment(known):
        from_file.pop(name, None)
    try:
        return Config(**(from_file | given))
    except ValidationError as error:
        raise ConfigError(complaint(error, known)) from error
    except SettingsError as error:
        raise ConfigError(
            f"a {PREFIX}* environment variable cannot be read; --help tells their form"
        ) from error


def read(arguments: Sequence[str] | None = None, commands: Collection[str] = ()) -> tuple[Config, bool]:
    """The settings, and whether the listening line is to be JSON. Raises ConfigError."""
    accepted = parser(commands)
    flags: dict[str, Any] = vars(accepted.parse_args(accepted.words(arguments)))
    return settle(flags), flags["json"]
