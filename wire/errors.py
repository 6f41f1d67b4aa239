"""Error codes and close codes: the words with which one side refuses the other.

Owns the vocabulary and the exception that carries it. A peer's mistake is a `WireError` with a code;
a local mistake is a `ValueError`. Messages never quote what the peer sent.
"""

from enum import IntEnum, StrEnum


class ErrorCode(StrEnum):
    """Why something was refused. The text is the word on the wire, in logs and as metric label."""

    BAD_REQUEST = "BAD_REQUEST"  # malformed, unknown type, extra or missing field
    BAD_FRAME = "BAD_FRAME"  # binary frame malformed, or of a kind this side does not accept
    BAD_ENVELOPE = "BAD_ENVELOPE"  # envelope not exactly 1 KiB * 2^k, or of an unknown version
    PLAINTEXT_SUSPECTED = "PLAINTEXT_SUSPECTED"  # the envelope looks unencrypted to a relay that looks
    TOO_LARGE = "TOO_LARGE"  # over a limit published in /v1/info
    UNSUPPORTED_VERSION = "UNSUPPORTED_VERSION"  # no protocol version in common
    OUT_OF_TURN = "OUT_OF_TURN"  # a valid message in the wrong state or on the wrong kind of connection
    LOGIN_TIMEOUT = "LOGIN_TIMEOUT"  # no finished hello or login within the deadline
    WRONG_ORIGIN = "WRONG_ORIGIN"  # dialled under a URL that is not in the relay's public_urls
    LOGIN_REFUSED = "LOGIN_REFUSED"  # signature or key of the login does not hold
    NOT_REGISTERED = "NOT_REGISTERED"  # the device has no mailbox here yet
    REGISTRATION_REFUSED = "REGISTRATION_REFUSED"  # device list invalid, not a successor, or not allowed here
    BAD_PREKEY = "BAD_PREKEY"  # a published prekey does not verify or repeats an id
    NOT_FOUND = "NOT_FOUND"  # no such account or mailbox, or it refuses you: always the same answer
    QUOTA = "QUOTA"  # the mailbox is full; later frames to it are refused until this one is retried
    GO_BACK = "GO_BACK"  # an earlier frame to this mailbox was refused: retry that one first
    RATE_LIMITED = "RATE_LIMITED"  # too often; see retry_after
    TOO_MANY_CONNECTIONS = "TOO_MANY_CONNECTIONS"  # a cap on sockets was reached
    STORAGE_FULL = "STORAGE_FULL"  # the relay's disk is full; nothing was stored
    INTERNAL = "INTERNAL"  # the relay's fault; nothing was stored
    REPLACED = "REPLACED"  # a newer connection of the same device took over
    ACCOUNT_DELETED = "ACCOUNT_DELETED"  # this device's account was deleted, with all that was held of it
    SLOW_READER = "SLOW_READER"  # the outbound queue of this connection was full
    RESTARTING = "RESTARTING"  # the relay is going down; come back in a moment


class CloseCode(IntEnum):
    """WebSocket close codes (RFC 6455 section 7.4); 4000 to 4999 are ours."""

    NORMAL = 1000
    GOING_AWAY = 1001  # idle submit connection
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL = 1011
    RESTARTING = 1012
    BAD_REQUEST = 4000
    LOGIN_REFUSED = 4001
    LOGIN_TIMEOUT = 4002
    WRONG_ORIGIN = 4003
    UNSUPPORTED_VERSION = 4004
    SLOW_READER = 4008
    TOO_LARGE = 4009
    REPLACED = 4010
    ACCOUNT_DELETED = 4011
    TOO_MANY_CONNECTIONS = 4013


class WireError(Exception):
    """Bytes or JSON from the other side break the protocol.

    `code` goes back to the peer, `field` names the offending JSON field if there is one, `retry_after` are
    the seconds until another try may succeed, `str()` is a sentence for people. None of them ever quotes the
    input.
    """

    def __init__(
        self, code: ErrorCode, message: str, field: str | None = None, *, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.retry_after = retry_after
