"""What this relay's code really handles, held against the ledger of metadata (`wire.ledger`).

Owns how each place is looked through: the models of messages, the opened database, the registry of metrics,
the formatter of the log, the routes and the headers that are let in. What objects hold in memory cannot be
asked of a program and is read from its sources, by a test. Runs once, at the start.
"""

import dataclasses
import json
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from relay import data_directory, endpoints, heads, logs
from relay.app import WEBSOCKET_PATH, Relay
from relay.complaints import OperatorError
from relay.config import Config
from relay.metrics import BELIEVED, VERSIONS, Drop
from relay.rates import Limit
from relay.store.mark import Mark, mark_path
from relay.store.sqlite import SqliteStore
from relay.websocket.parser import Opcode
from wire.control import ControlMessage
from wire.device_lists import DeviceEntry, DeviceList
from wire.errors import ErrorCode
from wire.frames import Deliver, Put
from wire.ledger import Ledger, Place, read
from wire.login import Mode
from wire.prekeys import Prekey

_HEAD: Final = ("type", "version")  # of every frame, and no part of what it is decoded to
_WHAT: Final = {
    Place.JSON: "control messages have the field",
    Place.OBJECT: "signed objects have the field",
    Place.FRAME: "frames have the field",
    Place.HTTP: "HTTP has",
    Place.STORE: "the database has the column",
    Place.FILE: "the data directory has",
    Place.SETTING: "there is the setting",
    Place.LOG: "lines of the log have the key",
    Place.METRIC: "there is the metric",
}
# The closed lists that labels of metrics take their values from, by where they stand.
_VALUES: Final[dict[str, Iterable[str]]] = {
    "wire.errors:ErrorCode": ErrorCode,
    "wire.login:Mode": Mode,
    "relay.metrics:Drop": Drop,
    "relay.metrics:BELIEVED": BELIEVED,
    "relay.metrics:VERSIONS": VERSIONS,
    "relay.rates:Limit": Limit,
}
_ADVICE: Final = {
    Place.STORE: "start the version of blindpost that added it, or restore a backup from before",
}


class UndeclaredError(OperatorError):
    """The relay handles what the ledger does not name; the text is one sentence for the operator."""


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def messages() -> set[str]:
    """The fields of all control messages, and of what is inside them."""
    found = set()
    models = list(ControlMessage.__subclasses__())
    for model in models:
        models += model.__subclasses__()
        name = model.model_fields["type"].default if "type" in model.model_fields else _snake(model.__name__)
        found |= {f"{name}.{field}" for field in model.model_fields}
    return found


def _fields(*kinds: type[Any]) -> set[str]:
    return {
        f"{_snake(kind.__name__)}.{field.name}"
        for kind in kinds
        for field in dataclasses.fields(kind)
        if not field.name.startswith("_")
    }


def frames() -> set[str]:
    """The fields of the two binary frames, and the frames of a WebSocket that are no messages."""
    begin = {f"{name}.{field}" for name in ("put", "deliver") for field in _HEAD}
    beside = {f"websocket.{opcode.name.lower()}" for opcode in Opcode if opcode >= Opcode.CLOSE}
    return _fields(Put, Deliver) | begin | beside


def http(relay: Relay) -> set[str]:
    """Routes with their parameters, headers that are let in, and what `info` answers."""
    found = {f"GET {WEBSOCKET_PATH}"}
    routes: list[Any] = endpoints.router.routes
    for route in routes:
        names = {f"{method} {route.path}" for method in route.methods}
        read = route.dependant
        parameters = (
            read.path_params,
            read.query_params,
            read.header_params,
            read.cookie_params,
            read.body_params,
        )
        found |= names | {f"{name} {each.alias}" for name in names for group in parameters for each in group}
    found |= {f"request-header.{name.decode()}" for name in heads.READ}
    about = endpoints.about(relay)
    return found | {f"info.{name}" for name in about} | {f"info.limits.{name}" for name in about["limits"]}


def files() -> set[str]:
    """What a relay makes in its data directory, and what stands in the mark."""
    database = data_directory.DATABASE
    mark = mark_path(Path(database)).name
    made = {database, f"{database}-wal", f"{database}-shm", f"{database}.new", mark, f"{mark}.new"}
    made |= {data_directory.KEY, data_directory.LOCK}
    return made | {f"{mark}.{field.name}" for field in dataclasses.fields(Mark)}


def log_keys() -> set[str]:
    """The keys of a line that has all of them."""
    try:
        raise ValueError
    except ValueError as error:
        failed = (type(error), error, error.__traceback__)
    record = logging.LogRecord(logs.LOGGER, logging.ERROR, "", 0, "an event", (), failed)
    return set(json.loads(logs.Format(True).format(record)))


def metrics(registry: CollectorRegistry) -> dict[str, dict[str, set[str]]]:
    """Each metric with its labels, and the values that these have; bounds of a histogram are no label."""
    found: dict[str, dict[str, set[str]]] = {}
    for collector in tuple(registry._collector_to_names):  # knows a label before it has had a value
        found[collector._name] = {name: set() for name in collector._labelnames}  # type: ignore[attr-defined]  # all are metrics
    for family in registry.collect():
        labels = found.setdefault(family.name, {})
        for sample in family.samples:
            for name, value in sample.labels.items():
                if not (name == "le" and family.type == "histogram"):
                    labels.setdefault(name, set()).add(value)
    return found


def _undeclared_labels(ledger: Ledger, registry: CollectorRegistry) -> set[str]:
    declared, found = ledger.of(Place.METRIC), set()
    for name, labels in metrics(registry).items():
        known = declared[name].labels if name in declared else {}
        for label, values in labels.items():
            if label not in known:
                found.add(f"{name}{{{label}}}")
            elif strange := values.difference(_VALUES.get(known[label], ())):
                found.add(f"{name}{{{label}={min(strange)!r}}}")
    return found


def handled(relay: Relay) -> dict[Place, set[str]]:
    """Everything that this relay handles, by place; what it holds in memory apart."""
    found = {
        Place.JSON: messages(),
        Place.OBJECT: _fields(DeviceList, DeviceEntry, Prekey),
        Place.FRAME: frames(),
        Place.HTTP: http(relay),
        Place.FILE: files(),
        Place.SETTING: set(Config.model_fields),
        Place.LOG: log_keys() | {f"logger.{name}" for name in (logs.LOGGER, *logs.LIBRARIES, "root")},
        Place.METRIC: set(metrics(relay.metrics.registry)),
    }
    if isinstance(relay.store, SqliteStore):
        found[Place.STORE] = set(relay.store.columns)
    return found


def undeclared(ledger: Ledger, relay: Relay) -> dict[Place, set[str]]:
    """What the relay handles and the ledger does not name, by place."""
    found = {place: names - ledger.of(place).keys() for place, names in handled(relay).items()}
    found[Place.METRIC] |= _undeclared_labels(ledger, relay.metrics.registry)
    return {place: names for place, names in found.items() if names}


def check(relay: Relay, load: Callable[[], Ledger] = read) -> None:
    """Refuse to start with something undeclared. Raises UndeclaredError, naming the first of it."""
    for place, names in undeclared(load(), relay).items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        advice = _ADVICE.get(
            place, "declare it in wire/ledger.toml, with its purpose and how long it is kept"
        )
        raise UndeclaredError(
            f"{_WHAT[place]} {min(names)}{more}, which the ledger of metadata does not declare; {advice}"
        )
