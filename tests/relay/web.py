"""HTTP as the relay's tests need it: one request, or raw bytes on a socket."""

import asyncio
import http.client
import ssl
from dataclasses import dataclass

from tests.support.relay_process import RelayProcess


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


def _get(relay: RelayProcess, path: str, headers: dict[str, str], tls: ssl.SSLContext | None) -> Answer:
    connection: http.client.HTTPConnection
    if tls is None:
        connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", relay.port, timeout=10, context=tls)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read().decode())
    finally:
        connection.close()


async def get(
    relay: RelayProcess,
    path: str,
    headers: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    return await asyncio.to_thread(_get, relay, path, headers or {}, tls)


async def metric(relay: RelayProcess, name: str, tls: ssl.SSLContext | None = None) -> float:
    """One sample, named as it stands in the text format."""
    lines = (await get(relay, "/metrics", tls=tls)).text.splitlines()
    (value,) = [line.rpartition(" ")[2] for line in lines if line.startswith(name + " ")]
    return float(value)
