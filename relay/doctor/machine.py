"""The checks of the machine: open files, clock, disk. Knows no relay that runs."""

import shutil
import time
from pathlib import Path
from typing import Final

from relay.descriptors import hard_limit
from relay.doctor.findings import Finding, failed, ok, warning
from relay.store.base import Quota
from relay.store.room import RESERVE

FEW_SOCKETS: Final = 1024
LITTLE_SPACE: Final = 1 << 30
SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")  # systemd-timesyncd.service(8)
RUN_AT_LEAST: Final = 1_763_000_000  # Unix seconds, November 2025: before this program was written


def check_open_files() -> Finding:
    """How many connections the system allows."""
    name, limit = "open files", hard_limit()
    if limit is None:
        return ok(name, "this system names no limit")
    if limit < FEW_SOCKETS:
        return warning(
            name, f"at most {limit:,} files and sockets may be open", "raise it: LimitNOFILE=, or ulimit -Hn"
        )
    return ok(name, f"{limit:,} files and sockets may be open")


def check_clock(last_commit: int | None) -> Finding:
    """`last_commit`: Unix seconds of the newest thing known, if there is one."""
    name, now = "clock", time.time()
    if now < RUN_AT_LEAST or (last_commit is not None and last_commit > now + 60):
        shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
        return failed(name, f"{shown} is before what was written here last", "set it, and use NTP")
    if SYNCHRONISED.exists():
        return ok(name, "systemd-timesyncd keeps it")
    return ok(
        name, "is not behind; whether NTP keeps it is not told here: see timedatectl or chronyc tracking"
    )


def check_space(directory: Path, quota: Quota, mailboxes: int, stored: int) -> Finding:
    """Free space, against what the mailboxes of now may come to hold. `stored`: bytes of the database."""
    name, free = "disk", shutil.disk_usage(directory).free
    each = quota.bytes + quota.request_bytes
    could = mailboxes * each - stored
    shown = f"{free / 1e9:,.1f} GB free"
    if free < RESERVE:
        return failed(name, f"{shown}: nothing is stored any more", "free some space")
    if free < LITTLE_SPACE:
        return warning(name, shown, "free some space: when it is full, senders are refused")
    if free < could:
        what = (
            f"{shown}, and full mailboxes of all {mailboxes:,} devices would take {could / 1e9:,.1f} GB more"
        )
        return warning(name, what, "watch it, or lower --mailbox-bytes")
    return ok(name, f"{shown}, more than all {mailboxes:,} mailboxes can come to hold")
