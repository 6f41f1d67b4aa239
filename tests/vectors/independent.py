"""The constructions once more, from their documentation and without any module of ours."""

import hashlib
import hmac
from dataclasses import dataclass

import nacl.bindings as sodium
import nacl.pwhash
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def named(purpose: str) -> bytes:
    return b"blindpost/v1/" + purpose.encode() + b"\x00"


def derive(salt: bytes, ikm: bytes, info: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, salt, info).derive(ikm)


def public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agree(private: bytes, other: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(other))


def signature(seed: bytes, message: bytes) -> bytes:
    return sodium.crypto_sign(message, sodium.crypto_sign_seed_keypair(seed)[1])[:64]


def signing_public(seed: bytes) -> bytes:
    return sodium.crypto_sign_seed_keypair(seed)[0]


def big(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def device_entry(account_key: bytes, seed: bytes, identity_private: bytes, created: int) -> bytes:
    fields = signing_public(seed) + public(identity_private) + big(created, 8)
    return fields + signature(seed, named("device") + account_key + fields)


def device_list(
    account_seed: bytes, entries: list[bytes], version: int, previous: bytes, created: int
) -> bytes:
    body = b"\x01" + signing_public(account_seed) + big(version, 8) + previous + big(created, 8)
    body += big(len(entries), 1) + b"".join(sorted(entries))
    return body + signature(account_seed, named("device-list") + body)


def device_list_hash(encoded: bytes) -> bytes:
    return hashlib.sha256(named("device-list-hash") + encoded[:-64]).digest()


def prekey(device_seed: bytes, kind: int, id: int, created: int, private: bytes) -> bytes:
    if kind in (4, 5):
        key = MLKEM768PrivateKey.from_seed_bytes(private).public_key().public_bytes_raw()
    else:
        key = public(private)
    head = big(kind, 1), big(id, 4) + big(created, 8)
    signed = named("prekey") + head[0] + signing_public(device_seed) + head[1] + big(len(key), 4) + key
    return head[0] + head[1] + key + signature(device_seed, signed)


def party(devices: bytes) -> bytes:
    """account key || version || hash || entry, of a list with one device."""
    return devices[1:33] + devices[33:41] + device_list_hash(devices) + devices[82:218]


def agreement(
    initiator_list: bytes,
    acceptor_list: bytes,
    header: bytes,
    initiator_identity: bytes,
    ephemeral: bytes,
    signed_private: bytes,
    kem_seed: bytes,
    one_time_private: bytes | None,
) -> tuple[bytes, bytes, bytes]:
    """Transcript, root key, associated data, with the DH computed as the initiator does."""
    kem = MLKEM768PrivateKey.from_seed_bytes(kem_seed)
    signed = public(signed_private)
    one_time = public(one_time_private) if one_time_private else bytes(32)
    transcript = hashlib.sha256(
        named("pqxdh-t")
        + party(initiator_list)
        + party(acceptor_list)
        + header
        + signed
        + one_time
        + kem.public_key().public_bytes_raw()
    ).digest()
    acceptor_identity = acceptor_list[82 + 32 : 82 + 64]
    ikm = b"\xff" * 32 + agree(initiator_identity, signed) + agree(ephemeral, acceptor_identity)
    ikm += agree(ephemeral, signed) + (agree(ephemeral, one_time) if one_time_private else b"")
    ikm += kem.decapsulate(header[86:])
    out = derive(bytes(32), ikm, named("pqxdh") + transcript, 64)
    return transcript, out[:32], out[32:]


@dataclass
class Side:
    """One side of a Double Ratchet that never loses a message (section 3 of the specification)."""

    root: bytes
    associated: bytes
    own: bytes
    remote: bytes
    sending: bytes = b""
    receiving: bytes = b""
    sent: int = 0
    got: int = 0
    before: int = 0

    def _step(self, private: bytes) -> bytes:
        out = derive(self.root, agree(private, self.remote), named("dr/root"), 64)
        self.root = out[:32]
        return out[32:]

    def encrypt(self, plaintext: bytes, random: bytes) -> bytes:
        if not self.sending:
            self.own, random = random[:32], random[32:]
            self.before, self.sent = self.sent, 0
            self.sending = self._step(self.own)
        header = public(self.own) + big(self.before, 4) + big(self.sent, 4)
        key, self.sending = (hmac.digest(self.sending, step, "sha256") for step in (b"\x01", b"\x02"))
        self.sent += 1
        out = derive(random, key, named("dr/msg"), 88)
        body = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
            plaintext, self.associated + header, out[32:56], out[:32]
        )
        return header + random + out[56:] + body

    def decrypt(self, message: bytes) -> bytes:
        header, fresh, commitment, body = message[:40], message[40:56], message[56:88], message[88:]
        if header[:32] != self.remote or not self.receiving:
            self.remote, self.sending, self.got = header[:32], b"", 0
            self.receiving = self._step(self.own)
        assert int.from_bytes(header[36:], "big") == self.got
        key, self.receiving = (hmac.digest(self.receiving, step, "sha256") for step in (b"\x01", b"\x02"))
        self.got += 1
        out = derive(fresh, key, named("dr/msg"), 88)
        assert out[56:] == commitment
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            body, self.associated + header, out[32:56], out[:32]
        )


