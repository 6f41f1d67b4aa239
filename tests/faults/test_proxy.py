"""The bad network does what it says: to the byte, in each direction."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Cut, How, Proxy, Way, Weather

TEXT = bytes(range(256)) * 8


class Echo:
    """A server that says everything back, and remembers what it heard."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = asyncio.Event()
        self.how = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.heard += data
                writer.write(data)
                await writer.drain()
            self.how = "end"
        except ConnectionError:
            self.how = "reset"
        self.ended.set()
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, Proxy]]:
    it = Echo()
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    async with Proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield it, proxy
    server.close()


async def talk(proxy: Proxy, text: bytes = TEXT) -> tuple[bytes, str]:
    """Say it; what comes back, and how it ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    got, how = b"", "end"
    try:
        writer.write(text)
        async with asyncio.timeout(5):
            while len(got) < len(text) and (data := await reader.read(65536)):
                got += data
    except ConnectionError:
        how = "reset"
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return got, how


async def test_good_weather_passes_all(echo: tuple[Echo, Proxy]) -> None:
    it, proxy = echo
    assert await talk(proxy) == (TEXT, "end")
    assert it.heard == TEXT


@pytest.mark.parametrize("offset", [0, 1, 255, 256, 2047])
async def test_a_cut_up_lets_exactly_so_many_bytes_through(echo: tuple[Echo, Proxy], offset: int) -> None:
    it, proxy = echo
    proxy.plan.append(Cut(Way.UP, offset, How.CLOSE))
    await talk(proxy)
    await asyncio.wait_for(it.ended.wait(), 5)
    assert it.heard == TEXT[:offset]
    assert proxy.happened == {"cut up close": 1}
    assert await talk(proxy) == (TEXT, "end")


@pytest.mark.parametrize("offset", [0, 1, 255, 256, 2047])
async def test_a_cut_down_lets_exactly_so_many_bytes_through(echo: tuple[Echo, Proxy], offset: int) -> None:
    _, proxy = echo
    proxy.plan.append(Cut(Way.DOWN, offset, How.CLOSE))
    got, _ = await talk(proxy)
    assert got == TEXT[:offset]
    assert proxy.happened == {"cut down close": 1}


async def test_a_reset_is_a_reset_on_both_sides(echo: tuple[Echo, Proxy]) -> None:
    it, proxy = echo
    proxy.plan.append(Cut(Way.UP, 1000, How.RESET))
    assert (await talk(proxy))[1] == "reset"
    await asyncio.wait_for(it.ended.wait(), 5)
    assert it.how == "reset"


async def test_after_half_a_close_the_other_way_goes_on(echo: tuple[Echo, Proxy]) -> None:
    it, proxy = echo
    proxy.plan.append(Cut(Way.UP, 1000, How.HALF))
    assert (await talk(proxy))[0] == TEXT[:1000]
    assert it.how == "end"


async def test_a_stall_holds_one_way_until_it_is_over(echo: tuple[Echo, Proxy]) -> None:
    it, proxy = echo
    proxy.set_weather(Weather(stalled={Way.DOWN}))
    talking = asyncio.create_task(talk(proxy))
    while len(it.heard) < len(TEXT):
        await asyncio.wait({talking}, timeout=0.01)
    assert not talking.done()
    proxy.set_weather(Weather())
    assert (await talking)[0] == TEXT


async def test_crumbs_and_delay_change_no_byte(echo: tuple[Echo, Proxy]) -> None:
    _, proxy = echo
    proxy.set_weather(Weather(chunk=1, delay=0.001))
    began = time.monotonic()
    assert await talk(proxy, TEXT[:100]) == (TEXT[:100], "end")
    assert time.monotonic() - began >= 0.1


async def test_without_a_relay_the_dialler_is_told(echo: tuple[Echo, Proxy]) -> None:
    async with Proxy(1) as nowhere:
        assert (await talk(nowhere))[0] == b""
