"""Write docs/pictures/*.svg: the real program in real terminals, at a real relay.

    python scripts/make_screenshots.py [DIRECTORY]     as `make screenshots` does

Nothing is drawn that was not on the screen: two people chat by a script, and one screen is the picture.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.terminal_picture import svg  # noqa: E402 after the path is set
from tests.support.client_process import ClientProcess  # noqa: E402 after the path is set
from tests.support.relay_process import RelayProcess  # noqa: E402 after the path is set
from tests.support.terminal import Terminal  # noqa: E402 after the path is set

ROWS, COLUMNS = 16, 80
FOCUS_OUT, ESCAPE, REPLY_TO_NEWEST = "\x1b[O", "\x1b", "\x1br"

ALICE, BOB = "alice", "bob"
# Who says what; a text that begins with the sign answers the newest message of the other side.
ANSWERS = "\u21b3"
SCRIPT = (
    (BOB, "Did you see the lights above the harbour last night?"),
    (ALICE, "No! Tell me everything \U0001f30c"),
    (
        BOB,
        "Green, then red, for an hour. \u4e00\u671f\u4e00\u4f1a, as my teacher says: once, and never again.",
    ),
    (BOB, "Half the town stood on the pier."),
    (ALICE, f"{ANSWERS}And all that the relay saw of it was 1 KiB of noise."),
    (BOB, f"{ANSWERS}That is all it ever sees \U0001f60c"),
    (ALICE, "Tonight again? I bring tea."),
)


def converse(directory: Path) -> Terminal:
    """Alice's terminal at the end of the script, to be closed by the caller."""
    with RelayProcess(directory, settings={"sockets-per-prefix": 100}) as relay:
        alice, bob = ClientProcess(directory, ALICE), ClientProcess(directory, BOB)
        for one in (alice, bob):
            one.init(relay.origin)
        alice.add(bob)
        bob.add(alice)
        digits = str(alice.json("contact", "verify", BOB)[0]["safety_number"])
        seats = {
            ALICE: Terminal(alice.command("chat", BOB), ROWS, COLUMNS, alice.environment),
            BOB: Terminal(bob.command("chat", ALICE), ROWS, COLUMNS, bob.environment),
        }
        try:
            _play(seats, digits)
            return seats[ALICE]
        except BaseException:
            seats[ALICE].close()
            raise
        finally:
            seats[BOB].close()


def _play(seats: dict[str, Terminal], digits: str) -> None:
    alice, bob = seats[ALICE].until("connected"), seats[BOB].until("connected")
    alice.type(f"/verify {digits}\r").until("Equal").type(ESCAPE).until(lambda: "Equal" not in alice.text)
    for number, (who, text) in enumerate(SCRIPT):
        seat, other = seats[who], seats[BOB if who == ALICE else ALICE]
        if text.startswith(ANSWERS):
            seat.type(REPLY_TO_NEWEST).until("answering")
        if number == len(SCRIPT) - 1:
            bob.type(FOCUS_OUT)  # he looks elsewhere: the last message is delivered, and not read
        words = text.removeprefix(ANSWERS)
        seat.type(f"{words}\r").until(words[:20])
        other.until(words[:20])
        if number < len(SCRIPT) - 1 and who == ALICE:
            alice.until(partial(_is_read, alice, words))
    alice.until(lambda: "\u2713\u2713" in alice.line_with("Tonight"))
    alice.until(lambda: alice.text.count("\u25c9") == 2)
    bob.type("Gladly")
    alice.until("online").until("typing").type("See you at ten").until("> See you at ten")


def _is_read(seat: Terminal, words: str) -> bool:
    """Whether the mark of a message, or of the quote above it, says so."""
    row = next(number for number, line in enumerate(seat.lines) if words[:20] in line)
    return any("\u25c9" in line for line in seat.lines[row - 1 : row + 1])


def main() -> None:
    """Write the pictures."""
    target = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "pictures"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, converse(Path(directory)) as terminal:
        picture = svg(terminal.screen, "blindpost chat bob")
    (target / "chat.svg").write_text(picture, "utf-8")
    print(f"{target / 'chat.svg'} written")


if __name__ == "__main__":
    main()
