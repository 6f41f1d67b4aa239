"""Which version of the relay this is.

Owns the question alone, so that `--version` loads nothing else to answer it.
"""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """The installed version, or "unknown" when running from a copied tree."""
    for name in ("blindpost", "blindpost-relay"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
