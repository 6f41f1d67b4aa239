"""The constructions once more, from their documentation and without any module of ours."""

import hashlib
import hmac
from dataclasses import dataclass, field

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


def body(key: bytes, plaintext: bytes, associated: bytes, fresh: bytes) -> bytes:
    """What a message key makes of a plaintext: fresh bytes, commitment, ciphertext and tag."""
    out = derive(fresh, key, named("dr/msg"), 88)
    sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, associated, out[32:56], out[:32])
    return fresh + out[56:] + sealed


def open_body(key: bytes, body: bytes, associated: bytes) -> bytes:
    out = derive(body[:16], key, named("dr/msg"), 88)
    assert out[56:] == body[16:48]
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(body[48:], associated, out[32:56], out[:32])


@dataclass
class Side:
    """One side of a Double Ratchet (section 3 of the specification), without its limits."""

    root: bytes
    associated: bytes
    own: bytes
    remote: bytes
    sending: bytes = b""
    receiving: bytes = b""
    sent: int = 0
    got: int = 0
    before: int = 0
    skipped: dict[bytes, bytes] = field(default_factory=dict)

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
        return header + body(key, plaintext, self.associated + header, random)

    def _next_key(self) -> bytes:
        key, self.receiving = (hmac.digest(self.receiving, step, "sha256") for step in (b"\x01", b"\x02"))
        self.got += 1
        return key

    def _skip(self, until: int) -> None:
        while self.receiving and self.got < until:
            place = self.remote + big(self.got, 4)
            self.skipped[place] = self._next_key()

    def decrypt(self, message: bytes) -> bytes:
        header, remote, number = message[:40], message[:32], int.from_bytes(message[36:40], "big")
        key = self.skipped.pop(remote + message[36:40], None)
        if key is None:
            if remote != self.remote or not self.receiving:
                self._skip(int.from_bytes(message[32:36], "big"))
                self.remote, self.sending, self.got = remote, b"", 0
                self.receiving = self._step(self.own)
            self._skip(number)
            assert number == self.got
            key = self._next_key()
        return open_body(key, message[40:], self.associated + header)


def envelope(
    device_key: bytes,
    identity_private: bytes,
    recipient: bytes,
    sealing: bytes,
    type: int,
    inner: bytes,
    ephemeral: bytes,
) -> bytes:
    """The smallest envelope that fits."""
    head = b"\x01" + public(ephemeral)
    names = public(ephemeral) + sealing + recipient
    one = derive(bytes(32), agree(ephemeral, sealing), named("seal-e") + names, 56)
    sender = device_key + public(identity_private)
    front = head + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(sender, head, one[32:], one[:32])
    ikm = one[:32] + agree(identity_private, sealing)
    two = derive(one[:32], ikm, named("seal-s") + names + front[33:], 56)
    size = min(1024 << k for k in range(7) if 113 + 16 + len(inner) + 2 <= 1024 << k)
    plain = (bytes([type]) + inner + b"\x80").ljust(size - 113 - 16, b"\x00")
    return front + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, front, two[32:], two[:32])


def checkpoint(
    seed: bytes, number: int, id: bytes, next_prekeys: tuple[int, ...], nonce: bytes
) -> tuple[bytes, bytes, bytes]:
    """Key, associated data, and the whole."""
    associated = named("checkpoint") + signing_public(seed)
    key = derive(bytes(32), seed, associated, 32)
    plain = b"\x01" + big(number, 8) + id + b"".join(big(next, 4) for next in next_prekeys)
    sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, associated, nonce, key)
    return key, associated, nonce + sealed


def fingerprint(account_key: bytes) -> bytes:
    """Signal's, of an account: SHA-512 iterated 5200 times over byte type, key and identifier."""
    key = b"\x01" + account_key
    value = b"\0\0" + key + account_key
    for _ in range(5200):
        value = hashlib.sha512(value + key).digest()
    return value


def safety_number(one: bytes, other: bytes) -> str:
    halves = []
    for account_key in (one, other):
        value = fingerprint(account_key).hex()
        halves.append(
            "".join(str(int(value[at : at + 10], 16))[-5:].rjust(5, "0") for at in range(0, 60, 10))
        )
    return min(halves) + max(halves)


def labelled_hash(purpose: str, value: bytes) -> bytes:
    return hashlib.sha256(named(purpose) + value).digest()


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


def bech32m(name: str, version: int, content: bytes) -> str:
    """BIP-350 as arithmetic of polynomials over GF(32), its checksum as one long division."""
    bits = "".join(f"{byte:08b}" for byte in content)
    bits += "0" * (-len(bits) % 5)
    data = [version, *(int(bits[at : at + 5], 2) for at in range(0, len(bits), 5))]
    prefix = [ord(c) >> 5 for c in name] + [0] + [ord(c) & 31 for c in name]
    remainder = [0, 0, 0, 0, 0, 1]
    for value in (*prefix, *data, 0, 0, 0, 0, 0, 0):
        top, *rest = remainder
        remainder = [*rest, value]
        for place, factor in enumerate(GENERATOR):
            remainder[place] ^= times(top, factor)
    checksum = [place ^ constant for place, constant in zip(remainder, FINAL, strict=True)]
    return name + "1" + "".join(LETTERS[value] for value in (*data, *checksum))


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
