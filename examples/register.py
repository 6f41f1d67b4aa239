"""Register a fresh account at a relay and fetch a bundle by hand: docs/protocol.md, sections 3 to 8.

python examples/register.py ws://127.0.0.1:8760 [ADDRESS of somebody; else the new account's own]
"""

import os
import sys
import time
from dataclasses import replace

from nacl.public import PrivateKey  # noqa: TID251 by hand means without keys/
from nacl.signing import SigningKey, VerifyKey  # noqa: TID251 likewise
from websockets.sync.client import connect

from wire.addresses import Address, RelayUrl
from wire.control import Fetch, Hello, Login, Register, RelayHello, decode_relay_message
from wire.device_lists import NO_PREVIOUS, DeviceEntry, DeviceList
from wire.login import Greeting, Mode

if not sys.argv[1:]:
    sys.exit(f"Usage: {__doc__.splitlines()[2]}")
relay, now, nonce = RelayUrl.parse(sys.argv[1]), int(time.time()), os.urandom(32)
account, device, identity = SigningKey.generate(), SigningKey.generate(), PrivateKey.generate()
account_key, device_key = bytes(account.verify_key), bytes(device.verify_key)
entry = DeviceEntry(device_key, bytes(identity.public_key), now, b"")
entry = replace(entry, signature=device.sign(entry.signed_bytes(account_key)).signature)
devices = DeviceList(account_key, 1, NO_PREVIOUS, now, (entry,), b"")
devices = replace(devices, signature=account.sign(devices.signed_bytes()).signature)

with connect(relay.websocket, compression=None) as socket:  # a device connection logs in
    socket.send(Hello(mode=Mode.DEVICE, version=1, origin=relay.origin, nonce=nonce).encode())
    hello = decode_relay_message(str(socket.recv()))
    assert isinstance(hello, RelayHello), hello
    met = Greeting(Mode.DEVICE, relay.origin, hello.relay_key, hello.nonce, nonce, hello.time)
    VerifyKey(hello.relay_key).verify(met.hello_bytes(), hello.signature)
    login = device.sign(met.login_bytes(device_key)).signature
    socket.send(Login(device_key=device_key, signature=login).encode())
    print(str(socket.recv()).rstrip())
    socket.send(Register(ref=1, device_list=devices.encode()).encode())
    print(str(socket.recv()).rstrip())

with connect(relay.websocket, compression=None) as socket:  # a submit connection never says who it is
    socket.send(Hello(mode=Mode.SUBMIT, version=1, origin=relay.origin, nonce=os.urandom(32)).encode())
    print(str(socket.recv()).rstrip())
    wanted = Address.parse(sys.argv[2]).account_key if sys.argv[2:] else account_key
    socket.send(Fetch(ref=2, account_key=wanted, take=False).encode())
    print(str(socket.recv()).rstrip())
