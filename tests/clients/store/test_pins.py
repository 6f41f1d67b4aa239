"""Pins: the first key met under a URL is the relay's, until the user says otherwise."""

from pathlib import Path

import pytest

from clients.errors import TrustError
from clients.store.pins import Pins
from clients.store.store import Store
from wire.addresses import RelayUrl

ONE, OTHER = RelayUrl.parse("relay.example"), RelayUrl.parse("relay.example/post")


def test_the_first_key_stays_until_it_is_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db", bytes(32))
    pins = Pins(store)
    assert pins.get(ONE) is None
    pins.keep(ONE, b"1" * 32)
    pins.keep(ONE, b"1" * 32)
    with pytest.raises(TrustError):
        pins.keep(ONE, b"2" * 32)
    assert pins.get(ONE) == b"1" * 32
    assert pins.get(OTHER) is None
    assert pins.forget(ONE)
    assert not pins.forget(ONE)
    pins.keep(ONE, b"2" * 32)
    assert pins.get(ONE) == b"2" * 32
    store.close()


def test_the_same_relay_written_another_way_has_the_same_pin(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db", bytes(32))
    Pins(store).keep(RelayUrl.parse("https://Relay.Example:443/"), b"1" * 32)
    assert Pins(store).get(ONE) == b"1" * 32
    store.close()
