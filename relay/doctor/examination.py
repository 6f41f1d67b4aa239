"""The whole examination, from the settings to the way in.

Owns the order, and what a failure makes pointless.
"""

import ipaddress
import sys
from collections.abc import Iterator

import apsw

from relay.config import EVERYWHERE, Config
from relay.doctor.certificates import check_certificate
from relay.doctor.files import check_database, check_directory, check_key, check_mark
from relay.doctor.findings import Finding, ok, warning
from relay.doctor.machine import check_clock, check_open_files, check_space
from relay.doctor.ways import Own, check_running, check_way
from relay.version import package_version
from wire.addresses import RelayUrl


def examine(config: Config) -> Iterator[Finding]:
    """Every finding as it is made."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield ok(
        "versions", f"blindpost {package_version()}, Python {python}, SQLite {apsw.sqlite_lib_version()}"
    )
    yield from _settings(config)
    key, last_commit = None, None
    if config.store == "sqlite":
        directory = config.data_directory
        there = check_directory(directory)
        yield there
        if directory.is_dir():
            finding, key = check_key(directory)
            yield finding
            finding, contents = check_database(directory)
            yield finding
            if (newest := check_mark(directory, contents.stored)) is not None:
                yield newest
            yield check_space(directory, config.quota, contents.mailboxes, contents.bytes)
            last_commit = contents.stored.at if contents.stored else None
    yield check_open_files()
    yield check_clock(last_commit)
    if config.tls_certificate is not None and config.tls_key is not None:
        hosts = [RelayUrl.parse(url).host for url in config.public_urls] or ["localhost"]
        yield check_certificate(config.tls_certificate, config.tls_key, list(dict.fromkeys(hosts)))
    yield from _ways(config, key)


def _settings(config: Config) -> Iterator[Finding]:
    name = "settings"
    host = config.host.partition("%")[0]
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not config.public_urls and not is_loopback:
        yield warning(
            name, "public_urls is not set, so nobody else can use this relay",
            "set --public-urls to the URLs that others dial, such as wss://relay.example",
        )  # fmt: skip
    urls = [RelayUrl.parse(url) for url in config.public_urls]
    if any(url.scheme == "ws" and not _is_local(url.host) for url in urls):
        yield warning(
            name, "a public URL has no TLS: whoever sits on the network can do what a hostile relay can",
            "use wss://, behind a proxy or with --tls-certificate",
        )  # fmt: skip
    if config.tls_certificate is None and any(url.scheme == "wss" for url in urls) and not config.proxies:
        yield warning(
            name, "TLS ends at a proxy, and trusted_proxies is not set: all clients share the proxy's caps",
            "set --trusted-proxies to the proxy's address",
        )  # fmt: skip
    if config.store == "memory":
        yield warning(name, "store is memory: everything is forgotten at exit", "use --store sqlite")
    yield ok(name, f"can be used; registration is {config.registration}, firewall is {config.firewall}")


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ways(config: Config, key: bytes | None) -> Iterator[Finding]:
    host = EVERYWHERE.get(config.host, config.host)
    own = None
    if config.port:
        own = Own(host, config.port, config.tls_certificate is not None, config.metrics_token)
        yield check_running(own, package_version())
    for url in config.public_urls:
        yield from check_way(url, key, own)
