"""Promise 1, read from the source: the relay reaches nothing that names a libsodium symbol able to open mail.

From every module of relay/ the first-party import graph is followed, and each module reached is read as a
syntax tree. The list, in `clients.audit.proving.sources`, is the promise's own. It is complete for the
libsodium installed (a test sorts all its symbols), the scan is seen to find each kind of naming, and it finds
plenty in keys/, so silence in relay/ means something.
"""

from pathlib import Path

import nacl.bindings
import nacl.public
import nacl.secret
import nacl.signing
import pytest

from clients.audit.proving.sources import FORBIDDEN, PACKAGES, matches, module_paths, reachable, scan

ROOT = Path(__file__).resolve().parents[2]
MODULES = module_paths(ROOT / package for package in PACKAGES)

# What else libsodium offers: signatures, hashes, password hashes, comparison, padding, random bytes.
HARMLESS = (
    "crypto_generichash*",
    "crypto_hash*",
    "crypto_pwhash*",
    "crypto_shorthash*",
    "crypto_sign",
    "crypto_sign_BYTES",
    "crypto_sign_PUBLICKEYBYTES",
    "crypto_sign_SECRETKEYBYTES",
    "crypto_sign_SEEDBYTES",
    "crypto_sign_ed25519_sk_to_pk",
    "crypto_sign_ed25519_sk_to_seed",
    "crypto_sign_ed25519ph_*",
    "crypto_sign_keypair",
    "crypto_sign_open",  # verifies a signature and returns what was signed; nothing is secret
    "crypto_sign_seed_keypair",
    "has_crypto_*",
    "nacl_bindings_pick_scrypt_params",
    "randombytes*",
    "sodium_*",
    "utils",
)


def test_nothing_reachable_from_the_relay_could_open_a_message() -> None:
    reached = reachable("relay", MODULES)
    assert {"relay.auth", "relay.session", "wire.frames"} <= set(reached)
    found = {name: scan(path.read_text()) for name, path in sorted(reached.items())}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_the_relay_reaches_neither_keys_nor_clients() -> None:
    assert {name.split(".")[0] for name in reachable("relay", MODULES)} == {"relay", "wire"}


def test_control_the_same_scan_finds_plenty_in_keys() -> None:
    found = {
        name: scan(path.read_text())
        for name, path in reachable("keys", MODULES).items()
        if name.startswith("keys")
    }
    assert found["keys.primitives"]


def test_control_the_graph_follows_imports_of_every_form(tmp_path: Path) -> None:
    files = {
        "relay/__init__.py": "",
        "relay/session.py": "def late() -> None:\n    from .store import base\n",
        "relay/store/__init__.py": "",
        "relay/store/base.py": "import wire.frames as frames\n",
        "wire/__init__.py": "",
        "wire/frames.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from keys import seal\n",
        "wire/unused.py": "",
        "keys/__init__.py": "",
        "keys/seal.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    modules = module_paths(tmp_path / package for package in PACKAGES)
    assert set(modules) - set(reachable("relay", modules)) == {"wire.unused"}


@pytest.mark.parametrize(
    "source",
    [
        "from nacl.public import SealedBox",
        "from nacl.public import SealedBox as Harmless",
        "import nacl.public",
        "import nacl\nnacl.secret.SecretBox(b'')",
        "from nacl import bindings\nbindings.crypto_scalarmult(b'', b'')",
        "from nacl.bindings import crypto_sign_ed25519_sk_to_curve25519 as sign",
        "import nacl.bindings\ngetattr(nacl.bindings, 'crypto_box_open')",
        "key.to_curve25519_private_key()",
        "box.decrypt(b'')",
        "import ctypes",
        "import importlib\nimportlib.import_module('keys.seal')",
        "__import__('keys')",
        "from nacl import _sodium",
        "from cryptography.hazmat.primitives.ciphers import aead",
        "import marshal\nmarshal.loads(b'')",
        "import sys\nsys.modules['nacl.bindings']",
        "import subprocess",
        "import os\nos.system('openssl')",
        "import os\nos.execvp('openssl', [])",
        "async def late(): await asyncio.create_subprocess_exec('openssl')",
        "loop.subprocess_exec(Protocol, 'openssl')",
        "from concurrent.futures import ProcessPoolExecutor",
    ],
)
def test_control_the_scan_sees(source: str) -> None:
    assert scan(source)


def test_control_the_scan_lets_signatures_pass() -> None:
    assert scan("from nacl.signing import SigningKey, VerifyKey\nVerifyKey(b'').verify(b'', b'')") == set()


def test_every_symbol_of_the_installed_libsodium_is_sorted() -> None:
    symbols = {name for name in dir(nacl.bindings) if not name.startswith("_")}
    assert len(symbols) > 200
    assert {name for name in symbols if matches(name, FORBIDDEN) == matches(name, HARMLESS)} == set()


def test_every_class_that_opens_or_converts_is_in_the_list() -> None:
    for module in (nacl.public, nacl.secret):
        own = {
            name
            for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
        }
        assert {name for name in own if not matches(name, FORBIDDEN)} <= {"PublicKey"}
    for kind in (nacl.signing.SigningKey, nacl.signing.VerifyKey):
        methods = {name for name in vars(kind) if not name.startswith("_")}
        assert {name for name in methods if not matches(name, FORBIDDEN)} <= {
            "sign",
            "verify",
            "generate",
            "encode",
        }
