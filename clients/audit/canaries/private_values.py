"""The private values that a client holds, as canaries: read from its own profile, beside its owner.

Owns which fields of which classes are private; a test holds it against all classes that hold secrets. They
change with each message, so they are read at several moments.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from clients.audit.canaries.search import Canary
from clients.config import ClientConfig
from clients.profile import store_key
from clients.store.store import Store
from keys.identities import Account, Device
from keys.secrecy import Secret
from keys.sessions import Sessions
from wire.prekeys import PrekeyKind

# Of classes that hold secrets: what nobody else may ever see, and what stands beside it.
PRIVATE: Final = frozenset({"seed", "identity_private", "own_private", "private", "root_key", "value"})
BESIDE: Final = frozenset(
    {
        "associated",  # account keys and versions, which a relay knows
        "body",  # what somebody wrote: the canaries of texts stand for it
        "ciphertext",  # of the handshake: sealed on its way, and no key
        "id",  # of a state that a checkpoint names: sealed at the relay, and no key
        "identity_key",
        "inner",  # the inner layer of a seal: in passing
        "key",  # of a device: the name of its mailbox
        "opening",  # the sender's list and the handshake's header: sealed on its way, and no key
        "own_key",
        "stream_id",
    }
)


def _private_fields(value: object, name: str) -> Iterator[tuple[str, bytes]]:
    """Each private field in a value and in all that it is made of, by its path."""
    if isinstance(value, Secret):
        for field in dataclasses.fields(cast(Any, value)):  # all of them are dataclasses
            inside: Any = getattr(value, field.name)
            if isinstance(inside, bytes):
                if field.name in PRIVATE and any(inside):  # a state that has none yet has zeros there
                    yield f"{name}.{field.name}", inside
            else:
                yield from _private_fields(inside, f"{name}.{field.name}")
    elif isinstance(value, Mapping):
        for inside in value.values():
            yield from _private_fields(inside, name)
    elif isinstance(value, tuple | list):
        for inside in value:
            yield from _private_fields(inside, name)


def private_values(who: str, config: ClientConfig) -> list[Canary]:
    """Every private key that a profile holds now, and the key of its store. Raises ClientError."""
    key = store_key(config)
    store = Store(config.profile / "store.db", key, is_reader=True)
    try:
        found = [(f"{who}: key of the store", key)]
        seed, device = store.meta("account"), store.meta("device")
        for name, value in (
            ("account", None if seed is None else Account(seed)),
            ("device", None if device is None else Device.from_record(device)),
        ):
            found += _private_fields(value, f"{who}: {name}")
        for kind, number, private in store.db.execute("SELECT kind, id, private FROM prekeys"):
            found.append((f"{who}: prekey {PrekeyKind(kind).name} {number}", bytes(private)))
        for (record,) in store.db.execute("SELECT sessions FROM devices WHERE sessions IS NOT NULL"):
            found += _private_fields(Sessions.from_record(bytes(record)), f"{who}: session")
    finally:
        store.close()
    return [Canary(name, value, is_text=False) for name, value in dict.fromkeys(found)]
