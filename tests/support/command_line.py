"""The command line in this process: `main()` with arguments, stdin and environment of a test's choice."""

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clients.cli import main


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """`blindpost` for one profile; no terminal is there."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], profile: Path) -> None:
        self._patch, self._capture, self.profile = patch, capture, profile

    def __call__(self, *arguments: str, stdin: bytes | None = b"", code: int | None = 0) -> Ended:
        """Run to the end; `code` is the exit code that is expected, None for any. `stdin` None is closed."""
        with self._patch.context() as patch:
            patch.setattr(sys, "argv", ["blindpost", *arguments])
            source = None if stdin is None else io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
            patch.setattr(sys, "stdin", source)
            patch.setenv("BLINDPOST_PROFILE", str(self.profile))
            patch.delenv("BLINDPOST_PASSPHRASE", raising=False)
            try:
                main()
                ended_with = 0
            except SystemExit as ended:
                ended_with = int(ended.code or 0)
        said = self._capture.readouterr()
        done = Ended(ended_with, said.out, said.err)
        assert code is None or done.code == code, done
        return done
