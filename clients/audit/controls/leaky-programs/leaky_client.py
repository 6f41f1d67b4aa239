"""NOT A CLIENT TO USE: the real one, made to leak on purpose, so that an audit can show that it would notice.

    python -P leaky_client.py LEAK DIRECTORY --profile PATH ARGUMENTS...

works like `python -m clients --profile PATH ARGUMENTS...`, with one leak. It is a red control of `blindpost
audit`, and runs only in a directory that a control has made and marked, on a profile inside of it. No flag,
variable or file makes the real client do any of this. No import statement can name this file: its folder is
no package. The relay notices nothing, and both people talk as usual, because they run the same leaky client.
"""

import base64
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import zstandard

import clients.connection
import clients.envelopes
import keys.chain
import keys.seal
from clients.cli import main as blindpost
from clients.engine import Draft
from clients.envelopes import Envelopes
from clients.store.store import Store
from keys import primitives
from keys.content import Kind
from wire.frames import Put
from wire.limits import FRAME_ID

MARK: Final = "red-control"  # a file in the directory
CRUMB: Final = 13  # bytes: the smallest part of a split text that the audit promises to find

# Modules in which names are replaced, some of which they have imported themselves.
connection: Any = clients.connection
envelopes: Any = clients.envelopes
chain: Any = keys.chain
seal: Any = keys.seal

stores: list[Store] = []  # that this process has opened


def _encrypting_by(encode: Callable[[bytes], bytes], decode: Callable[[bytes], bytes]) -> None:
    """A code in place of the ciphers of ratchet and seal; everything keeps its size.

    What is to be sealed is padded with zeros: they make room for what the code needs more.
    """
    usual_seal, usual_open, usual_bucket = (
        primitives.aead_encrypt,
        primitives.aead_decrypt,
        keys.seal.bucket_for,
    )
    keys_alone = 2 * primitives.KEY  # layer 1 carries the sender's keys, and stays as it is

    def sealed(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        if len(plaintext) == keys_alone:
            return usual_seal(key, nonce, plaintext, associated)
        return primitives.pad(encode(primitives.unpad(plaintext)), len(plaintext) + primitives.TAG)

    def opened(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        if len(ciphertext) == keys_alone + primitives.TAG:
            return usual_open(key, nonce, ciphertext, associated)
        return primitives.pad(decode(primitives.unpad(ciphertext)), len(ciphertext) - primitives.TAG)

    seal.aead_encrypt, seal.aead_decrypt = sealed, opened
    seal.bucket_for = lambda size: usual_bucket(2 * size + keys.seal.OVERHEAD)
    chain.aead_encrypt = lambda key, nonce, plaintext, associated: plaintext + bytes(primitives.TAG)
    chain.aead_decrypt = lambda key, nonce, ciphertext, associated: ciphertext[: -primitives.TAG]


def base64_as_encryption() -> None:
    """Base64 for what the seal and the ratchet encrypt."""
    _encrypting_by(base64.b64encode, base64.b64decode)


def hex_as_encryption() -> None:
    """Hexadecimal digits."""
    _encrypting_by(lambda data: data.hex().encode(), lambda code: bytes.fromhex(code.decode()))


def xor_as_encryption() -> None:
    """XOR with one byte."""

    def xor(data: bytes) -> bytes:
        return bytes(byte ^ 0xA5 for byte in data)

    _encrypting_by(xor, xor)


def zlib_as_encryption() -> None:
    """Compressed, which looks like nothing either."""
    _encrypting_by(lambda data: zlib.compress(data, 9), zlib.decompress)


def zstd_as_encryption() -> None:
    """Compressed in a newer way, which leaves as it is what it can save nothing on: of hexadecimal digits."""
    _encrypting_by(
        lambda data: zstandard.compress(data.hex().encode()),
        lambda code: bytes.fromhex(zstandard.decompress(code).decode()),
    )


def _with_a_header(words: Callable[[Store], str]) -> None:
    usual = connection._Connect

    def connect(url: str, **options: Any) -> Any:
        return usual(url, additional_headers={"X-About": words(stores[-1])}, **options)

    connection._Connect = connect


def name_in_a_header() -> None:
    """What its user is called, in clear, in the head of each request."""
    _with_a_header(lambda store: (store.meta("display_name") or b"").decode())


def contacts_in_a_header() -> None:
    """What its user calls others."""
    _with_a_header(lambda store: ",".join(name for (name,) in store.db.execute("SELECT name FROM contacts")))


def key_as_a_nonce() -> None:
    """The account's private key where a random number belongs, which the relay is told in its JSON."""
    usual = connection._greet

    async def greet(socket: Any, url: Any, mode: Any, pinned: Any, random: Any) -> Any:
        key = stores[-1].meta("account")
        return await usual(socket, url, mode, pinned, lambda size: key or random(size))

    connection._greet = greet


def text_in_frame_ids() -> None:
    """The text beside its own encryption: in parts, each of them in the id of another frame."""
    usual, crumbs = Envelopes.write, list[bytes]()

    def write(
        self: Envelopes, contact: int, device: bytes, drafts: Sequence[Draft], *rows: Sequence[int | None]
    ) -> list[int]:
        for draft in drafts:
            if draft.kind == Kind.TEXT:
                crumbs.extend(draft.body[at : at + CRUMB] for at in range(0, len(draft.body), CRUMB))
        return usual(self, contact, device, drafts, *rows)

    def put(frame_id: bytes, device: bytes, envelope: bytes) -> Put:
        crumb = crumbs.pop(0) if crumbs else b""
        return Put(crumb + frame_id[len(crumb) : FRAME_ID], device, envelope)

    Envelopes.write = write  # type: ignore[method-assign,assignment]
    envelopes.Put = put


def nothing() -> None:
    """The real client: what a control's finding is owed to, is the leak."""


LEAKS: Final[dict[str, Callable[[], None]]] = {
    leak.__name__: leak
    for leak in (
        base64_as_encryption, hex_as_encryption, xor_as_encryption, zlib_as_encryption, zstd_as_encryption,
        name_in_a_header, contacts_in_a_header, key_as_a_nonce, text_in_frame_ids, nothing,
    )
}  # fmt: skip


def remember_stores() -> None:
    """Keep what the client opens at hand for the leaks."""
    usual = Store.__init__

    def begin(self: Store, *given: Any, **named: Any) -> None:
        usual(self, *given, **named)
        stores.append(self)

    Store.__init__ = begin  # type: ignore[method-assign]


def main() -> None:
    """Be the client with a leak, in the directory of a control."""
    name, directory, *arguments = sys.argv[1:]
    profile = Path(arguments[arguments.index("--profile") + 1])
    if not (Path(directory) / MARK).is_file() or not profile.is_relative_to(directory):
        sys.exit(
            "This client leaks on purpose: only a control of 'blindpost audit' starts it, in its directory."
        )
    remember_stores()
    LEAKS[name]()
    sys.argv[1:] = arguments
    blindpost()


if __name__ == "__main__":
    main()
