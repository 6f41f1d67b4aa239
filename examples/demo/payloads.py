"""What Alice and Bob say: several scripts, emoji, nothing at all, the largest allowed, and real files.

Every payload but the empty one carries a fresh canary: as hex in a text, raw in front of a file's bytes.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from examples.demo.canaries import Canaries

TEXT_MAX = 65_000
ROOT = Path(__file__).resolve().parents[2]

PHRASES = (
    "see you at the station at seven",
    "Größe, Straße, naïve café, año, łódź",
    "Встретимся у входа в парк",
    "Συνάντηση στις οκτώ",
    "ملتقى عند الباب القديم",
    "נפגשים ליד הגשר",
    "明日の朝、駅で会いましょう",
    "내일 아침에 만나요",
    "明天早上在车站见",
    "कल सुबह मिलते हैं",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🚲 👍🏽",
    "e\u0301 combining, \u202eright to left\u202c, tab\tand\nnew line",
)


@dataclass(frozen=True, slots=True)
class Payload:
    """One message body, text or bytes."""

    body: str | bytes

    def ndjson(self) -> bytes:
        """As a line for `blindpost send --ndjson`."""
        if isinstance(self.body, str):
            return json.dumps({"text": self.body}).encode() + b"\n"
        return json.dumps({"data": base64.b64encode(self.body).decode()}).encode() + b"\n"


def texts(count: int, canaries: Canaries) -> list[Payload]:
    """`count` texts, going round the scripts; every 50th is long."""
    result = []
    for number in range(count):
        phrase = PHRASES[number % len(PHRASES)]
        tail = " and so on" * 500 if number % 50 == 49 else ""
        result.append(Payload(f"{phrase} [{canaries.fresh().hex()}]{tail}"))
    return result


def extremes(canaries: Canaries) -> list[Payload]:
    """An empty text, a single character beside its canary, and the largest text allowed."""
    mark = canaries.fresh().hex()
    return [
        Payload(""),
        Payload("." + canaries.fresh().hex()),
        Payload(mark + "ж" * ((TEXT_MAX - len(mark)) // 2)),
    ]


def files(canaries: Canaries) -> list[bytes]:
    """Bytes of real files of this repository, each behind a canary, cut to what one message holds."""
    names = (
        "README.md",
        "LICENSE",
        "pyproject.toml",
        "requirements.lock",
        "keys/ratchet.py",
        "wire/frames.py",
    )
    compiled = sorted(ROOT.glob("wire/__pycache__/*.pyc"))[:2]
    paths = [*(ROOT / name for name in names), *compiled]
    return [(canaries.fresh() + path.read_bytes())[:TEXT_MAX] for path in paths if path.exists()]
