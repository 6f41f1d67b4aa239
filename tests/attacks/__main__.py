"""`make attacks`: each attack twice, with every defence and without the one that it names.

    python -m tests.attacks [--only NAME,...] [--json FILE] [--workers 2] [--record]

An evil relay, which is the real one with somebody in it, and real clients, all in one process for each play.
Exits 0 only if each attack was caught and each control, in which the one defence is gone, succeeded.
"""

import argparse
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.attacks.catalogue import BY_NAME, play_named
from tests.attacks.noticed import record
from tests.attacks.play import Row, verdict

WORKERS = 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.attacks",
        description="Attack clients from an evil relay and evil peers, then again without the defence.",
        epilog="Attacks:\n" + "\n".join(f"  {each.name:28} {each.does}" for each in BY_NAME.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="NAME,...", help="some attacks, separated by commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON, too")
    parser.add_argument("--workers", type=int, default=WORKERS, help=f"attacks at once (default: {WORKERS})")
    parser.add_argument(
        "--record",
        action="store_true",
        help="write down who noticed what, and how; later runs must see the same",
    )
    asked = parser.parse_args()
    asked.names = [*BY_NAME] if asked.only is None else asked.only.split(",")
    if unknown := {*asked.names} - {*BY_NAME}:
        parser.error(f"no such attack: {', '.join(sorted(unknown))}; --help names them")
    return asked


def _table(rows: list[Row]) -> str:
    """Attack, who noticed, how, after how many messages."""
    head = ("attack", "noticed by", "after", "how")
    lines = [head, *((row.name, row.who, str(row.after), row.how) for row in rows if row.caught)]
    widths = [max(len(line[at]) for line in lines) for at in range(3)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, [*widths, 0], strict=True)).rstrip()
        for line in lines
    )


def main() -> int:
    """Run what was asked for; the exit code."""
    asked, rows, began = _arguments(), list[Row](), time.monotonic()
    # Each worker is a process of its own: a defence is taken away in one, and nowhere else.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.workers, mp_context=spawn) as pool:
        for row in pool.map(partial(play_named, is_new=asked.record), asked.names):
            print(row.line(), flush=True)
            rows.append(row)
    if asked.json is not None:
        asked.json.write_text(json.dumps([row.to_json() for row in rows], indent=2) + "\n")
    if asked.record:
        record([row for row in rows if row.is_good])
    print(f"\n{_table(rows)}\n\nin {time.monotonic() - began:.0f} s")
    print(verdict(rows), flush=True)
    return 0 if rows and all(row.is_good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
