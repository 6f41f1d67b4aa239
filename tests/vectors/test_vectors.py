"""The files of this folder: our code makes and reads them, and so does code that shares nothing with it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from keys import content, primitives
from keys.backups import CHUNK, BackupLock, Parameters, decode_parameters
from keys.chain import ChainKey, RootKey
from keys.errors import DecryptError, VerificationError
from keys.handshake import Agreement, Party, accept, decode_header
from keys.identities import Device, verify_device_list
from keys.prekeys import PrivatePrekey, verify_prekey
from keys.ratchet import Ratchet
from keys.safety_number import safety_number, scannable
from keys.seal import open_envelope
from scripts import make_vectors
from tests.vectors import independent
from wire.addresses import Address, RelayUrl
from wire.capabilities import presence_capability, token_hash
from wire.control import decode_client_message, decode_relay_message
from wire.device_lists import decode_device_list
from wire.errors import WireError
from wire.login import Greeting, Mode
from wire.prekeys import Prekey, PrekeyKind, decode_prekey

FOLDER = Path(__file__).parent
NOW = make_vectors.NOW


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def cases(name: str, *lists: str) -> list[Any]:
    """The entries of some lists of a file, each named by why it must fail."""
    file = load(name)
    return [pytest.param(item, id=item["why"]) for part in lists for item in file[part]]


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def test_every_file_is_what_make_vectors_writes() -> None:
    texts = make_vectors.build()
    assert {path.name for path in FOLDER.glob("*.json")} == {*texts, "mlkem768.json"}
    for name, text in texts.items():
        assert (FOLDER / name).read_text() == text, f"{name}: the protocol has changed"


# --- addresses, lists, prekeys ---


def test_addresses() -> None:
    for item in load("addresses")["valid"]:
        relay = item["relay"] and RelayUrl.parse(item["relay"])
        token = item["token"] and unhex(item["token"])
        assert Address.parse(item["text"]) == Address(unhex(item["account_key"]), relay, token)
        assert independent.key_text(unhex(item["account_key"]), token) == item["text"].partition("@")[0]


@pytest.mark.parametrize("item", cases("addresses", "invalid"))
def test_addresses_that_are_refused(item: dict[str, str]) -> None:
    with pytest.raises(WireError):
        Address.parse(item["text"])


def test_device_lists() -> None:
    for item in load("device_lists")["valid"]:
        encoded = unhex(item["encoded"])
        devices = decode_device_list(encoded)
        verify_device_list(devices, devices.account_key)
        assert devices.hash() == unhex(item["hash"]) == independent.device_list_hash(encoded)
        account_key = independent.signing_public(unhex(item["account_seed"]))
        entries = [
            independent.device_entry(
                account_key, unhex(d["seed"]), unhex(d["identity_private"]), d["created"]
            )
            for d in item["devices"]
        ]
        again = independent.device_list(
            unhex(item["account_seed"]), entries, item["version"], unhex(item["previous"]), item["created"]
        )
        assert again == encoded == devices.encode()


@pytest.mark.parametrize("item", cases("device_lists", "malformed"))
def test_device_lists_that_are_malformed(item: dict[str, str]) -> None:
    with pytest.raises(WireError):
        decode_device_list(unhex(item["encoded"]))


@pytest.mark.parametrize("item", cases("device_lists", "not_holding"))
def test_device_lists_that_do_not_hold(item: dict[str, str]) -> None:
    devices = decode_device_list(unhex(item["encoded"]))
    with pytest.raises(VerificationError):
        verify_device_list(devices, unhex(load("device_lists")["account_key"]))


def test_prekeys() -> None:
    file = load("prekeys")
    seed = unhex(file["device_seed"])
    assert sorted(item["kind"] for item in file["valid"]) == sorted(PrekeyKind)
    for item in file["valid"]:
        encoded = unhex(item["encoded"])
        verify_prekey(decode_prekey(encoded), primitives.signing_key(seed))
        again = independent.prekey(seed, item["kind"], item["id"], item["created"], unhex(item["private"]))
        assert again == encoded


@pytest.mark.parametrize("item", cases("prekeys", "malformed"))
def test_prekeys_that_are_malformed(item: dict[str, str]) -> None:
    with pytest.raises(WireError):
        decode_prekey(unhex(item["encoded"]))


@pytest.mark.parametrize("item", cases("prekeys", "not_holding"))
def test_prekeys_that_do_not_hold(item: dict[str, str]) -> None:
    with pytest.raises(VerificationError):
        verify_prekey(decode_prekey(unhex(item["encoded"])), signing_key_of_prekeys())


def signing_key_of_prekeys() -> bytes:
    return primitives.signing_key(unhex(load("prekeys")["device_seed"]))


# --- handshake ---


def acceptance(header: str, item: dict[str, Any]) -> Agreement:
    """Our `accept`, from nothing but the file."""
    file = load("handshake")
    lists = [decode_device_list(unhex(file[side]["device_list"])) for side in ("initiator", "acceptor")]
    peer, own = (Party(devices, devices.devices[0]) for devices in lists)
    decoded = decode_header(unhex(header))

    def prekey(kind: PrekeyKind, id: int, private: bytes) -> PrivatePrekey:
        is_kem = kind in (PrekeyKind.LAST_RESORT_KEM, PrekeyKind.ONE_TIME_KEM)
        key = primitives.kem_key(private) if is_kem else primitives.dh_key(private)
        return PrivatePrekey(private, Prekey(kind, id, NOW, key, bytes(64)))

    one_time = item["one_time_private"]
    return accept(
        Device(bytes(32), unhex(file["acceptor"]["identity_private"]), NOW),
        own,
        peer,
        decoded,
        prekey(PrekeyKind.SIGNED, decoded.signed_id, unhex(item["signed_private"])),
        prekey(decoded.kem_kind, decoded.kem_id, unhex(item["kem_seed"])),
        prekey(PrekeyKind.ONE_TIME, decoded.one_time_id, unhex(one_time)) if one_time else None,
    )


@pytest.mark.parametrize("name", ["last resort", "one-time"])
def test_handshakes(name: str) -> None:
    file = load("handshake")
    (item,) = (item for item in file["valid"] if item["name"] == name)
    expected = tuple(unhex(item[field]) for field in ("transcript", "root_key", "associated"))
    ours = acceptance(item["header"], item)
    assert (ours.transcript, ours.root_key, ours.associated) == expected
    one_time = item["one_time_private"]
    assert expected == independent.agreement(
        unhex(file["initiator"]["device_list"]),
        unhex(file["acceptor"]["device_list"]),
        unhex(item["header"]),
        unhex(file["initiator"]["identity_private"]),
        unhex(file["ephemeral_private"]),
        unhex(item["signed_private"]),
        unhex(item["kem_seed"]),
        unhex(one_time) if one_time else None,
    )


@pytest.mark.parametrize("item", cases("handshake", "malformed"))
def test_handshake_headers_that_are_malformed(item: dict[str, str]) -> None:
    with pytest.raises(DecryptError):
        decode_header(unhex(item["header"]))


@pytest.mark.parametrize("item", cases("handshake", "disagreeing"))
def test_handshake_headers_that_give_another_agreement(item: dict[str, str]) -> None:
    right = load("handshake")["valid"][1]
    ours = acceptance(item["header"], right)
    for field in ("transcript", "root_key", "associated"):
        assert getattr(ours, field) != unhex(right[field])


# --- ratchet and seal ---


def test_chains() -> None:
    chain = load("ratchet")["chain"]
    root, sending = RootKey(unhex(chain["root"])).advance(unhex(chain["shared"]))
    after, key = ChainKey(unhex(chain["chain"]), 0).advance()
    assert (root.value.hex(), sending.value.hex()) == (chain["next_root"], chain["chain"])
    assert (after.value.hex(), key.value.hex()) == (chain["next_chain"], chain["message_key"])
    out = independent.derive(unhex(chain["root"]), unhex(chain["shared"]), independent.named("dr/root"), 64)
    assert out.hex() == chain["next_root"] + chain["chain"]


class Drawn:
    """Randomness as the file says it was drawn; too much or too little is an error."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def __call__(self, size: int) -> bytes:
        assert len(self.left) >= size
        value, self.left = self.left[:size], self.left[size:]
        return value


