"""The values inside control messages: binary as base64url, and integers and sentences with their bounds.

Owns how a value travels in JSON. Binary values travel as base64url without padding, in canonical form and of
exact size. Knows no message.
"""

from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from wire.device_lists import LIST_MAX
from wire.limits import CHECKPOINT_MAX, FRAME_ID, HASH, INVITE, NONCE, PUBLIC_KEY, SIGNATURE, TOKEN
from wire.prekeys import PREKEY_MAX

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")  # what only plain base64 has is no letter here


def encode_base64url(value: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5)."""
    return b2a_base64(value, newline=False).translate(_TO_URL, b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """The one value that encodes to `text`. Raises ValueError for padding, stray bits or characters."""
    try:
        plain = text.encode("ascii").translate(_FROM_URL) + b"=" * (-len(text) % 4)
        value = a2b_base64(plain)
    except ValueError as error:
        raise ValueError("not base64url") from error
    if b2a_base64(value, newline=False) != plain:  # stray bits, or characters that were passed over
        raise ValueError("not canonical base64url")
    return value


@dataclass(frozen=True, slots=True)
class Base64Url:
    """Marks a `bytes` field that travels as canonical base64url of `low` to `high` bytes."""

    low: int
    high: int

    def _check(self, value: object) -> bytes:
        if isinstance(value, str) and len(value) <= -(-self.high * 4 // 3):
            value = decode_base64url(value)
        if not isinstance(value, bytes) or not self.low <= len(value) <= self.high:
            raise ValueError("wrong size")
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._check, serialization=core_schema.plain_serializer_function_ser_schema(encode_base64url)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        size = f"{self.low} bytes" if self.low == self.high else f"{self.low} to {self.high} bytes"
        return {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]*$",
            "minLength": -(-self.low * 4 // 3),
            "maxLength": -(-self.high * 4 // 3),
            "description": f"base64url without padding, {size}",
        }


Key: TypeAlias = Annotated[bytes, Base64Url(PUBLIC_KEY, PUBLIC_KEY)]
Nonce: TypeAlias = Annotated[bytes, Base64Url(NONCE, NONCE)]
Hash: TypeAlias = Annotated[bytes, Base64Url(HASH, HASH)]
Token: TypeAlias = Annotated[bytes, Base64Url(TOKEN, TOKEN), Field(repr=False)]
Invite: TypeAlias = Annotated[bytes, Base64Url(INVITE, INVITE)]
Signature: TypeAlias = Annotated[bytes, Base64Url(SIGNATURE, SIGNATURE)]
FrameId: TypeAlias = Annotated[bytes, Base64Url(FRAME_ID, FRAME_ID)]
EncodedPrekey: TypeAlias = Annotated[bytes, Base64Url(1, PREKEY_MAX)]
SealedCheckpoint: TypeAlias = Annotated[bytes, Base64Url(1, CHECKPOINT_MAX)]
EncodedDeviceList: TypeAlias = Annotated[bytes, Base64Url(1, LIST_MAX)]

U32: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]
U63: TypeAlias = Annotated[int, Field(ge=0, lt=2**63)]
Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
Sentence: TypeAlias = Annotated[str, Field(max_length=500, pattern=r"^[ -~]*$")]  # it ends on a terminal
