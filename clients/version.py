"""Which version of the client this is.

Owns the question alone, so that nothing else is loaded to answer it.
"""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """The installed version, or "unknown" when running from a copied tree."""
    try:
        return version("blindpost")
    except PackageNotFoundError:
        return "unknown"
