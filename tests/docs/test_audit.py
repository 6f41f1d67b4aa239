"""docs/audit.md is true: what it types between strangers prints what it shows, and its options are there."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import trustme
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from clients.errors import ExitCode
from tests.support.relay_process import free_port, running_relay

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "audit.md").read_text("utf-8")
BIN = Path(sys.executable).parent
RELAY, PROXY = "wss://relay.example", "127.0.0.1:8790"
MARK = "@@@ "


def commands() -> list[tuple[str, str]]:
    """(command, what it prints) of every console block."""
    blocks = "".join(re.findall(r"^```console\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
    parts = re.split(r"^\$ ", blocks, flags=re.MULTILINE)[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def comparable(text: str) -> str:
    """Without what differs from run to run: hashes, and all numbers but 0."""
    text = re.sub(r"SHA-256 [0-9a-f]{64}", "SHA-256 HASH", text)
    return re.sub(r"(?<![\w.:])[1-9][\d,.]*(?![\w.])|0\.\d+", "N", text)


def environment(home: Path, **more: object) -> dict[str, str]:
    path = f"{BIN}:{os.environ['PATH']}"
    return {"HOME": str(home), "PATH": path, "LC_ALL": "C.UTF-8", **{k: str(v) for k, v in more.items()}}


class Proxy:
    """`blindpost audit proxy` as it is typed, until Ctrl-C."""

    def __init__(self, command: str, home: Path, **more: object) -> None:
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=home,
            env=environment(home, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        self.said = "".join(self._process.stdout.readline() for _ in range(3))

    def interrupt(self) -> tuple[str, int]:
        """What it said since, and its exit code."""
        self._process.send_signal(signal.SIGINT)
        said, _ = self._process.communicate(timeout=30)
        return said, self._process.returncode


def test_standing_between_strangers_prints_what_is_shown(tmp_path: Path) -> None:
    authority, both, ca = trustme.CA(), tmp_path / "both.pem", tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(both)
    authority.cert_pem.write_to_path(ca)
    (first, shown), *others = commands()
    *_, (_, judged) = others
    with running_relay(tmp_path, tls_certificate=both, tls_key=both) as relay:
        place = f"127.0.0.1:{free_port()}"

        def here(text: str) -> str:
            return text.replace(RELAY, relay.origin).replace(PROXY, place)

        proxy = Proxy(f"{here(first)} --listen {place}", tmp_path, SSL_CERT_FILE=ca)
        try:
            assert proxy.said == here(shown)
            typed = "\n".join(f"echo '{MARK}'\n{here(command)} 2>&1" for command, _ in others[:-1])
            done = subprocess.run(
                ["bash", "-c", typed],
                cwd=tmp_path,
                env=environment(tmp_path),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            said, code = proxy.interrupt()
    printed = done.stdout.split(MARK + "\n")[1:]
    for (command, expected), output in zip(others[:-1], printed, strict=True):
        assert output == expected, command
    assert (comparable(said), code) == (comparable(judged), ExitCode.OK)
    again = subprocess.run(
        ["bash", "-c", others[-1][0]],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert comparable(again.stdout) == comparable(judged)


async def chat(port: int, through: str) -> None:
    """Two friends who encrypt nothing, by the way of the proxy."""
    friends = set[ServerConnection]()

    async def friend(socket: ServerConnection) -> None:
        friends.add(socket)
        async for message in socket:
            for other in friends - {socket}:
                await other.send(message)

    async with (
        serve(friend, "127.0.0.1", port),
        connect(f"ws://{through}/chat") as one,
        connect(f"ws://{through}/chat") as other,
    ):
        await one.send("the words I will type")
        await other.recv()
        await other.send(b"and some that are no text")
        await one.recv()


def test_a_chat_that_encrypts_nothing_is_told_as_shown(tmp_path: Path) -> None:
    (block,) = re.findall(r"encrypts nothing, by the same way:\n\n((?:    .*\n)+)", TEXT)
    port, place = free_port(), f"127.0.0.1:{free_port()}"
    command = f"blindpost audit proxy --relay ws://127.0.0.1:{port} --listen {place}"
    proxy = Proxy(f"{command} --canary 'the words I will type'", tmp_path)
    try:
        asyncio.run(chat(port, place))
    finally:
        said, code = proxy.interrupt()
    assert code == ExitCode.AUDIT
    for line in block.splitlines():
        assert comparable(line.strip()) in comparable(said).splitlines(), said


def test_each_option_that_is_named_is_one() -> None:
    reference = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for command in re.findall(r"blindpost audit (?:run|proxy|judge|verify)[^`\n]*", TEXT):
        verb, *words = command.split()[2:]
        told = reference[reference.index(f"blindpost audit {verb} [OPTIONS]") :][:6_000]
        for word in words:
            assert not word.startswith("--") or word in told, command
