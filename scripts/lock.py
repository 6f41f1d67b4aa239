"""Renew the four requirements*.lock: each package for every platform, pinned with its hashes.

Usage: lock.py UV_VERSION [--upgrade]. Works in a throw-away environment with that version of uv, so that a
lock does not depend on what a developer has installed. Without --upgrade, versions that still fit stay.
The development lock is made under the runtime lock as a constraint: a package never has two versions.
"""

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "requirements.lock": ("pyproject.toml",),
    "requirements-dev.lock": ("pyproject.toml", "--group", "dev", "--constraint", "requirements.lock"),
    "requirements-bench.lock": ("--group", "bench"),
    "requirements-mutants.lock": ("--group", "mutants"),
}


def main() -> None:
    """Make the throw-away environment, then each lock in turn."""
    uv_version, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="blindpost-lock-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        install = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        subprocess.run([*install, f"uv=={uv_version}"], check=True)
        # The command that a reader finds at the top of each lock is the one to type, not uv's.
        environment = os.environ | {"UV_CUSTOM_COMPILE_COMMAND": "make lock"}
        compile_lock = (
            *(python, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
            *("--generate-hashes", "--no-emit-find-links", "--no-emit-index-url", *options),
        )
        for lock, inputs in LOCKS.items():
            command = [*compile_lock, *inputs, "--output-file", lock]
            subprocess.run(command, check=True, cwd=ROOT, env=environment)
            pinned = sum("==" in line for line in (ROOT / lock).read_text().splitlines())
            print(f"lock: {lock}, {pinned} packages")


if __name__ == "__main__":
    main()