def envelope(
    device_key: bytes, identity_private: bytes, sealing: bytes, type: int, inner: bytes, ephemeral: bytes
) -> bytes:
    """The smallest envelope: 1 KiB."""
    head = b"\x01" + public(ephemeral)
    names = public(ephemeral) + sealing
    one = derive(bytes(32), agree(ephemeral, sealing), named("seal-e") + names, 56)
    sender = device_key + public(identity_private)
    front = head + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(sender, head, one[32:], one[:32])
    ikm = one[:32] + agree(identity_private, sealing)
    two = derive(one[:32], ikm, named("seal-s") + names + front[33:], 56)
    plain = (bytes([type]) + inner + b"\x80").ljust(1024 - 113 - 16, b"\x00")
    return front + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, front, two[32:], two[:32])


def backup(passphrase: bytes, operations: int, memory: int, salt: bytes, content: bytes) -> bytes:
    """A whole backup: head, then chunks."""
    head = named("backup") + b"\x01" + big(operations, 4) + big(memory, 8) + salt
    secret = nacl.pwhash.argon2id.kdf(32, passphrase, salt, opslimit=operations, memlimit=memory)
    keys = derive(b"", secret, named("backup-keys") + head, 64)
    head += keys[32:]
    whole, at = head, 0
    while True:
        piece, rest = content[at * 65_536 : (at + 1) * 65_536], content[(at + 1) * 65_536 :]
        nonce = bytes(15) + big(at, 8) + (b"\0" if rest else b"\1")
        whole += sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(piece, head, nonce, keys[:32])
        if not rest:
            return whole
        at += 1


LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def key_text(account_key: bytes, token: bytes | None) -> str:
    """BIP-350 as arithmetic of polynomials over GF(32), its checksum as one long division."""
    bits = "".join(f"{byte:08b}" for byte in account_key + (token or b""))
    bits += "0" * (-len(bits) % 5)
    data = [0 if token is None else 1, *(int(bits[at : at + 5], 2) for at in range(0, len(bits), 5))]
    prefix = [ord(c) >> 5 for c in "bp"] + [0] + [ord(c) & 31 for c in "bp"]
    remainder = [0, 0, 0, 0, 0, 1]
    for value in (*prefix, *data, 0, 0, 0, 0, 0, 0):
        top, *rest = remainder
        remainder = [*rest, value]
        for place, factor in enumerate(GENERATOR):
            remainder[place] ^= times(top, factor)
    checksum = [place ^ constant for place, constant in zip(remainder, FINAL, strict=True)]
    return "bp1" + "".join(LETTERS[value] for value in (*data, *checksum))


# BIP-173: x^6 + {29}x^5 + {22}x^4 + {20}x^3 + {21}x^2 + {29}x + {18}, over GF(32) modulo x^5 + x^3 + 1.
GENERATOR = (29, 22, 20, 21, 29, 18)
FINAL = tuple(0x2BC830A3 >> shift & 31 for shift in (25, 20, 15, 10, 5, 0))


def times(one: int, other: int) -> int:
    product = 0
    for bit in range(5):
        if other >> bit & 1:
            product ^= one << bit
    for bit in (8, 7, 6, 5):
        if product >> bit & 1:
            product ^= 0b101001 << bit - 5
    return product
