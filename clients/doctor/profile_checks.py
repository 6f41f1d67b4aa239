"""The checks of a profile on disk: there, private, in nobody's way, undamaged.

Owns what is looked at in the directory and in the store. Changes neither, and knows nothing of relays.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clients.config import ClientConfig
from clients.doctor.findings import Finding, failed, ok, quoted, warning
from clients.doctor.store_look import Contents, StoreLook, TookTooLong
from clients.errors import ClientError, ExitCode, StorageError
from clients.profile import store_key
from clients.profile_files import check_store, is_finished

STORE_WITHIN: Final = 4.0  # seconds for looking through the store
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
SECRETS: Final = ("profile.key", "store.db", "store.db-wal")
MIB: Final = 1024 * 1024
SPACE_MIN: Final = MIB  # a message of 64 KiB is written several times until it is where it belongs
SHOWN_MAX: Final = 3  # file names in one line


def check_profile(path: Path) -> Finding:
    """Whether there is a finished profile in `path`."""
    name = "profile"
    make = "make one with: blindpost init --relay URL"
    try:
        check_store(path)
        if not (path / "profile.json").exists():
            return failed(name, f"there is none in {path}", make, ExitCode.NOT_FOUND)
    except StorageError as error:
        return failed(name, str(error), None, ExitCode.STORAGE)
    except OSError as error:
        what = f"{path} cannot be looked into: {error.strerror}"
        return failed(name, what, "check who owns the directory", ExitCode.STORAGE)
    if not is_finished(path):
        finish = "finish it with: blindpost init --relay URL"
        return failed(name, f"the one in {path} was never finished", finish, ExitCode.NOT_FOUND)
    return ok(name, str(path))


def check_permissions(path: Path) -> Finding:
    """Whether the profile is its owner's alone, and can be written."""
    name = "permissions"
    try:
        modes = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(path)}
        directory = path.stat()
    except OSError as error:
        return failed(name, f"{path} cannot be looked into: {error.strerror}", None, ExitCode.STORAGE)
    strangers = [each for each in (directory, *modes.values()) if each.st_uid != os.geteuid()]
    if strangers and os.geteuid() != 0:
        what = f"part of {path} belongs to another user"
        return failed(name, what, f"give it back: sudo chown -R $USER {path}", ExitCode.STORAGE)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return failed(name, f"{path} cannot be written", f"run: chmod 700 {path}", ExitCode.STORAGE)
    stuck = sorted(each for each in modes if not os.access(path / each, os.R_OK | os.W_OK))
    if stuck:
        what = f"{_some(stuck)} cannot be read or written"
        return failed(name, what, f"run: chmod u+rw {path}/*", ExitCode.STORAGE)
    is_open = bool(directory.st_mode & OTHERS)
    bare = sorted(
        each for each, known in modes.items() if stat.S_ISREG(known.st_mode) and known.st_mode & OTHERS
    )
    put_right = f"run: chmod 700 {path} && chmod go= {path}/*"
    if is_open and set(bare) & set(SECRETS):
        what = f"other users of this machine can read {_some(bare)}"
        return failed(name, what, put_right, ExitCode.STORAGE)
    if is_open or bare:
        what = "other users of this machine can look into the directory" if is_open else (
            f"{_some(bare)} could be read by others, were the directory not closed"
        )  # fmt: skip
        return warning(name, what, put_right)
    return ok(name, "only you can read it")


def check_space(path: Path) -> Finding:
    """Whether what comes can be kept."""
    name = "space"
    try:
        disk = os.statvfs(path)
    except OSError as error:
        return warning(name, f"cannot be told: {error.strerror}", "look at it with: df")
    free = disk.f_bavail * disk.f_frsize
    if disk.f_flag & os.ST_RDONLY:
        what = "the disk of the profile is mounted read-only"
        return failed(name, what, "mount it for writing, or move the profile", ExitCode.STORAGE)
    if free < SPACE_MIN:
        what = f"{free // 1024:,} KiB are left on the disk of the profile, which is too little"
        return failed(name, what, "free some space; nothing is lost meanwhile", ExitCode.STORAGE)
    return ok(name, f"{free // MIB:,} MiB are free")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    return ", ".join(names[:SHOWN_MAX]) + more


@contextmanager
def owning(path: Path) -> Iterator[bool]:
    """Hold the profile's lock for a moment, if it is free: whether it was."""
    try:
        descriptor = os.open(path / "lock", os.O_RDWR)
    except OSError:
        yield True  # there is no lock, or no way to one: nobody holds it
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def check_store_contents(config: ClientConfig) -> tuple[Finding, Contents | None]:
    """Whether the store opens and is whole, and what it says about the relay."""
    name = "store"
    try:
        with StoreLook(config.profile / "store.db", store_key(config)) as look:
            try:
                damage = look.check(STORE_WITHIN)
                finding = ok(name, "opens, and is undamaged")
            except TookTooLong:
                damage = None
                finding = warning(
                    name,
                    f"opens; too large to be looked through within {STORE_WITHIN:g} s",
                    "nothing needs to be done",
                )
            contents = look.contents()
    except ClientError as error:
        return failed(name, str(error), None, error.exit_code), None
    if damage is not None:
        advice = "restore the profile directory from a copy, or make a new profile"
        return failed(name, f"is damaged ({quoted(damage)})", advice, ExitCode.STORAGE), contents
    if contents is None:
        advice = "finish it with: blindpost init --relay URL"
        return failed(name, "holds no account yet", advice, ExitCode.NOT_FOUND), None
    return finding, contents


def outbox(contents: Contents) -> Finding:
    """How many messages wait to be sent."""
    if contents.waiting == 0:
        return ok("outbox", "nothing waits to be sent")
    waits = "1 message waits" if contents.waiting == 1 else f"{contents.waiting:,} messages wait"
    return ok("outbox", f"{waits} to be sent, with the next command that connects")
