"""README.md is true: its commands are typed, its Python runs, and what they print is compared."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.relay_process import RelayProcess

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
PORT = "8760"
MARK = "@@@ "
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """(command, what it prints) of every console block."""
    parts = re.split(r"^\$ ", "".join(blocks("console")), flags=re.MULTILINE)[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def comparable(text: str, home: str) -> str:
    """The text without what differs from run to run: keys, ids, times, homes."""
    for pattern, name in (
        (re.escape(home), "/home/you"),
        (r"bp1[a-z0-9]{84}", "LINE"),
        (r"key [A-Za-z0-9_-]{43}", "key KEY"),
        (r'"id": "[0-9a-f]{32}"', '"id": ID'),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME"),
    ):
        text = re.sub(pattern, name, text)
    return text


def environment(home: Path) -> dict[str, str]:
    """Nothing of this machine but the path to its tools."""
    return {"HOME": str(home), "PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def script(directory: Path) -> str:
    """One shell that types everything, each output behind a mark; the relay stays in the background."""
    lines = ["trap 'kill $relay; wait $relay' EXIT"]
    for command, _ in commands():
        lines.append(f"echo '{MARK}'")
        if command == "blindpost relay":
            log = directory / "relay.log"
            lines += [
                f"{command} >{log} 2>&1 & relay=$!",
                f"for _ in $(seq 200); do grep -q listening {log} && break; sleep 0.1; done; cat {log}",
            ]
        else:
            lines.append(f"{command} 2>&1")
    return "\n".join(lines)


def test_the_commands_print_what_the_readme_shows(tmp_path: Path) -> None:
    port = free_port()
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        ["bash", "-c", script(tmp_path).replace(PORT, port)],
        cwd=ROOT,
        env=environment(home) | {"BLINDPOST_RELAY_PORT": port},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    outputs = done.stdout.replace(port, PORT).split(MARK + "\n")[1:]
    assert len(outputs) == len(commands()), done.stdout + done.stderr
    for (command, shown), printed in zip(commands(), outputs, strict=True):
        assert comparable(printed, str(home)) == comparable(shown, str(home)), command


def test_the_six_commands_of_a_first_chat_are_shown() -> None:
    typed = " ".join(command for command, _ in commands())
    for verb in ("relay", "init", "address", "contact add", "send", "listen"):
        assert re.search(rf"blindpost (--profile \w+ |--json )*{verb}\b", typed), verb


# --- the examples ---


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path) as running:
        yield running


def blindpost(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [BIN / "blindpost", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def started(program: Path, argument: str, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(program), argument]
    with subprocess.Popen(command, env=dict(env), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_the_python_of_the_readme_answers(tmp_path: Path, relay: RelayProcess) -> None:
    (source,) = blocks("python")
    program = tmp_path / "bot.py"
    program.write_text(source.replace(PORT, str(relay.port)))
    blindpost(tmp_path, "init", "--relay", relay.origin)
    mine = blindpost(tmp_path, "address").strip()
    with started(program, mine, environment(tmp_path)) as bot:
        assert bot.stdout is not None
        address = bot.stdout.readline().removeprefix("Write to ").strip()
        blindpost(tmp_path, "contact", "add", "bot", address)
        # The bot starts at the same time: the first try may find it unknown to the relay.
        sent = blindpost(tmp_path, "send", "bot", "Hello, bot ✓", "--timeout", "40")
        assert sent in ("accepted\n", "delivered\n")  # the bot may be quicker than the relay's answer
        answer = blindpost(tmp_path, "listen", "--count", "1", "--idle", "30")
    assert answer.endswith("bot: Hello, bot ✓\n")


def test_the_python_of_the_readme_is_the_example() -> None:
    (source,) = blocks("python")
    assert source == (ROOT / "examples" / "echo.py").read_text()
    assert sum(bool(line.strip()) for line in source.splitlines()) <= 16


def test_the_register_example(tmp_path: Path, relay: RelayProcess) -> None:
    def run(*arguments: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "register.py"), relay.origin, *arguments],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    welcome, registered, hello, bundle = run()
    assert '"type":"welcome"' in welcome
    assert registered == '{"type":"registered","ref":1}'
    assert '"type":"relay_hello"' in hello
    assert bundle.endswith('"devices":[]}')

    blindpost(tmp_path, "init", "--relay", relay.origin)
    *_, bundle = run(blindpost(tmp_path, "address").strip())
    assert '"type":"bundle"' in bundle
    assert '"prekeys":["' in bundle


@pytest.mark.parametrize("example", ["echo.py", "register.py"])
def test_an_example_without_arguments_says_how_to_use_it(example: str) -> None:
    command = [sys.executable, str(ROOT / "examples" / example)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Usage: python examples/{example} ")


def test_ctrl_c_ends_the_bot_quietly(tmp_path: Path, relay: RelayProcess) -> None:
    source = (ROOT / "examples" / "echo.py").read_text().replace(PORT, str(relay.port))
    (tmp_path / "bot.py").write_text(source)
    friend = "bp1qk8qsqp7nuceluqrvpgxvcprxxja787kjqhazyfk3euhy3fr70xyqnzq53j@127.0.0.1:1"
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "bot.py"), friend],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as bot:
        assert bot.stdout is not None
        assert bot.stdout.readline().startswith("Write to bp1")
        bot.send_signal(signal.SIGINT)
        _, errors = bot.communicate(timeout=30)
    assert (bot.returncode, errors) == (0, "")


# --- the rest ---


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    assert len(TEXT.splitlines()) <= 150
    for document in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md"):
        text = re.sub(r"`[^`\n]*`", "", document.read_text())
        for target in re.findall(r"\]\(([^)]+)\)", text):
            place, _, anchor = target.partition("#")
            if "://" in place:
                continue
            assert (document.parent / place).exists(), f"{document.name}: {target}"
            if anchor and not place:
                headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{document.name}: {target}"


def test_make_has_the_targets_that_are_named() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make ([a-z-]+)", TEXT)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
