"""Relays that somebody else started: one on this host, looked into from outside, and one at a URL.

Owns finding it, and saying of each part that cannot be seen what to do. Never starts, stops or changes it.
"""

import json
import os
import ssl
from collections.abc import Iterable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Self

from clients.audit.capture.evidence import Place, Source
from clients.audit.capture.processes import (
    family,
    is_listened,
    listening,
    name_of,
    open_names,
    seen_from,
    shares_network_with_us,
    temporary_of_its_own,
    who_listens,
)
from clients.audit.capture.relays import RelayError, connections_of, http_answer, http_answers
from clients.audit.capture.rows import rows
from clients.audit.capture.sight import Sight, file, files, memory, open_files
from clients.connection import tls_context
from wire.addresses import RelayUrl
from wire.errors import WireError

DATABASE: Final = "relay.db"
NAME: Final = "blindpost relay"  # what /v1/info says
AS_ROOT: Final = "run the audit as root, who may read another's process"
NOWHERE: Final = "/dev/null"


class AttachedRelay:
    """A relay that runs on this host. `find` makes one; what it writes from then on is looked at."""

    not_looked_at: Sequence[str] = (
        "which code it runs: the code that is read and hashed is this program's own",
        "temporary files that it had closed again before a look, where it shares /tmp with others",
    )

    def __init__(
        self, pid: int, url: str, door: str, data: str, logs: Sequence[Path], trust: ssl.SSLContext
    ) -> None:
        self.pid, self.url = pid, url
        self._door, self._trust = door, trust
        self._data = data  # as the process names it
        self._logs, self.untold = _logs_of(pid, logs)

    @classmethod
    def find(cls, target: str, logs: Sequence[Path] = ()) -> Self:
        """The relay with a process id, or the one behind a URL's port. Raises RelayError.

        `logs`: files that it writes to, where its stdout and stderr go elsewhere.
        """
        try:
            dialled = None if target.isdecimal() else _parsed(target)
            pid = int(target) if dialled is None else _listener(dialled.port)
            door, said, trust = _door(pid, listening(pid))
            data = _data_directory(pid)
        except FileNotFoundError:
            raise RelayError(f"no process {target} runs here; pgrep -af relay shows those that do") from None
        except PermissionError:
            raise RelayError(f"process {target} may not be looked at: {AS_ROOT}") from None
        url = dialled.origin if dialled else str([*said.get("public_urls", ()), door][0])
        for path in logs:
            if not os.access(path, os.R_OK):
                raise RelayError(f"{path} cannot be read; name a file with --log that can")
        return cls(pid, url, door, data, logs, trust)

    def sources(self) -> Sequence[Source]:
        """Everything there is of it: its answers, its files, its words, its memory."""
        return (
            Source(Place.WIRE, "connections of its own", self._connections),
            Source(Place.HTTP, "answers", lambda sight: http_answers(self._door, sight, self._trust)),
            Source(Place.LOGS, "logs", self._words),
            Source(Place.STORE, "data directory", self._store),
            Source(Place.TEMPORARY, "temporary files", self._temporary),
            Source(Place.MEMORY, "memory", self._memory),
        )

    def _connections(self, sight: Sight) -> Iterable[tuple[str, bytes]]:
        yield from connections_of(family(self.pid), self._door, sight)
        _advise(sight)

    def _words(self, sight: Sight) -> Iterable[tuple[str, bytes]]:
        """What was written since it was found."""
        sight.was_there = True
        if self.untold:
            sight.unread.append(self.untold)
        for path, start in self._logs.items():
            if not path.exists():
                sight.unread.append(f"{path} is not there any more")
            elif path.stat().st_size < start:
                sight.unread.append(
                    f"{path} was begun anew, and what it said before is lost: run the audit again"
                )
            yield from file(path, str(path), sight, start=start)

    def _store(self, sight: Sight) -> Iterable[tuple[str, bytes]]:
        yield from files(seen_from(self.pid, self._data), sight)
        yield from rows(seen_from(self.pid, self._data), sight)
        _advise(sight)

    def _temporary(self, sight: Sight) -> Iterable[tuple[str, bytes]]:
        for path in temporary_of_its_own(self.pid):
            yield from files(path, sight)
        for pid in family(self.pid):
            yield from open_files(pid, Path(self._data), sight)
        _advise(sight)

    def _memory(self, sight: Sight) -> Iterable[tuple[str, bytes]]:
        for pid in family(self.pid):
            yield from memory(pid, sight)
        _advise(sight)