def acceptor_after_the_conversation() -> Ratchet:
    file = load("ratchet")
    signed = unhex(file["signed_private"])
    secrets = unhex(file["root_key"]), unhex(file["associated"])
    sides = {
        "initiator": Ratchet.initiate(*secrets, primitives.dh_key(signed)),
        "acceptor": Ratchet.accept(*secrets, signed),
    }
    for item in file["conversation"]:
        (other,) = set(sides) - {item["from"]}
        drawn = Drawn(unhex(item["random"]))
        sides[item["from"]], message = sides[item["from"]].encrypt(unhex(item["plaintext"]), drawn)
        assert message.hex() == item["message"]
        assert not drawn.left
        sides[other], plaintext = sides[other].decrypt(message, NOW)
        assert plaintext.hex() == item["plaintext"]
    return sides["acceptor"]


def test_ratchet_messages() -> None:
    assert acceptor_after_the_conversation().receiving


def test_ratchet_messages_against_the_independent_ratchet() -> None:
    file = load("ratchet")
    signed, secrets = unhex(file["signed_private"]), (unhex(file["root_key"]), unhex(file["associated"]))
    sides = {
        "initiator": independent.Side(*secrets, b"", independent.public(signed)),
        "acceptor": independent.Side(*secrets, signed, b""),
    }
    for item in file["conversation"]:
        (other,) = set(sides) - {item["from"]}
        message = sides[item["from"]].encrypt(unhex(item["plaintext"]), unhex(item["random"]))
        assert message.hex() == item["message"]
        assert sides[other].decrypt(message).hex() == item["plaintext"]


