"""The code under test in a report, and whether another tree of sources is the same.

Owns the hash over all of it: `sha256sum` of the same files, in the order of their paths, makes the same
lines. Which files count is `clients.audit.proving.proof`.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from clients.audit.proving.proof import code_hashes
from clients.audit.proving.sources import PACKAGES
from clients.audit.reporting.report import Code
from clients.errors import StorageError, UsageError
from clients.version import package_version


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises StorageError."""
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"The file {path.name} cannot be read: {error.strerror}.") from None


def whole(files: Mapping[str, str]) -> str:
    """SHA-256 of what `sha256sum` prints for these files."""
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def code(root: Path | None = None) -> Code:
    """The code that runs here, or that below `root`. Raises RelayError."""
    found = code_hashes(root)
    files = {file.path: file.sha256 for file in found.files}
    return Code(version=package_version(), files=files, sha256=whole(files), compiled=found.compiled)


def differences(reported: Mapping[str, str], root: Path | None) -> list[str]:
    """Files of the code below `root`, or of what is installed, that are not as a report has them.

    Raises UsageError where a package is missing.
    """
    if root is not None and (missing := [name for name in PACKAGES if not (root / name).is_dir()]):
        raise UsageError(f"There is no {missing[0]}/ in {root}. Give the directory that holds the packages.")
    here, found = code(root).files, []
    for path in sorted(reported.keys() | here.keys()):
        if path not in here:
            found.append(f"{path} is missing")
        elif path not in reported:
            found.append(f"{path} is not in the report")
        elif reported[path] != here[path]:
            found.append(f"{path} is another")
    return found
