"""The client: everything a person or a program needs to exchange messages through a relay.

Owns the profile on disk, the network connections and the command line. `Messenger` is the public Python
interface; the engine behind it turns plaintext into envelopes and back without touching a socket.
"""

from clients.errors import ClientError
from clients.messenger import Messenger
from clients.model import Contact, Message

__all__ = ["ClientError", "Contact", "Message", "Messenger"]