class StrangeRelay:
    """A relay of which nothing but its URL is known: what it does behind that, nobody sees from here.

    `ca`: its own certificate authority, in PEM. Raises RelayError.
    """

    not_looked_at: Sequence[str] = (
        "which code it runs",
        "its logs",
        "its store",
        "its temporary files",
        "its memory",
    )

    def __init__(self, url: str, ca: bytes | None = None) -> None:
        try:
            parsed = RelayUrl.parse(url)
            self.url, self._trust = parsed.origin, tls_context(parsed, ca)
            self.said = _information(self.url, self._trust)
        except ssl.SSLError:
            raise RelayError(
                f"{url} has no certificate that is trusted here: name its authority with --ca FILE"
            ) from None
        except (OSError, HTTPException, ValueError, WireError) as error:
            why = (isinstance(error, OSError) and error.strerror) or error
            raise RelayError(f"{url} is no relay, or cannot be reached: {why}") from None

    def sources(self) -> Sequence[Source]:
        """What it answers to anybody."""
        return (Source(Place.HTTP, "answers", lambda sight: http_answers(self.url, sight, self._trust)),)


def _information(url: str, trust: ssl.SSLContext | None) -> dict[str, Any]:
    """What a relay says of itself. Raises OSError, HTTPException; ValueError: it is none."""
    body, _ = http_answer(url, "GET", "/v1/info", trust)
    said = json.loads(body)
    if not isinstance(said, dict) or said.get("name") != NAME:
        raise ValueError(f"/v1/info does not say {NAME}")
    return said


def _parsed(url: str) -> RelayUrl:
    """A relay's URL. Raises RelayError."""
    try:
        return RelayUrl.parse(url)
    except WireError:
        raise RelayError(f"{url} is neither a process id nor a URL such as ws://127.0.0.1:8765") from None


def _listener(port: int) -> int:
    """The process behind a port of this host. Raises RelayError."""
    found = who_listens(port)
    if not found:
        why = (
            f"who listens on port {port} may not be looked at: {AS_ROOT}"
            if is_listened(port)
            else f"nothing listens on port {port} of this host: start the relay, or name its own port"
        )
        raise RelayError(f"{why}; for a relay on another host, or for the outside view alone, use --url")
    return found[0]


def _door(pid: int, places: Sequence[str]) -> tuple[str, dict[str, Any], ssl.SSLContext]:
    """Where a process answers as a relay, and what it says of itself. Raises RelayError, OSError."""
    if not shares_network_with_us(pid):
        raise RelayError(
            f"process {pid} has a network of its own, as in a container: run the audit inside of that, "
            f"with nsenter --target {pid} --net"
        )
    # /proc has shown whose socket it is: no certificate could say more.
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    for place in places:
        for scheme in ("ws", "wss"):
            door = f"{scheme}://{place}"
            try:
                return door, _information(door, trust), trust
            except (OSError, HTTPException, ValueError):
                continue
    raise RelayError(
        f"process {pid} ({name_of(pid) or 'of no name'}) is no relay; where a proxy stands before the relay, "
        "name the relay's own process id"
    )


def _data_directory(pid: int) -> str:
    """Where its open database lies, as it names it. Raises RelayError, OSError."""
    found = {os.path.dirname(name) for name in open_names(pid).values() if name.endswith(f"/{DATABASE}")}
    if len(found) != 1:
        raise RelayError(
            f"process {pid} has no {DATABASE} open: where a proxy stands before the relay, name the relay's "
            "own process id; one with --store memory keeps nothing to look at, start it with a data directory"
        )
    return found.pop()


def _logs_of(pid: int, named: Sequence[Path]) -> tuple[dict[Path, int], str]:
    """Where each log ends now, and what is missing of its words: a sentence, or nothing. Raises OSError."""
    ends, lost, names = {path: path.stat().st_size for path in named}, list[str](), open_names(pid)
    for number in (1, 2):
        path, name = Path(f"/proc/{pid}/fd/{number}"), names.get(number, NOWHERE)
        if path.is_file():
            ends[path] = path.stat().st_size
        elif name != NOWHERE:
            lost.append(name)
    if named or not lost:
        return ends, ""
    places = " and ".join(dict.fromkeys(lost))
    return ends, (
        f"its stdout and stderr go to {places}, which cannot be read; let them go to a file too, such as by "
        "journalctl -f -o cat -u UNIT >FILE &, and name it with --log FILE"
    )


def _advise(sight: Sight) -> None:
    if any("ermission" in said or "not permitted" in said for said in sight.unread):
        sight.unread.append(AS_ROOT)
