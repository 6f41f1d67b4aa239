"""The client: everything a person or a program needs to exchange messages through a relay.

Owns the profile on disk, the network connections and the command line. `Messenger` is the public Python
interface; the engine behind it turns plaintext into envelopes and back without touching a socket.
"""

TYPE_CHECKING = False  # importing `typing` for it would take longer than everything before `main`
if TYPE_CHECKING:
    from clients.errors import ClientError
    from clients.messenger import Messenger
    from clients.model import Contact, Message, MessageStatus
    from clients.watching import ContactEvent, MessageEvent, Resync, StateEvent

__all__ = [
    "ClientError",
    "Contact",
    "ContactEvent",
    "Message",
    "MessageEvent",
    "MessageStatus",
    "Messenger",
    "Resync",
    "StateEvent",
]

_HOMES = {
    "ClientError": "clients.errors",
    "Messenger": "clients.messenger",
    "Contact": "clients.model",
    "Message": "clients.model",
    "MessageStatus": "clients.model",
    "ContactEvent": "clients.watching",
    "MessageEvent": "clients.watching",
    "Resync": "clients.watching",
    "StateEvent": "clients.watching",
}


def __getattr__(name: str) -> object:
    """Import on first use (PEP 562), so that `blindpost --help` does not load the whole client."""
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
