"""`blindpost relay doctor`: what is wrong with this relay, and what to do about it.

Owns the command and its exit code.
"""

import json
import sys
from collections.abc import Sequence
from typing import Final

from relay.commands.output import say
from relay.config import Config, command_parser, settle
from relay.doctor.examination import examine
from relay.doctor.findings import Verdict

FAILED: Final = 3  # exit code


def run(arguments: Sequence[str]) -> None:
    """Examine everything."""
    parser = command_parser(
        "doctor",
        "Look at settings, files, disk, clock, certificate and the ways in, and say what to do. Nothing is "
        "changed. Run it as the relay's user with the relay's settings, while the relay runs: then its "
        f"public URLs are dialled as a client would. Exit code 0: nothing failed. {FAILED}: something did. "
        "2: a setting cannot be used.",
        Config.model_fields,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each check")
    flags = vars(parser.parse_args(parser.words(arguments)))
    as_json = flags.pop("json")
    has_failed = False
    for finding in examine(settle(flags)):
        say(json.dumps(finding.to_json()) if as_json else str(finding))
        has_failed |= finding.verdict is Verdict.FAILED
    if has_failed:
        sys.exit(FAILED)
