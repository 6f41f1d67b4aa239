"""JSON as this protocol allows it: one reading only.

Owns the parser for untrusted text. Size and depth are bounded, duplicate keys, NaN, Infinity and
fractions are refused; what comes back is plain dicts, lists, strings, integers, booleans and None.
"""

import json
from typing import Final, Never, TypeAlias

from wire.errors import ErrorCode, WireError
from wire.limits import CONTROL_DEPTH, CONTROL_MAX

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"


def _refuse_number(_: str) -> Never:
    raise WireError(ErrorCode.BAD_REQUEST, "control message: only whole numbers are allowed")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise WireError(ErrorCode.BAD_REQUEST, "control message: a key occurs twice")
    return result


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_refuse_number, parse_constant=_refuse_number
)


def _depth(value: Json, left: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return left > 0 and all(_depth(item, left - 1) for item in inner)


def parse(text: str) -> dict[str, Json]:
    """The object in `text`. Raises WireError: TOO_LARGE over 64 KiB of UTF-8, else BAD_REQUEST."""
    if len(text) > CONTROL_MAX or len(text.encode("utf-8", "replace")) > CONTROL_MAX:
        raise WireError(ErrorCode.TOO_LARGE, "control message: over 64 KiB")
    try:
        value: Json = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise WireError(ErrorCode.BAD_REQUEST, "control message: not valid JSON") from error
    if not isinstance(value, dict):
        raise WireError(ErrorCode.BAD_REQUEST, "control message: not an object")
    # Walking the value is only needed when there are enough brackets to be too deep.
    if text.count("{") + text.count("[") > CONTROL_DEPTH and not _depth(value, CONTROL_DEPTH):
        raise WireError(ErrorCode.BAD_REQUEST, "control message: nested too deep")
    return value