@pytest.mark.parametrize("item", cases("ratchet", "refused_by_the_acceptor"))
def test_ratchet_messages_that_are_refused(item: dict[str, str]) -> None:
    with pytest.raises(DecryptError):
        acceptor_after_the_conversation().decrypt(unhex(item["message"]), NOW)


def test_seals() -> None:
    file = load("seal")
    device_key, identity = unhex(file["sender_device_key"]), unhex(file["sender_identity_private"])
    private = unhex(file["sealing_private"])
    for item in file["valid"]:
        opened = open_envelope(unhex(item["envelope"]), [private])
        assert (opened.device_key, opened.identity_key) == (device_key, primitives.dh_key(identity))
        assert (opened.type, opened.inner.hex()) == (item["type"], item["inner"])
        again = independent.envelope(
            device_key,
            identity,
            independent.public(private),
            item["type"],
            unhex(item["inner"]),
            unhex(item["random"]),
        )
        assert again.hex() == item["envelope"]


@pytest.mark.parametrize("item", cases("seal", "refused"))
def test_seals_that_do_not_open(item: dict[str, str]) -> None:
    with pytest.raises(DecryptError):
        open_envelope(unhex(item["envelope"]), [unhex(load("seal")["sealing_private"])])


# --- content and the rest ---


def test_contents() -> None:
    for item in load("content")["valid"]:
        decoded = content.decode_content(unhex(item["encoded"]))
        assert decoded == content.Content(
            item["kind"],
            unhex(item["message_id"]),
            unhex(item["stream_id"]),
            item["sequence"],
            item["sent_ms"],
            unhex(item["body"]),
            tuple((type, unhex(value)) for type, value in item["extensions"]),
        )
        assert decoded.encode().hex() == item["encoded"]


@pytest.mark.parametrize("item", cases("content", "refused"))
def test_contents_that_are_refused(item: dict[str, str]) -> None:
    with pytest.raises(DecryptError):
        content.decode_content(unhex(item["encoded"]))


def test_receipts() -> None:
    for item in load("content")["receipts"]:
        receipt = content.decode_receipt(unhex(item["encoded"]))
        assert receipt.stream_id.hex() == item["stream_id"]
        assert [list(pair) for pair in receipt.ranges] == item["ranges"]


def test_read_marks() -> None:
    for item in load("content")["read_marks"]:
        mark = content.decode_read(unhex(item["encoded"]))
        assert mark == content.ReadMark(unhex(item["stream_id"]), item["through"])
        assert mark.encode().hex() == item["encoded"]
        assert item["encoded"] == item["stream_id"] + f"{item['through']:016x}"


@pytest.mark.parametrize("item", cases("content", "refused_read_marks"))
def test_read_marks_that_are_refused(item: dict[str, str]) -> None:
    with pytest.raises(DecryptError):
        content.decode_read(unhex(item["encoded"]))


