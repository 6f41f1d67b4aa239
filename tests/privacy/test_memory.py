"""What the memory of a running relay ties together, while a submit connection is open and after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.privacy import raw_memory
from tests.privacy.links import DEVIATIONS, is_near
from tests.privacy.object_graph import Seen
from tests.privacy.pairs import PAIRS, Scene, scene

FORGOTTEN_WITHIN = 30.0  # seconds: what rates need of an address for this, and the rounds of forgetting


@asynccontextmanager
async def sent(directory: Path, *leaks: str, pairs: int = PAIRS, tls: bool = False) -> AsyncIterator[Scene]:
    """All have sent, and their submit connections are open."""
    with scene(directory, *leaks, pairs=pairs, tls=tls) as them:
        async with them.stay, them.open:
            await them.everybody_logs_in()
            await them.everybody_sends()
            yield them


def ties(seen: Seen) -> list[str]:
    """What was found, in words."""
    found = [f"{len(seen.ways)} of {len(seen.steps)} pairs: {way}" for way in sorted(set(seen.ways))]
    ordered = [seen.ordered] if seen.order > DEVIATIONS else []
    return (found if seen.is_near else []) + ordered


def addresses(seen: Seen) -> list[str]:
    """Where an address stands; not (host, port), of a transport: asyncio's are cycles until collected."""
    return [where for where in seen.kept if where != "str in tuple"]


@pytest.mark.parametrize(("pairs", "tls"), [(PAIRS, False), (20, True)], ids=["plain", "tls"])
async def test_what_ties_both_goes_with_the_submit_connection(tmp_path: Path, pairs: int, tls: bool) -> None:
    async with sent(tmp_path, pairs=pairs, tls=tls) as them:
        # The open socket itself: its address, and the mailbox it has a token for. So the looking looks.
        assert ties(await them.look())
        await them.submit_connections_end()
        seen = await them.look()
        assert not seen.is_near, ties(seen)
        assert addresses(await them.look(them.addresses))
        # Bytes that were freed, too: a sender's key and its recipient's never were in one place.
        assert not is_near(raw_memory.apart(them.relay.pid, them.keys, pairs))
        # What rates remember of addresses and tokens stands in the same order, until it is forgotten.
        async with asyncio.timeout(FORGOTTEN_WITHIN):
            while ties(seen):
                seen = await them.look()
        await them.stay.aclose()
        async with asyncio.timeout(FORGOTTEN_WITHIN):
            while addresses(await them.look(them.addresses)):
                pass


@pytest.mark.parametrize("leak", ["map", "list", "order"])
async def test_control_what_a_relay_would_keep_of_both_is_found(tmp_path: Path, leak: str) -> None:
    async with sent(tmp_path, leak, pairs=20) as them:
        await them.submit_connections_end()
        assert ties(await them.look())


async def test_control_keys_beside_each_other_in_a_buffer_are_found(tmp_path: Path) -> None:
    async with sent(tmp_path, "bytes") as them:
        await them.submit_connections_end()
        assert is_near(raw_memory.apart(them.relay.pid, them.keys, PAIRS))
