"""What a relay holds of an account is shown to its owner, and in no log line or traceback on the way."""

from wire.account_messages import HeldMailbox, HeldPresence, HeldToken
from wire.control_message import ControlMessage

KEY = bytes(32)
SECRET = b"CANARY" + bytes(26)


def test_hashes_of_tokens_capabilities_and_checkpoints_are_in_no_repr() -> None:
    messages: tuple[ControlMessage, ...] = (
        HeldToken(device_key=KEY, hash=SECRET),
        HeldPresence(device_key=KEY, connected=True, capabilities=[SECRET], passing=0, changes_left=0),
        HeldMailbox(
            device_key=KEY,
            next_sequence=1,
            skipped=0,
            frames=0,
            bytes=0,
            request_frames=0,
            request_bytes=0,
            expired=0,
            one_time_highest=0,
            one_time_kem_highest=0,
            checkpoint=SECRET,
        ),
    )
    for message in messages:
        assert "CANARY" not in f"{message!r}{message}"
