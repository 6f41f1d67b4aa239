"""What can go wrong with keys, as two errors that say as little as is safe."""


class DecryptError(Exception):
    """Something from a peer cannot be opened. One opaque error: it never says which check failed."""

    def __init__(self) -> None:
        super().__init__("cannot be decrypted")


class VerificationError(Exception):
    """A public, signed object does not hold: signature, age, kind or succession. `str()` says which."""


class ForkError(VerificationError):
    """An account has signed what contradicts what it signed before."""


class MissingListsError(VerificationError):
    """A device list is further ahead than the lists that were shown: it may be right, or not."""
