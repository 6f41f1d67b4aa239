"""The ledger of metadata and what the relay really handles: nothing undeclared, nothing declared in vain."""

import ast
import inspect
import json
import logging
import pkgutil
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from prometheus_client import Counter
from pydantic.fields import FieldInfo
from uvicorn.protocols.http import httptools_impl

from relay import config, endpoints, heads, ledger, logs
from relay.app import Relay, create_app
from relay.commands import COMMANDS
from relay.ledger import UndeclaredError, check, handled, undeclared
from relay.store.sqlite import SqliteStore
from tests.architecture.held import held, held_in, values_in
from tests.relay.answers import response_headers
from tests.relay.test_start import refused
from tests.relay.whole import composed
from tests.support.relay_process import RelayProcess, running_relay
from wire import frames
from wire.control import Welcome
from wire.ledger import FILE, Place, parse, read

ROOT = Path(__file__).parents[2]
LEDGER = read()


# --- both ways -------------------------------------------------------------------------------------------


def events() -> set[str]:
    """The first argument of each call that writes a line of the log."""
    found = set()
    for path in sorted((ROOT / "relay").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and re.fullmatch(
                r"(self\._)?log(\.(debug|info|warning|error|critical|exception|log))?", ast.unparse(node.func)
            ):
                line = node.args[0]
                assert isinstance(line, ast.Constant), (
                    f"{path.name}:{node.lineno}: a line that is made elsewhere"
                )
                found.add(f"event.{line.value!s}")
    return found


async def test_everything_is_declared_and_nothing_else(tmp_path: Path, relay: RelayProcess) -> None:
    async with composed(tmp_path / "whole") as whole:
        found = handled(whole)
        check(whole)
        labels = {name: set(each) for name, each in ledger.metrics(whole.metrics.registry).items()}
        served = create_app(whole).openapi()["paths"]
    names = await response_headers(relay)
    with running_relay(tmp_path, http_rate="1+1/h") as limited:
        names |= await response_headers(limited)
    found[Place.HTTP] |= {f"response-header.{name}" for name in names}
    found[Place.LOG] |= events()
    found[Place.MEMORY] = {*held(), *held_in(inspect.getsource(httptools_impl))}
    assert {name: set(entry.labels) for name, entry in LEDGER.of(Place.METRIC).items()} == labels
    routes = {f"{method.upper()} {path}" for path, methods in served.items() for method in methods}
    assert routes == {name for name in LEDGER.of(Place.HTTP) if name.startswith("GET ")} - {"GET /v1/ws"}
    for place in Place:
        declared = set(LEDGER.of(place))
        assert found[place] - declared == set(), f"{place}: declare it in wire/ledger.toml"
        assert declared - found[place] == set(), f"{place}: declared, and nothing handles it any more"


async def test_a_relay_that_stores_nothing_is_checked_as_well(tmp_path: Path) -> None:
    async with composed(tmp_path, store="memory") as whole:
        check(whole)
        assert Place.STORE not in handled(whole)


async def test_the_directory_holds_declared_files_alone(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as process:
        found = {path.name for path in process.data_dir.iterdir()}
        process.kill()
        found |= {path.name for path in process.data_dir.iterdir()}
    assert {"relay.db", "relay.db-wal", "relay.key", "relay.lock", "relay.mark"} <= found
    assert found <= set(LEDGER.of(Place.FILE))


def test_the_headers_of_frames_are_as_long_as_their_fields() -> None:
    sizes: dict[str, int] = {}
    for name, entry in LEDGER.of(Place.FRAME).items():
        frame = name.partition(".")[0]
        sizes[frame] = sizes.get(frame, 0) + (entry.bytes or 0)
    assert sizes == {"put": frames.PUT_HEADER, "deliver": frames.DELIVER_HEADER, "websocket": 0}


# --- what is planted is found ------------------------------------------------------------------------------


def column(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    assert isinstance(whole.store, SqliteStore)
    whole.store.columns |= {"frames.sender"}
    return "frames.sender"


def model_field(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    patch.setitem(Welcome.model_fields, "last_seen", FieldInfo(annotation=int))
    return "welcome.last_seen"


def metric(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    Counter("blindpost_by_mailbox", "…", registry=whole.metrics.registry)
    return "blindpost_by_mailbox"


def metric_label(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    whole.metrics.registry.unregister(whole.metrics.logins)
    Counter("blindpost_logins", "…", ["country"], registry=whole.metrics.registry).labels("xx").inc()
    return "blindpost_logins{country}"


def metric_value(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    whole.metrics._refused.labels("192.0.2.7").inc()
    return "blindpost_refused{code='192.0.2.7'}"


def metric_label_without_a_value(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    whole.metrics.registry.unregister(whole.metrics.logins)
    Counter("blindpost_logins", "…", ["country"], registry=whole.metrics.registry)
    return "blindpost_logins{country}"


def log_key(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    format_before = logs.Format.format

    def with_peer(self: logs.Format, record: logging.LogRecord) -> str:
        return json.dumps({**json.loads(format_before(self, record)), "peer": "192.0.2.7"})

    patch.setattr(logs.Format, "format", with_peer)
    return "peer"


def request_header(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(heads, "READ", heads.READ | {b"user-agent"})
    return "request-header.user-agent"


def told(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    about = endpoints.about
    patch.setattr(endpoints, "about", lambda relay: {**about(relay), "users": 7})
    return "info.users"


def route(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    from fastapi import APIRouter

    async def find(name: str) -> None: ...

    router = APIRouter()
    router.add_api_route("/v1/people", find)
    patch.setattr(endpoints, "router", router)
    return "GET /v1/people"


def setting(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    patch.setitem(config.Config.model_fields, "ban_list", FieldInfo(annotation=str))
    return "ban_list"


def frame_field(whole: Relay, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(ledger, "_HEAD", ("type", "version", "sender"))
    return "deliver.sender"


PLANTED = (
    column, model_field, metric, metric_label, metric_value, log_key, request_header, told, route, setting,
    frame_field, metric_label_without_a_value,
)  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
async def test_a_relay_does_not_start_with_what_is_not_declared(
    plant: Callable[[Relay, pytest.MonkeyPatch], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with composed(tmp_path) as whole:
        assert undeclared(LEDGER, whole) == {}
        name = plant(whole, monkeypatch)
        with pytest.raises(UndeclaredError, match=re.escape(name)) as raised:
            check(whole)
    assert "\n" not in str(raised.value)
    assert "ledger" in str(raised.value)


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("ALTER TABLE frames ADD COLUMN sender BLOB", "frames.sender"),
        ("CREATE TABLE visits (device_key BLOB, at INTEGER)", "visits.at"),
        ("CREATE VIEW pairs AS SELECT mailbox, frame_id AS who FROM frames", "pairs.mailbox"),
        ("CREATE TRIGGER note AFTER DELETE ON frames BEGIN SELECT 1; END", "trigger note"),
    ],
)
def test_a_real_relay_refuses_a_database_with_what_is_not_declared(
    statement: str, name: str, tmp_path: Path
) -> None:
    with RelayProcess(tmp_path) as process:
        directory = process.data_dir
    connection = apsw.Connection(str(directory / "relay.db"))
    connection.execute(statement)
    connection.close()
    sentence = refused("--port", "0", "--data-directory", str(directory))
    assert name in sentence
    assert "which the ledger of metadata does not declare" in sentence
    assert "restore a backup" in sentence


def test_a_real_relay_refuses_to_start_with_a_ledger_that_lacks_a_field(tmp_path: Path) -> None:
    for name in ("relay", "wire"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = FILE.read_text()
    assert text.count('"mode", "version", ') == 1
    (tmp_path / "wire" / "ledger.toml").write_text(text.replace('"mode", "version", ', '"version", '))
    process = RelayProcess(tmp_path, environment={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
    with pytest.raises(AssertionError, match=r"control messages have the field hello\.mode"):
        process.start()


def planted_in(source: str) -> set[str]:
    values = values_in("@dataclass(frozen=True)\nclass Whom:\n    key: bytes\n")
    assert values == {"Whom"}
    return held_in("class Presence:\n" + source, values)


@pytest.mark.parametrize(
    "line",
    [
        "self._seen: dict[bytes, int] = {}",
        "self._seen = {}",
        "self._seen = set[bytes]()",
        "self._seen = peer",
        "self.other, self._seen = 1, [peer]",
        "self._seen: bytes | None = None",
        "self._seen: Final[dict[str, str]] = Fancy()",
        "self._seen: Whom | None = None",
    ],
)
def test_a_map_of_peers_that_is_planted_in_memory_is_found(line: str) -> None:
    assert planted_in(f"    def __init__(self, peer: str) -> None:\n        {line}\n") == {"Presence._seen"}


@pytest.mark.parametrize(
    "source",
    [
        "SEEN = {}",
        "SEEN: Final[dict[bytes, int]] = {}",
        "SEEN = set[bytes]()",
        "SEEN = deque(maxlen=7)",
        "@functools.lru_cache(100)\ndef SEEN(peer): ...",
        "class Presence:\n    SEEN = {}",
        "class Presence:\n    @cached_property\n    def SEEN(self): ...",
    ],
)
def test_what_a_module_or_a_class_itself_remembers_is_found(source: str) -> None:
    assert {name.rpartition(".")[2] for name in held_in(source)} == {"SEEN"}
    assert held_in('KNOWN = {"a": 1}\nNAMES = frozenset(("a", "b"))\nMOST = 7') == set()


@pytest.mark.parametrize("line", ["self._count = 0", "self._clock = clock", "self._is_due: bool = False"])
def test_numbers_and_objects_of_ours_are_not_taken_for_names(line: str) -> None:
    assert planted_in(f"    def __init__(self, clock: Clock) -> None:\n        {line}\n") == set()


# --- the file ------------------------------------------------------------------------------------------


def test_an_entry_that_nothing_handles_any_more_is_seen() -> None:
    text = FILE.read_text() + '\n[[store]]\nof = "frames"\nfields = ["sender"]\npurpose = "of once upon"\n'
    more = parse(text + 'kept = "forever"\nseen = ["relay"]\n')
    assert set(more.of(Place.STORE)) - set(LEDGER.of(Place.STORE)) == {"frames.sender"}


# As long as the database, the process or its next version is there: there is no clock to move.
ENDLESS = {"until-replaced", "until-restart", "forever", "as-the-operator-keeps"}


@pytest.mark.parametrize("name", LEDGER.retentions)
def test_a_figure_is_what_the_code_says_and_has_its_test(name: str) -> None:
    kept = LEDGER.retentions[name]
    if kept.constants:
        assert sum(map(pkgutil.resolve_name, kept.constants)) == (kept.seconds or kept.count)
    assert (kept.test is None) is (name in ENDLESS)
    if kept.test is not None:
        path, _, function = kept.test.partition("::")
        assert re.search(rf"^(async )?def {function}\(", (ROOT / path).read_text(), re.MULTILINE)


# --- the command -----------------------------------------------------------------------------------------


def test_it_is_printed_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    COMMANDS["ledger"].run([])
    text = " ".join(capsys.readouterr().out.split())
    for entries in LEDGER.entries.values():
        for entry in entries:
            assert entry.purpose in text
    assert all(name in text for name in (*LEDGER.retentions, *LEDGER.seers))
    COMMANDS["ledger"].run(["metric"])
    short = capsys.readouterr().out
    assert "blindpost_logins" in short
    assert "frames.envelope" not in short


def test_it_is_printed_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    COMMANDS["ledger"].run(["--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == sum(len(LEDGER.of(place)) for place in Place)
    (envelope,) = [line for line in lines if (line["place"], line["field"]) == ("store", "frames.envelope")]
    assert (envelope["kept"], envelope["seconds"]) == ("until-acknowledged", 30 * 86_400 + 3600)


def test_a_place_that_is_not_there_is_one_sentence() -> None:
    assert "choose from" in refused("ledger", "people")
