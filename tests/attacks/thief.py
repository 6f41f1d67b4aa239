"""What whoever has stolen private keys reads in what a relay has recorded.

Owns the reading: the real seal, handshake and session, with keys that are handed in. Knows no relay.
"""

from dataclasses import dataclass

from clients import clock
from clients.engine import _split_opening
from keys.content import decode_content
from keys.errors import DecryptError
from keys.handshake import HandshakeHeader, Party, accept
from keys.prekeys import PrivatePrekey
from keys.seal import InnerType, Opened, open_envelope
from keys.sessions import Session
from tests.attacks.stage import Person
from wire.device_lists import DeviceList
from wire.frames import Put


@dataclass(frozen=True)
class Opening:
    """The first message of a session, unsealed with the recipient's stolen sealing key."""

    opened: Opened
    devices: DeviceList
    header: HandshakeHeader
    message: bytes

    def text(
        self, victim: Person, signed: PrivatePrekey, kem: PrivatePrekey, one_time: PrivatePrekey | None
    ) -> str | None:
        """What it says, for whoever has the victim's identity key and these private prekeys."""
        profile = victim.profile
        entry, own = self.devices.entry(self.opened.device_key), profile.device_list.entry(profile.device.key)
        assert entry is not None
        assert own is not None
        me, peer = Party(profile.device_list, own), Party(self.devices, entry)
        try:
            agreement = accept(profile.device, me, peer, self.header, signed, kem, one_time)
            session = Session.accept(self.header, agreement, signed.private, clock.now_seconds())
            _, content = session.decrypt(self.message, clock.now_seconds())
        except DecryptError:
            return None
        return decode_content(content).body.decode("utf-8", "replace")


def unsealed(put: Put, victim: Person) -> Opened | None:
    """What is under the seal of a recorded frame, for whoever has the victim's sealing keys."""
    try:
        return open_envelope(put.envelope, victim.mailbox, victim.mailroom.state.sealing_privates())
    except DecryptError:
        return None


def opening_of(put: Put, victim: Person) -> Opening | None:
    """The opening in a recorded frame, if there is one."""
    opened = unsealed(put, victim)
    if opened is None or opened.type is not InnerType.OPENING:
        return None
    devices, header, message = _split_opening(opened.inner)
    return Opening(opened, devices, header, message)
