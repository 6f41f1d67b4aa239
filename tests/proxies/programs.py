"""Caddy and nginx as they come from the system's packages, with the files of deploy/ and ports of loopback.

Owns the few replacements that make an example's name, certificate and upstream this machine's, and the
processes.
"""

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
START_WITHIN = 20.0
UPSTREAM = "127.0.0.1:8760"


class Files:
    """Where a proxy finds and leaves its files; the certificate is for localhost and 127.0.0.1."""

    def __init__(self, directory: Path, certificate: Path, key: Path) -> None:
        self.directory = directory
        self.certificate = certificate
        self.key = key
        directory.mkdir()

    @property
    def log(self) -> str:
        """Everything that the proxy left as text."""
        paths = [path for path in self.directory.rglob("*") if path.is_file() and path.suffix in (".log", "")]
        return "\n".join(path.read_text("utf-8", "replace") for path in paths)


def caddy_configuration(files: Files, ports: tuple[int, int], relay: int) -> str:
    """`ports`: of the site that is a relay alone, and of the one with a path."""
    text = (DEPLOY / "Caddyfile").read_text().replace(UPSTREAM, f"127.0.0.1:{relay}")
    for name, port in zip(("relay.example", "www.example"), ports, strict=True):
        site = f"https://localhost:{port}, https://127.0.0.1:{port} {{\n\ttls {files.certificate} {files.key}"
        text, count = re.subn(rf"^{re.escape(name)} {{$", site, text, flags=re.MULTILINE)
        assert count == 1, name
    return "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text


def nginx_configuration(files: Files, ports: tuple[int, int], relay: int) -> str:
    """As for Caddy; nginx gets the frame around conf.d/ too."""
    text = (DEPLOY / "nginx.conf").read_text().replace(UPSTREAM, f"127.0.0.1:{relay}")
    text = re.sub(r"ssl_certificate_key .*;", f"ssl_certificate_key {files.key};", text)
    text = re.sub(r"ssl_certificate /.*;", f"ssl_certificate {files.certificate};", text)
    text = text.replace("/var/log/nginx/blindpost.log", str(files.directory / "errors.log"))
    for name, port in zip(("relay.example", "www.example"), ports, strict=True):
        old = f"listen 443 ssl;\n    server_name {name};"
        assert text.count(old) == 1, name
        text = text.replace(old, f"listen 127.0.0.1:{port} ssl;\n    server_name localhost;")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {files.directory}/{kind};\n" for kind in kinds)
    return (
        f"daemon off;\npid {files.directory}/pid;\nerror_log {files.directory}/main.log;\n"
        "worker_processes 1;\nevents {}\n"
        f"http {{\naccess_log {files.directory}/access.log;\n{places}{text}}}\n"
    )


def _command(name: str, path: Path) -> list[str]:
    if name == "caddy":
        return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]
    return ["nginx", "-c", str(path), "-p", str(path.parent), "-e", str(path.parent / "main.log")]


@contextlib.contextmanager
def running(name: str, files: Files, ports: tuple[int, int], relay: int) -> Iterator[None]:
    """The proxy for the length of a `with`."""
    make = caddy_configuration if name == "caddy" else nginx_configuration
    path = files.directory / f"{name}.conf"
    path.write_text(make(files, ports, relay))
    with (files.directory / "output.log").open("wb") as output:
        environment = {**os.environ, "HOME": str(files.directory), "XDG_DATA_HOME": str(files.directory)}
        process = subprocess.Popen(
            _command(name, path), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
        try:
            for port in ports:
                _until_open(port, process, files)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_open(port: int, process: subprocess.Popen[bytes], files: Files) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"the proxy did not start:\n{files.log}")
