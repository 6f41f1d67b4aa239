"""wire.errors and wire.limits: the words and numbers that both sides and the documentation rely on."""

from wire import limits
from wire.control import Publish
from wire.control_values import encode_base64url
from wire.device_lists import LIST_MAX
from wire.errors import CloseCode, ErrorCode, WireError
from wire.prekeys import PREKEY_MAX


def test_an_error_code_is_its_own_word() -> None:
    assert all(code.value == code.name for code in ErrorCode)


def test_close_codes_are_distinct_and_in_the_ranges_of_rfc_6455() -> None:
    assert len({int(code) for code in CloseCode}) == len(list(CloseCode))
    assert all(1000 <= code <= 1015 or 4000 <= code <= 4999 for code in CloseCode)


def test_a_wire_error_carries_code_sentence_and_field() -> None:
    error = WireError(ErrorCode.TOO_LARGE, "a sentence", "ref")
    assert (error.code, str(error), error.field) == (ErrorCode.TOO_LARGE, "a sentence", "ref")


def test_buckets_are_powers_of_two_from_one_to_sixty_four_kibibytes() -> None:
    assert tuple(1024 * 2**k for k in range(7)) == limits.BUCKETS
    assert (limits.BUCKETS[0], limits.BUCKETS[-1]) == (limits.ENVELOPE_MIN, limits.ENVELOPE_MAX)


def test_the_largest_page_of_prekeys_and_the_largest_bundle_fit_a_control_message() -> None:
    page = Publish(ref=2**32 - 1, prekeys=[bytes(PREKEY_MAX)] * limits.PREKEYS_PER_PAGE)
    assert len(page.encode()) < limits.CONTROL_MAX
    one_device = (
        2 * len(encode_base64url(bytes(32))) + 3 * 146 + len(encode_base64url(bytes(PREKEY_MAX))) + 200
    )
    bundle = len(encode_base64url(bytes(LIST_MAX))) + limits.DEVICES_PER_ACCOUNT * one_device
    assert bundle < limits.CONTROL_MAX
