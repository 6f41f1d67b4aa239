"""How the relay words its answers.

Owns the sentence, the waiting time and the close code of every refusal, the messages built from what a store
returns, and their sizes on the wire. Pure; knows no state of a connection.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from relay.lanes import Kept, Later, Outcome, Verdict
from relay.store.base import Offer, PutResult, StockCount
from wire import control, strict_json
from wire.errors import CloseCode, ErrorCode, WireError
from wire.frames import PUT, PUT_HEADER
from wire.limits import FRAME_ID, RESULTS_PER_MESSAGE

CLOSE_CODES: Final = {
    ErrorCode.TOO_LARGE: CloseCode.TOO_LARGE,
    ErrorCode.UNSUPPORTED_VERSION: CloseCode.UNSUPPORTED_VERSION,
    ErrorCode.WRONG_ORIGIN: CloseCode.WRONG_ORIGIN,
    ErrorCode.LOGIN_REFUSED: CloseCode.LOGIN_REFUSED,
    ErrorCode.LOGIN_TIMEOUT: CloseCode.LOGIN_TIMEOUT,
    ErrorCode.NOT_REGISTERED: CloseCode.LOGIN_REFUSED,
    ErrorCode.REPLACED: CloseCode.REPLACED,
    ErrorCode.ACCOUNT_DELETED: CloseCode.ACCOUNT_DELETED,
    ErrorCode.SLOW_READER: CloseCode.SLOW_READER,
    ErrorCode.RESTARTING: CloseCode.RESTARTING,
    ErrorCode.TOO_MANY_CONNECTIONS: CloseCode.TOO_MANY_CONNECTIONS,
    ErrorCode.INTERNAL: CloseCode.INTERNAL,
}

UNKNOWN_URL: Final = (
    "this relay is not known under that URL: check the URL; if it is right, the relay's operator must list "
    "it in public_urls"
)

# Spaces fill a message up to a multiple of so many bytes, because TLS shows sizes to whoever looks on: they
# are the same whether a prekey was left, how many are, and whether somebody is there.
PADDED: Final = 256
WELCOME_PADDED: Final = 1024
BUNDLE_PADDED: Final = 4096  # with every prekey of one device, or with none

_REFUSALS: Final[dict[ErrorCode, tuple[str, int | None]]] = {
    ErrorCode.QUOTA: ("the mailbox is full", 60),
    ErrorCode.GO_BACK: ("an earlier frame to this mailbox was refused: retry that one first", None),
    ErrorCode.NOT_FOUND: ("no such mailbox, or it refuses you", None),
    ErrorCode.RATE_LIMITED: ("the relay is writing at its limit", 1),
    ErrorCode.STORAGE_FULL: ("the relay's disk is full; nothing was stored", 30),
    ErrorCode.INTERNAL: ("the relay could not store this; nothing was stored", 30),
    ErrorCode.RESTARTING: ("the relay is going down; come back in a moment", 5),
}
_VERDICTS: Final[dict[PutResult, Verdict]] = {
    PutResult.STORED: Kept.ORDINARY,
    PutResult.DUPLICATE: Kept.ORDINARY,
    PutResult.REQUESTED: Kept.REQUEST,
    PutResult.REQUESTED_BEFORE: Kept.REQUEST,
    PutResult.QUOTA: ErrorCode.QUOTA,
    PutResult.LIMITED: ErrorCode.RATE_LIMITED,
    PutResult.UNKNOWN: ErrorCode.NOT_FOUND,
    PutResult.UNTRIED: ErrorCode.GO_BACK,
}


def written(message: control.ControlMessage) -> str:
    """A message as it is written: JSON, and spaces behind it."""
    text, to = message.encode(), PADDED
    is_missing = isinstance(message, control.Error) and message.code is ErrorCode.NOT_FOUND
    if is_missing or isinstance(message, control.Bundle):
        to = BUNDLE_PADDED
    elif isinstance(message, control.Welcome):
        to = WELCOME_PADDED
    return text + " " * (-len(text) % to)


def verdicts_of(results: Sequence[PutResult | Later]) -> list[Verdict]:
    """The store's results as what the sender is told."""
    return [result if isinstance(result, Later) else _VERDICTS[result] for result in results]


def stock_message(stock: StockCount) -> control.Stock:
    """A stock count as it travels."""
    return control.Stock(one_time=stock.one_time, one_time_kem=stock.one_time_kem)


def error_message(error: WireError, ref: int | None = None) -> control.Error:
    """An error as it travels."""
    _, retry_after = _REFUSALS.get(error.code, ("", None))
    return control.Error(
        code=error.code,
        message=str(error),
        field=error.field,
        ref=ref,
        retry_after=retry_after if error.retry_after is None else error.retry_after,
    )


def bundle_message(ref: int, offer: Offer | None) -> control.ControlMessage:
    """The bundle, or the one answer for whoever cannot be found."""
    if offer is None:
        return error_message(WireError(ErrorCode.NOT_FOUND, "no such account, or it refuses you"), ref)
    devices = [
        control.OfferedDevice(
            device_key=device.device_key, prekeys=[prekey.encode() for prekey in device.prekeys()]
        )
        for device in offer.devices
    ]
    former = None if offer.former is None else [each.encode() for each in offer.former]
    return control.Bundle(ref=ref, device_list=offer.device_list.encode(), devices=devices, former=former)


def _refusal(verdict: ErrorCode | Later) -> tuple[ErrorCode, str, int | None]:
    if isinstance(verdict, ErrorCode):
        return verdict, *_REFUSALS[verdict]
    text = f"too many frames for now; go on in {verdict.retry_after} s"
    return ErrorCode.RATE_LIMITED, text, verdict.retry_after


def outcome_messages(outcomes: Sequence[Outcome]) -> list[control.ControlMessage]:
    """What the sender of these frames is told, in their order: at most 256 frame ids in a message."""
    messages: list[control.ControlMessage] = []
    for verdict, alike in groupby(outcomes, key=lambda outcome: outcome.verdict):
        frames = [outcome.frame_id for outcome in alike]
        if not isinstance(verdict, Kept):
            code, text, retry_after = _refusal(verdict)
            messages += (
                control.Refused(frame=frame, code=code, message=text, retry_after=retry_after)
                for frame in frames
            )
            continue
        kept = control.Accepted if verdict is Kept.ORDINARY else control.QueuedAsRequest
        messages += (
            kept(frames=frames[at : at + RESULTS_PER_MESSAGE])
            for at in range(0, len(frames), RESULTS_PER_MESSAGE)
        )
    return messages


def ref_of(text: str) -> int | None:
    """The `ref` of a message that is refused, so that its sender knows which one it was."""
    try:
        ref = strict_json.parse(text).get("ref")
    except WireError:
        return None
    return ref if type(ref) is int and 0 <= ref < 2**32 else None


def frame_id_of(data: bytes) -> bytes | None:
    """The frame id of a PUT that is refused."""
    return data[2 : 2 + FRAME_ID] if len(data) >= PUT_HEADER and data[0] == PUT else None
