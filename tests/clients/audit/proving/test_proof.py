"""The proof reads what would run, and each thing that a relay must not reach is said."""

import hashlib
import py_compile
import runpy
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from clients.audit.capture.relays import RelayError
from clients.audit.driving.stage import Stage
from clients.audit.proving import proof, tripwired
from clients.audit.proving.proof import Complaint, code_hashes, locate, static_proof
from tests.relay.peers import submitting


def tree(directory: Path, **files: str) -> Path:
    """Packages with nothing in them but `files`: `relay__session` is relay/session.py. Keys can open."""
    files = {"keys__primitives": "box.decrypt(b'')"} | files
    for name in ("relay/__init__", "wire/__init__", "keys/__init__", "clients/__init__", *files):
        path = directory / (name.replace("__", "/") if "/" not in name else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".py").write_text(files.get(name, ""))
    return directory


def test_the_proof_holds_for_what_is_installed_here() -> None:
    found = static_proof()
    assert found.complaints == ()
    assert {"relay", "relay.auth", "relay.store.sqlite", "wire.frames"} <= set(found.modules)
    assert found.names > 10_000
    assert found.is_green


def test_what_would_run_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(
        tmp_path, relay__session="import wire.late", wire__late="def open(box):\n    return box.decrypt(b'')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert locate() == {name: tmp_path / name for name in ("wire", "keys", "relay", "clients")}
    assert [str(each) for each in static_proof().complaints] == ["wire.late, line 2: decrypt"]
    assert not static_proof().is_green


def test_a_module_that_is_no_relays_is_said(tmp_path: Path) -> None:
    found = static_proof(tree(tmp_path, relay__session="def late():\n    import keys.seal", keys__seal="Box"))
    assert {each.module for each in found.complaints} == {"keys", "keys.seal"}


@pytest.mark.parametrize("name", [*(f"relay/quick{end}" for end in EXTENSION_SUFFIXES), "wire/quick.pyc"])
def test_a_module_without_a_source_is_said(tmp_path: Path, name: str) -> None:
    (tree(tmp_path) / name).write_bytes(b"")
    module = name.partition(".")[0].replace("/", ".")
    assert static_proof(tmp_path).complaints == (Complaint(module, 1, "has no source"),)


def test_bytecode_that_is_not_of_its_source_is_said(tmp_path: Path) -> None:
    session = tree(tmp_path, relay__session="answer = 41\n") / "relay" / "session.py"
    cached = Path(cache_from_source(str(session)))
    py_compile.compile(str(session), doraise=True)
    assert static_proof(tmp_path).complaints == ()
    cached.write_bytes(cached.read_bytes().replace((41).to_bytes(4, "little"), (42).to_bytes(4, "little")))
    assert runpy.run_path(str(cached))["answer"] == 42
    said = (Complaint("relay.session", 1, "runs bytecode that its source does not give"),)
    assert static_proof(tmp_path).complaints == said
    cached.write_bytes(cached.read_bytes()[:20])
    assert static_proof(tmp_path).complaints == said
    session.write_text("answer = 4\n")  # which makes it out of date
    assert static_proof(tmp_path).complaints == ()
    py_compile.compile(str(session), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    session.write_text("answer = 5\n")  # which nothing notices
    assert static_proof(tmp_path).complaints == said
    py_compile.compile(str(session), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    session.write_text("answer = 6\n")
    assert static_proof(tmp_path).complaints == ()


def test_nothing_to_read_is_no_proof_and_a_reading_that_finds_nothing_is_none(tmp_path: Path) -> None:
    assert not static_proof(tmp_path).is_green
    assert static_proof(tree(tmp_path)).is_green
    assert not static_proof(tree(tmp_path, keys__primitives="pass")).is_green


def test_packages_that_are_not_there_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "PACKAGES", ("relay", "no_such_package"))
    with pytest.raises(RelayError, match=r"^no_such_package cannot be imported here"):
        locate()


def test_every_file_is_hashed_and_machine_code_is_named(tmp_path: Path) -> None:
    found = code_hashes()
    names = {each.path: each.sha256 for each in found.files}
    own = "clients/audit/proving/proof.py"
    assert {"relay/auth.py", "wire/ledger.toml", "keys/seal.py", own} <= set(names)
    assert not any("__pycache__" in name for name in names)
    auth = locate()["relay"] / "auth.py"
    assert names["relay/auth.py"] == hashlib.sha256(auth.read_bytes()).hexdigest()
    tree(tmp_path, relay__session="pass")
    (tmp_path / "relay" / f"session{EXTENSION_SUFFIXES[0]}").write_bytes(b"machine code")
    (tmp_path / "12ab__mypyc.cpython-311-x86_64-linux-gnu.so").write_bytes(b"more of it")
    compiled = code_hashes(tmp_path)
    assert compiled.compiled == ("relay.session",)
    assert sum(each.path.endswith(".so") for each in compiled.files) == 2
    assert static_proof(tmp_path).complaints == ()


async def meet(stage: Stage) -> None:
    """Two people and one text."""
    alice, bob = stage.person("alice"), stage.person("bob")
    made = [await each.run("init", "--relay", stage.relay.url) for each in (alice, bob)]
    for person, other, name in ((alice, made[1], "bob"), (bob, made[0], "alice")):
        await person.start()
        await person.call("add", name=name, address=other[0]["address"])
    await alice.call("send", to="bob", text=stage.canary("text"))
    assert (await bob.message())["text"].encode() == stage.planted["text"][0].value
    stage.did("a text")


async def test_a_relay_alone_and_behind_tripwires_serves_people(tmp_path: Path) -> None:
    found = await tripwired.tripwired(tmp_path, meet)
    assert found.complaints == ()
    assert (found.served, found.is_green) == (("a text",), True)
    assert found.tripwires > 80


async def test_a_relay_that_opens_what_it_is_given_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled = tripwired.copy_of_a_relay(tmp_path / "spoiled")
    with (spoiled / "relay" / "auth.py").open("a") as source:
        source.write(
            "\n\nfrom nacl.bindings import crypto_box_keypair\n"
            "_real = Authority.sign\n"
            "Authority.sign = lambda *given, **more: (crypto_box_keypair(), _real(*given, **more))[1]\n"
        )
    monkeypatch.setattr(tripwired, "locate", lambda: {"relay": spoiled / "relay", "wire": spoiled / "wire"})

    async def comes(stage: Stage) -> None:
        with pytest.raises(ConnectionClosed):
            async with submitting(f"{stage.relay.url}/v1/ws"):
                stage.did("a hello")

    found = await tripwired.tripwired(tmp_path, comes)
    assert any("ended with 99" in each for each in found.complaints), found
    assert not found.is_green
