"""The package X3DH with the constants of this protocol: the other side of a handshake without its KEM part.

Owns how a device of these tests looks to that package. It signs prekeys with the identity key by XEdDSA, and
this protocol with the device's Ed25519 key: such a signature is made here for the package's own check.
"""

from dataclasses import dataclass

import xeddsa
from x3dh import BaseState, Bundle, Header, IdentityKeyFormat
from x3dh.crypto_provider import HashFunction
from x3dh.models import BaseStateModel, IdentityKeyPairModel, SignedPreKeyPairModel
from x3dh.types import SecretType


class TheirState(BaseState):
    @staticmethod
    def _encode_public_key(key_format: IdentityKeyFormat, pub: bytes) -> bytes:
        return pub


def signature(identity_private: bytes, signed_key: bytes) -> bytes:
    """XEdDSA by an X25519 private key, 64 bytes."""
    return xeddsa.ed25519_priv_sign(xeddsa.priv_force_sign(identity_private, False), signed_key)


@dataclass(frozen=True)
class OtherDevice:
    """A device as the package sees it: three X25519 private keys, or two."""

    identity_private: bytes
    signed_private: bytes
    one_time_private: bytes | None

    def state(self, info: bytes) -> TheirState:
        signed = xeddsa.priv_to_curve25519_pub(self.signed_private)
        one_time = frozenset(() if self.one_time_private is None else (self.one_time_private,))
        model = BaseStateModel(
            identity_key=IdentityKeyPairModel(secret=self.identity_private, secret_type=SecretType.PRIV),
            signed_pre_key=SignedPreKeyPairModel(
                priv=self.signed_private, sig=signature(self.identity_private, signed), timestamp=0
            ),
            old_signed_pre_key=None,
            pre_keys=one_time,
        )
        return TheirState.from_model(model, IdentityKeyFormat.CURVE_25519, HashFunction.SHA_256, info)

    async def accept(self, info: bytes, identity_key: bytes, ephemeral: bytes) -> bytes:
        """The 32-byte secret with whoever sent `ephemeral`, as the passive party."""
        one_time = self.one_time_private and xeddsa.priv_to_curve25519_pub(self.one_time_private)
        signed = xeddsa.priv_to_curve25519_pub(self.signed_private)
        header = Header(identity_key, ephemeral, signed, one_time)
        secret, _, _ = await self.state(info).get_shared_secret_passive(header, require_pre_key=False)
        return secret

    async def initiate(self, info: bytes, bundle: Bundle) -> tuple[bytes, bytes]:
        """The 32-byte secret with the owner of `bundle`, and the ephemeral key, as the active party."""
        secret, _, header = await self.state(info).get_shared_secret_active(bundle, require_pre_key=False)
        return secret, header.ephemeral_key
