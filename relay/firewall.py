"""What the setting `firewall strict` adds: what looks like plaintext is refused where a PUT is taken apart.

Owns the two ways of taking one apart. Whether an envelope looks so, `wire.randomness` says.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from wire.errors import ErrorCode, WireError
from wire.frames import split_put
from wire.randomness import looks_like_plaintext

Split: TypeAlias = Callable[[bytes], tuple[bytes, bytes, bytes]]  # a PUT: mailbox, frame id, envelope


def read_ciphertext(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Mailbox, frame id and envelope of a PUT. Raises as `split_put` does, and PLAINTEXT_SUSPECTED."""
    put = split_put(data)
    if looks_like_plaintext(put[2]):
        why = "this looks like plaintext, which this relay does not take: encrypt it, or encrypt it anew"
        raise WireError(ErrorCode.PLAINTEXT_SUSPECTED, why)
    return put


FIREWALLS: Final[dict[str, Split]] = {"basic": split_put, "strict": read_ciphertext}
