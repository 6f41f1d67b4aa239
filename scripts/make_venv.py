"""Make .venv in the checkout, from requirements-dev.lock alone, with every hash checked.

Owns the environment's life: who may build it (one process at a time), from what (uv where it is on PATH, else
the standard library's venv and pip), and when it counts as ready (the stamp .venv/.ready, written last).
Without a stamp an environment is the rest of an interrupted run and is made anew; with one that is older than
the lock it is brought up to date in place, so that whoever is using it is not cut off. Standard library
only: it runs before anything else.
"""

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".ready"
LOCK = ROOT / "requirements-dev.lock"
SOURCES = (ROOT / "pyproject.toml", LOCK, Path(__file__).resolve(), ROOT / "scripts" / "fetch_pip.py")


def say(text: str) -> None:
    """Print one line of progress to stderr, so that stdout stays the target's own."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def is_ready() -> bool:
    """Whether the environment is finished, whole, and newer than all it was made from."""
    if not (STAMP.exists() and interpreter().exists()):
        return False
    made = STAMP.stat().st_mtime
    return all(source.stat().st_mtime <= made for source in SOURCES)


def interpreter() -> Path:
    """The environment's own Python."""
    return VENV / "bin" / "python"


def run(*command: str | Path) -> None:
    """Run one command in the checkout; a failure ends the set-up with that command's own words above ours."""
    finished = subprocess.run([str(part) for part in command], cwd=ROOT, check=False)
    if finished.returncode:
        shown = " ".join(str(part) for part in command)
        say(f"failed (exit {finished.returncode}): {shown}")
        sys.exit("setup: run the same make command to try again")


def build_with_uv(uv: str, *, fresh: bool) -> None:
    """Create and fill the environment with uv."""
    if fresh:
        run(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, VENV)
    install = (uv, "pip", "install", "--quiet", "--python", interpreter())
    run(*install, "--require-hashes", "--requirement", LOCK)
    run(*install, "--no-deps", "--no-index", "--no-build-isolation", "--editable", ROOT)


def make_with_pip() -> bool:
    """Create the environment with the pip that Python brings along; False where it brings none."""
    if importlib.util.find_spec("ensurepip") is None:
        return False
    command = (sys.executable, "-m", "venv", str(VENV))
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 0


def build_with_pip(*, fresh: bool) -> None:
    """Create and fill the environment with the standard library's venv and pip."""
    if fresh and not make_with_pip():
        say("this Python comes without pip of its own: taking pip's wheel")
        run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV)
        run(sys.executable, ROOT / "scripts" / "fetch_pip.py", interpreter())
    install = (interpreter(), "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*install, "--require-hashes", "--requirement", LOCK)
    run(*install, "--no-deps", "--no-index", "--no-build-isolation", "--editable", ROOT)


def main() -> None:
    """Bring .venv up to date, or do nothing where it is."""
    os.environ.pop("VIRTUAL_ENV", None)  # an activated environment of the caller's is not the one meant
    os.environ["PIP_ROOT_USER_ACTION"] = "ignore"
    with (ROOT / ".venv.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # a second make waits here, then finds the work done
        if is_ready():
            return
        started = time.monotonic()
        uv = shutil.which("uv")
        can_update = uv or (VENV / "bin" / "pip").exists()  # uv makes environments without pip
        fresh = not (STAMP.exists() and interpreter().exists() and can_update)
        tool = "uv" if uv else "venv and pip"
        what = "making" if fresh else "updating"
        say(f"{what} .venv from {LOCK.name} with {tool} (Python {sys.version.split()[0]}), once, about 30 s")
        if fresh:
            shutil.rmtree(VENV, ignore_errors=True)
        if uv:
            build_with_uv(uv, fresh=fresh)
        else:
            build_with_pip(fresh=fresh)
        STAMP.touch()
        say(f"ready after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; the next make begins again")
