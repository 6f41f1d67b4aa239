"""All red controls: what leaks, where it must be found, and as what.

Owns the list. A control changes the relay or the client, and nothing of the audit.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from clients.audit.capture.evidence import Place
from clients.audit.capture.relays import PROGRAM
from clients.audit.driving.people import CLIENT

LEAKY_PROGRAMS: Final = Path(__file__).parent / "leaky-programs"
RAW: Final = "raw"
OF_A_CHILD: Final = "of a child"
OUT_OF_REACH: Final = "/dev/zero"  # what Linux calls shared memory without a file
MARK: Final = "red-control"  # a file in the directory of a control: a leaky program runs nowhere else


@dataclass(frozen=True, slots=True)
class Control:
    """One leak. `name` is what the program in `leaky-programs` calls it.

    It has fired if one of the canaries whose names contain `leaks` was found at `place`, and `shown_as` is in
    the finding's form or source: neither another canary counts, nor another place, nor another form. What is
    to be hidden does not count where it stands there in clear as well: that is found without any art.
    """

    name: str
    what: str
    changes: Literal["relay", "client"]
    place: Place
    leaks: str
    shown_as: str

    @property
    def is_hidden(self) -> bool:
        """Whether the leak is in another form than what was typed."""
        return self.shown_as not in (RAW, OF_A_CHILD, OUT_OF_REACH)

    @property
    def is_about_keys(self) -> bool:
        """Whether a private key leaks, and no text."""
        return self.leaks.startswith(":")  # as in `alice: account.seed`

    def relay_program(self, directory: Path) -> Sequence[str]:
        """What runs the relay, before its flags."""
        return self._leaky(directory) if self.changes == "relay" else PROGRAM

    def client_program(self, directory: Path) -> Sequence[str]:
        """What runs both people's clients."""
        return self._leaky(directory) if self.changes == "client" else CLIENT

    def _leaky(self, directory: Path) -> Sequence[str]:
        program = LEAKY_PROGRAMS / f"leaky_{self.changes}.py"
        return (sys.executable, "-P", str(program), self.name, str(directory))


def _relay(name: str, what: str, place: Place, shown_as: str = RAW) -> Control:
    return Control(name, what, "relay", place, "send.text", shown_as)


def _client(name: str, what: str, shown_as: str, leaks: str = "send.text") -> Control:
    return Control(name, what, "client", Place.WIRE, leaks, shown_as)


CONTROLS: Final = (
    _relay("in_the_log", "plaintext in a line of the log", Place.LOGS),
    _relay("in_the_log_as_utf_16", "plaintext in the log, as UTF-16", Place.LOGS, "utf-16"),
    _relay("on_stdout", "plaintext on stdout", Place.LOGS),
    _relay("in_a_metric", "plaintext in the label of a metric", Place.HTTP),
    _relay("in_an_error", "plaintext in the body of an error", Place.HTTP),
    _relay("in_a_column", "plaintext in a column of the database", Place.STORE),
    _relay("in_a_long_row", "plaintext compressed in a long row", Place.STORE, "rows of archive, unpacked"),
    _relay("in_a_deleted_row", "plaintext in a row that was deleted", Place.STORE),
    _relay("in_a_file_without_a_name", "plaintext in a temporary file without a name", Place.TEMPORARY),
    _relay("in_memory", "plaintext in memory, and written nowhere", Place.MEMORY),
    _relay(
        "in_memory_out_of_reach",
        "plaintext in memory that the relay may not read itself",
        Place.MEMORY,
        OUT_OF_REACH,
    ),
    _relay(
        "in_a_child",
        "plaintext in the memory of a process that the relay has started",
        Place.MEMORY,
        OF_A_CHILD,
    ),
    _client("name_in_a_header", "the user's name in clear, in the head of a request", RAW, "set_name"),
    _client("contacts_in_a_header", "a contact's name in clear, in the head of a request", RAW, "add.name"),
    _client("key_as_a_nonce", "the account's private key as a nonce", "base64", ": account.seed"),
    _client("text_in_frame_ids", "text split over the ids of frames", "a piece"),
    _client("base64_as_encryption", "base64 as encryption", "base64 at"),
    _client("hex_as_encryption", "hexadecimal digits as encryption", "hex"),
    _client("xor_as_encryption", "XOR with one byte as encryption", "XOR with a byte"),
    _client("zlib_as_encryption", "zlib's compression as encryption", "unpacked"),
    _client("zstd_as_encryption", "hexadecimal digits in zstd's compression as encryption", "unpacked"),
)
