"""A certificate as clients will see it: does the key fit, whose names does it hold, until when.

Owns one TLS handshake in memory, so that OpenSSL itself judges. Knows no setting.
"""

import ssl
import time
from pathlib import Path
from typing import Final

from relay.doctor.findings import Finding, failed, ok, warning

EXPIRES_SOON: Final = 14  # days
DAY: Final = 86_400


def _talk(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> dict[str, object]:
    """Shake hands in memory; returns what the client saw. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=host)
    for _ in range(5):
        for side in (theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return dict(theirs.getpeercert() or {})


def days_left(seen: dict[str, object]) -> int:
    """How long a certificate is good for still."""
    return int((ssl.cert_time_to_seconds(str(seen["notAfter"])) - time.time()) // DAY)


def check_certificate(certificate: Path, key: Path, hosts: list[str]) -> Finding:
    """The relay's own files, for the hosts of its public URLs."""
    name = "certificate"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError:
        what = f"{certificate} and {key} do not work together"
        return failed(name, what, "both must be PEM files, the key that of the certificate and not encrypted")
    except OSError as error:
        return failed(name, f"{error.filename or certificate} cannot be read", "check its name and owner")
    # Trust is not the question here: whom clients trust is known to them alone.
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(certificate)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    days = 0
    for host in hosts:
        try:
            days = days_left(_talk(server, client, host))
        except ssl.SSLCertVerificationError as error:
            return _refused(name, host, error.verify_code)
        except ssl.SSLError:
            return failed(name, f"{certificate} cannot be used for TLS", "make a new one")
    if days < EXPIRES_SOON:
        return warning(name, f"is good for {days} more days", "renew it, and start the relay again")
    return ok(name, f"fits its key and {', '.join(hosts)}, and is good for {days} more days")


def _refused(name: str, host: str, code: int) -> Finding:
    match code:  # OpenSSL's X509_V_ERR
        case 10:
            return failed(name, "has expired", "renew it, and start the relay again")
        case 9:
            return failed(name, "is not valid yet", "check this machine's clock")
        case 62 | 64:
            return failed(name, f"is not for {host}", "get one for every host of public_urls")
        case _:
            return failed(
                name, f"is refused for {host}", "get another one, and put its whole chain in the file"
            )
