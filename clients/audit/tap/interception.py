"""The relay that a tap stands before, and the certificate with which it takes the relay's place.

Owns a certificate authority that lives as long as the tap; its private half is written nowhere. The relay's
own certificate is checked as a client would check it.
"""

import ssl
from dataclasses import dataclass, field
from typing import Self

import trustme

from clients.errors import UsageError
from clients.route import DIRECT, Route
from wire.addresses import RelayUrl


@dataclass(frozen=True, slots=True)
class Upstream:
    """The only relay that is dialled. Where it has TLS, `inward` ends that of clients.

    `authority`: what clients have to trust then, in PEM.
    """

    relay: RelayUrl
    route: Route = DIRECT
    inward: ssl.SSLContext | None = field(default=None, repr=False)
    authority: bytes | None = None

    @classmethod
    def of(cls, relay: RelayUrl, route: Route = DIRECT) -> Self:
        """For a relay that is reached by `route`.

        Raises UsageError for a name that no certificate can have.
        """
        if relay.scheme == "ws":
            return cls(relay, route)
        made = trustme.CA(organization_name="blindpost audit", organization_unit_name="audit proxy")
        inward = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            mine = made.issue_cert(relay.host, organization_name="blindpost audit")
        except UnicodeError:  # as IDNA has it
            raise UsageError(f"No certificate can be made for {relay.host}.") from None
        mine.configure_cert(inward)
        return cls(relay, route, inward, made.cert_pem.bytes())
