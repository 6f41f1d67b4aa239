"""The two control messages that go with every frame, read and written without a model in between.

Owns their canonical form, byte for byte that of `wire.control` (a test compares them); whatever has any other
form is read there. For the relay, which handles one of each per frame.
"""

import re
from binascii import b2a_base64
from collections.abc import Sequence
from typing import Final

_ACKNOWLEDGE: Final = re.compile(r'\{"type":"acknowledge","through":([1-9][0-9]{0,17})\}', re.ASCII)
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def read_acknowledge(text: str) -> int | None:
    """The `through` of an Acknowledge in its canonical form, 1 to 10^18 - 1; None for any other text."""
    match = _ACKNOWLEDGE.fullmatch(text)
    return None if match is None else int(match[1])


def write_accepted(frames: Sequence[bytes]) -> str:
    """`Accepted(frames=...).encode()`, of 1 to 256 frame ids of 16 bytes."""
    ids = '","'.join(
        b2a_base64(frame, newline=False).translate(_URL_SAFE, b"=").decode("ascii") for frame in frames
    )
    return f'{{"type":"accepted","frames":["{ids}"]}}'