@pytest.mark.parametrize("item", cases("content", "refused_receipts"))
def test_receipts_that_are_refused(item: dict[str, str]) -> None:
    with pytest.raises(DecryptError):
        content.decode_receipt(unhex(item["encoded"]))


def test_padding_and_safety_numbers() -> None:
    file = load("small_things")
    for item in file["padding"]:
        assert primitives.pad(unhex(item["data"]), item["size"]).hex() == item["padded"]
        assert primitives.unpad(unhex(item["padded"])).hex() == item["data"]
    for text in file["refused_padding"]:
        with pytest.raises(DecryptError):
            primitives.unpad(unhex(text))
    for item in file["safety_numbers"]:
        one, other = unhex(item["one"]), unhex(item["other"])
        assert safety_number(one, other) == item["number"]
        assert scannable(one, other) == item["scannable_of_one"]


def test_control_messages() -> None:
    file = load("control")
    for text in file["client"]:
        assert decode_client_message(text).encode() == text
    for text in file["relay"]:
        assert decode_relay_message(text).encode() == text


@pytest.mark.parametrize("item", cases("control", "refused_of_a_client"))
def test_control_messages_that_are_refused(item: dict[str, str]) -> None:
    with pytest.raises(WireError):
        decode_client_message(item["text"])


def test_hashes_of_tokens_and_capabilities() -> None:
    for item in load("control")["hashes"]:
        secret = unhex(item["secret"])
        assert token_hash(secret).hex() == item["token_hash"]
        assert presence_capability(secret).hex() == item["presence_capability"]
        assert hashlib.sha256(independent.named("token") + secret).hexdigest() == item["token_hash"]
        assert (
            hashlib.sha256(independent.named("presence") + secret).hexdigest() == item["presence_capability"]
        )


def test_login_bytes() -> None:
    item = load("control")["login"]
    relay_key, relay_nonce, nonce = (
        unhex(item[name]) for name in ("relay_key", "relay_nonce", "client_nonce")
    )
    greeting = Greeting(Mode.DEVICE, item["origin"], relay_key, relay_nonce, nonce, item["time"])
    device, signed = unhex(item["device_key"]), unhex(item["login_signature"])
    origin = item["origin"].encode()
    common = len(origin).to_bytes(4, "big") + origin + relay_key + relay_nonce + nonce
    tail = item["time"].to_bytes(8, "big") + b"\x01"
    login = b"blindpost/v1/login\0" + common + device + tail
    assert greeting.hello_bytes().hex() == item["hello_bytes"]
    assert greeting.hello_bytes() == b"blindpost/v1/hello\0\x01" + common + tail
    assert greeting.login_bytes(device) == login == unhex(item["login_bytes"])
    acknowledged = b"blindpost/v1/login-ack\0" + hashlib.sha256(login + signed).digest()
    assert greeting.welcome_bytes(device, signed) == acknowledged == unhex(item["welcome_bytes"])


# --- backups ---


def test_backups() -> None:
    for item in load("backups")["backups"]:
        passphrase, salt = item["passphrase"].encode(), unhex(item["salt"])
        content = make_vectors.named(f"backup content {item['name']}", item["content_size"])
        lock = BackupLock.open(passphrase, unhex(item["head"]))
        assert decode_parameters(lock.head) == Parameters(salt, item["operations"], item["memory"])
        assert lock.key.hex() == item["key"]
        pieces = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
        sealed = [lock.seal(i, piece, is_last=i == len(pieces) - 1) for i, piece in enumerate(pieces)]
        whole = lock.head + b"".join(sealed)
        assert whole == independent.backup(passphrase, item["operations"], item["memory"], salt, content)
        assert (len(whole), hashlib.sha256(whole).hexdigest()) == (item["file_size"], item["file_sha256"])
        assert item.get("file", whole.hex()) == whole.hex()
        opened = [lock.open_chunk(i, piece, is_last=i == len(sealed) - 1) for i, piece in enumerate(sealed)]
        assert b"".join(opened) == content


@pytest.mark.parametrize("item", cases("backups", "refused_heads"))
def test_heads_of_backups_that_are_refused(item: dict[str, str]) -> None:
    with pytest.raises(WireError):
        BackupLock.open(b"correct horse battery staple", unhex(item["head"]))
