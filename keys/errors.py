"""What can go wrong with keys, as a few errors that say as little as is safe."""


class DecryptError(Exception):
    """Something from a peer cannot be opened. One opaque error: it never says which check failed."""

    def __init__(self) -> None:
        super().__init__("cannot be decrypted")


class ExpiredError(DecryptError):
    """Here and once: a message whose key was kept for as long as it was to be, and is gone since.

    It says nothing against the session. To whoever sent it, it looks like any other.
    """


class VerificationError(Exception):
    """A public, signed object does not hold: signature, age, kind or succession. `str()` says which."""


class ForkError(VerificationError):
    """An account has signed what contradicts what it signed before."""


class MissingListsError(VerificationError):
    """A device list is further ahead than the lists that were shown: it may be right, or not."""
