"""Put pip into an environment that was made without it, from pip's own wheel, checked against the hash below.

Needed where Python comes without ensurepip, which some distributions split off.
Usage: fetch_pip.py ENVIRONMENT_PYTHON. It knows one version of pip; to change it, change both constants.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

WHEEL = "pip-26.3-py3-none-any.whl"
SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
MAX_BYTES = 16 * 1024 * 1024  # the wheel has about 2 MiB; an answer that does not end is not read to the end
TIMEOUT = 60  # seconds without a byte


def fetch(url: str, accept: str = "*/*") -> bytes:
    """The body at `url`, which must be https and end within MAX_BYTES."""
    if urllib.parse.urlsplit(url).scheme != "https":
        raise ValueError(f"not an https address: {url}")
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        body: bytes = answer.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes at {url}")
    return body


def locate(index: str) -> str:
    """The address of the pinned wheel, found by its hash in the index's page of pip (PEP 503)."""
    page_url = index.rstrip("/") + "/pip/"
    page = fetch(page_url, accept="text/html").decode()
    found = re.search(rf'href="([^"#]+)#sha256={SHA256}"', page)
    if found is None:
        raise ValueError(f"{page_url} does not list {WHEEL}")
    return urllib.parse.urljoin(page_url, str(found[1]))


def main() -> None:
    """Fetch, check, and let the wheel install itself into the environment."""
    target = sys.argv[1]
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple")
    try:
        wheel = fetch(locate(index))
    except (OSError, ValueError) as error:
        sys.exit(f"setup: could not fetch pip: {error}")
    if hashlib.sha256(wheel).hexdigest() != SHA256:
        sys.exit(f"setup: {WHEEL} does not have the expected sha256; nothing was installed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WHEEL
        path.write_bytes(wheel)
        # A wheel is a zip that Python can run from: pip installs itself, without the index.
        command = [
            target,
            f"{path}/pip",
            "install",
            "--quiet",
            "--no-index",
            "--disable-pip-version-check",
            str(path),
        ]
        sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
