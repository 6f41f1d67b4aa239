"""What a submit connection has shown: delivery tokens for mailboxes, and watches by their refs.

Owns their bounds, which are checked before anything is kept. A token is noted, never judged: the store
compares its hash when a frame is put, so that no answer to an attachment tells good tokens from bad. Pure.
"""

from wire.capabilities import token_hash
from wire.errors import ErrorCode, WireError
from wire.limits import ATTACHED_MAX, WATCHES_MAX


class Attachments:
    """The attachments of one connection."""

    def __init__(self) -> None:
        self._tokens: dict[bytes, bytes] = {}  # mailbox: hash of its token
        self._watches: dict[int, bytes] = {}  # ref: capability

    def attach(self, mailbox: bytes, token: bytes) -> None:
        """Note a token for later frames to `mailbox`, in place of the one before. Raises TOO_LARGE."""
        if mailbox not in self._tokens and len(self._tokens) >= ATTACHED_MAX:
            raise WireError(
                ErrorCode.TOO_LARGE, f"attach: at most {ATTACHED_MAX} mailboxes on one connection", "mailbox"
            )
        self._tokens[mailbox] = token_hash(token)

    def token_hash_for(self, mailbox: bytes) -> bytes | None:
        """The hash of the token that frames to `mailbox` come with, if there is one."""
        return self._tokens.get(mailbox)

    def watch(self, ref: int, capability: bytes) -> None:
        """Note a watch. Raises WireError: TOO_LARGE, or BAD_REQUEST for what is watched already."""
        if any(capability == watched for other, watched in self._watches.items() if other != ref):
            # Each is told at every change: one connection hears it once.
            raise WireError(
                ErrorCode.BAD_REQUEST,
                "watch: this connection watches it already, by another ref",
                "capability",
            )
        if ref not in self._watches and len(self._watches) >= WATCHES_MAX:
            raise WireError(
                ErrorCode.TOO_LARGE, f"watch: at most {WATCHES_MAX} watches on one connection", "ref"
            )
        self._watches[ref] = capability
