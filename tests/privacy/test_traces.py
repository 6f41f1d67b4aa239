"""What a relay leaves behind of who wrote to whom: its files, its log, its metrics and its answers."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.privacy import store_rows
from tests.privacy.pairs import PAIRS, Scene, scene
from tests.relay.web import get


@asynccontextmanager
async def all_over(
    directory: Path, *leaks: str, pairs: int = PAIRS, log_format: str = "json"
) -> AsyncIterator["Traces"]:
    """All have sent, some recipients have read; the relay was killed, so that its log of writes is there."""
    with scene(directory, *leaks, pairs=pairs, log_level="debug", log_format=log_format) as them:
        async with them.stay, them.open:
            await them.everybody_logs_in()
            before, log = await samples(them), them.relay.log
            await them.everybody_sends()
            await them.submit_connections_end()
            yield Traces(them, them.relay.log[len(log) :], await samples(them) - before)
            them.relay.kill()


class Traces:
    """`log` is what was logged while they sent, `samples` are the metrics that were not there before."""

    def __init__(self, them: Scene, log: str, samples: set[str]) -> None:
        self.them = them
        self.log = log
        self.samples = samples

    def ties(self) -> list[str]:
        """What ties senders to recipients in the files, in words."""
        them, pairs = self.them, len(self.them.senders)
        found = []
        for path in sorted(them.relay.data_dir.iterdir()):
            data = path.read_bytes()
            if any(store_rows.near_in_bytes(data, them.names, pairs)):
                found.append(f"bytes of {path.name}")
        return found + store_rows.ties(store_rows.read(them.relay.data_dir / "relay.db", them.names), pairs)

    def telling_lines(self) -> list[str]:
        """Lines that not every pair has caused."""
        lines = Counter(map(_without_time, self.log.splitlines()))
        return [line for line, count in lines.items() if count < len(self.them.senders)]


def _without_time(line: str) -> str:
    if line.startswith("{"):
        said = json.loads(line)
        del said["time"]
        return json.dumps(said)
    return line.partition(" ")[2]


async def samples(them: Scene) -> set[str]:
    """Every metric with its labels."""
    text = (await get(them.relay, "/metrics")).text
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


@pytest.mark.parametrize(("form", "pairs"), [("json", PAIRS), ("text", 20)])
async def test_files_log_metrics_and_answers_tell_no_pair_from_another(
    tmp_path: Path, form: str, pairs: int
) -> None:
    async with all_over(tmp_path, pairs=pairs, log_format=form) as traces:
        traces.them.relay.kill()
        assert traces.ties() == []
        assert traces.log
        assert traces.telling_lines() == []
        assert traces.samples == set()
        assert len({tuple(said) for said in traces.them.said}) == 1


@pytest.mark.parametrize("leak", ["column", "table", "common"])
async def test_control_what_is_written_down_of_both_is_found(tmp_path: Path, leak: str) -> None:
    async with all_over(tmp_path, leak, pairs=20) as traces:
        traces.them.relay.kill()
        assert traces.ties()
        assert traces.telling_lines() == []
        assert traces.samples == set()


async def test_control_a_hash_of_both_is_found_in_log_and_metrics(tmp_path: Path) -> None:
    async with all_over(tmp_path, "log", "label", pairs=14) as traces:
        assert any("flow" in line for line in traces.telling_lines())
        assert traces.samples
