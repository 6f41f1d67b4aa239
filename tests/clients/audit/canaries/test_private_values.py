"""What the audit takes for private is every private key of a client, and nothing that a relay may see."""

import dataclasses
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import keys
from clients.audit.canaries.private_values import BESIDE, PRIVATE, private_values
from clients.audit.canaries.search import Search
from clients.config import ClientConfig
from clients.messenger import Messenger
from keys.secrecy import Secret
from tests.support.relay_process import RelayProcess

WITHIN = 20.0


def bytes_hidden(kind: Any) -> set[str]:
    """The fields of a class that `repr` leaves out and that are bytes."""
    hints = get_type_hints(kind)
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    return {field.name for field in fields if not field.repr and hints[field.name] in (bytes, bytes | None)}


def test_every_hidden_field_is_sorted() -> None:
    for module in pkgutil.iter_modules(keys.__path__, "keys."):
        import_module(module.name)
    waiting, found = list[type]([Secret]), set[str]()
    while waiting:
        kinds: list[type] = waiting.pop().__subclasses__()
        waiting += kinds
        for kind in kinds:
            found |= bytes_hidden(kind)
    assert {"seed", "own_private", "value"} <= found
    assert found <= PRIVATE | BESIDE, found - PRIVATE - BESIDE
    assert not PRIVATE & BESIDE


async def test_keys_of_a_running_client_are_in_its_memory_and_not_at_its_relay(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        async with (
            Messenger.open(tmp_path / "alice", relay=relay.origin) as alice,
            Messenger.open(tmp_path / "bob", relay=relay.origin) as bob,
        ):
            for me in (alice, bob):
                assert await me.connected(WITHIN), me.problems()
            alice.contacts.add("bob", bob.address)
            bob.contacts.add("alice", alice.address)
            await alice.send("bob", "hello")
            assert await bob.receive(WITHIN) is not None
            assert await bob.flushed(WITHIN)
            canaries = private_values("bob", ClientConfig(tmp_path / "bob"))
        names = {canary.name for canary in canaries}
        assert {
            "bob: key of the store",
            "bob: account.seed",
            "bob: device.seed",
            "bob: device.identity_private",
        } <= names
        for part in (
            "prekey SIGNED",
            "prekey SEALING",
            "prekey ONE_TIME_KEM",
            "session.all",
            "ratchet.root.value",
        ):
            assert any(part in name for name in names), (part, sorted(names)[:20])
        search = Search(canaries)
        for path in relay.data_dir.iterdir():
            search.look(path.name, path.read_bytes())
        assert search.found == []
        assert search.scanned > 10_000
