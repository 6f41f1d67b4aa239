"""Our own prekeys: weekly, forgotten after sixty days, topped up, never with an id used before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.prekey_stock import ONE_TIME_PRIVATES_MAX, PrekeyPage, PrekeyStock
from clients.store.store import Store
from keys.identities import Device
from keys.prekeys import verify_prekey
from tests.keys.parties import Seeded
from wire.control import Stock
from wire.limits import (
    ONE_TIME_LOW,
    ONE_TIME_PUBLISHED,
    PREKEYS_PER_PAGE,
    PRIVATE_PREKEY_KEEP,
    SIGNED_PREKEY_ROTATE,
)
from wire.prekeys import LASTING_KINDS, ONE_TIME_KINDS, PrekeyKind, decode_prekey

NOW = 1_700_000_000
NONE_LEFT = Stock(one_time=0, one_time_kem=0)
DEVICE = Device.generate(Seeded("stock"), NOW)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db", bytes(32))
    yield store
    store.close()


@pytest.fixture
def stock(store: Store) -> PrekeyStock:
    return PrekeyStock(store, DEVICE, Seeded("privates"))


def ids(store: Store, kind: PrekeyKind) -> list[int]:
    """Ids of the private keys we hold, in order."""
    rows = store.db.execute("SELECT public FROM prekeys WHERE kind = ? ORDER BY id", (kind,)).fetchall()
    return [decode_prekey(row[0]).id for row in rows if isinstance(row[0], bytes)]


def publish_all(stock: PrekeyStock) -> list[PrekeyPage]:
    pages = []
    while page := stock.unpublished():
        stock.mark_published(page)
        pages.append(page)
    return pages


def test_lasting_keys_change_after_a_week_and_not_before(store: Store, stock: PrekeyStock) -> None:
    for now in (NOW, NOW + 1, NOW + SIGNED_PREKEY_ROTATE - 1):
        stock.rotate(now)
    assert [ids(store, kind) for kind in LASTING_KINDS] == [[1]] * 3
    stock.rotate(NOW + SIGNED_PREKEY_ROTATE)
    assert [ids(store, kind) for kind in LASTING_KINDS] == [[1, 2]] * 3


def test_a_private_key_lives_sixty_days_past_its_replacement(store: Store, stock: PrekeyStock) -> None:
    stock.rotate(NOW)
    replaced = NOW + SIGNED_PREKEY_ROTATE
    stock.rotate(replaced)
    stock.rotate(replaced + PRIVATE_PREKEY_KEEP)
    assert 1 in ids(store, PrekeyKind.SIGNED)
    stock.rotate(replaced + PRIVATE_PREKEY_KEEP + 1)
    assert [1 in ids(store, kind) for kind in LASTING_KINDS] == [False] * 3
    assert ids(store, PrekeyKind.SIGNED)


def test_a_year_away_replaces_once_and_still_keeps_the_old_key_for_sixty_days(
    store: Store, stock: PrekeyStock
) -> None:
    # Whoever wrote in that year wrote to the old key.
    stock.rotate(NOW)
    stock.rotate(NOW + 365 * 86_400)
    assert ids(store, PrekeyKind.SEALING) == [1, 2]


@pytest.mark.parametrize(("left", "made"), [(0, 100), (24, 76), (25, 0), (100, 0), (200, 0)])
def test_one_time_keys_are_topped_up_to_a_hundred_below_twenty_five(
    store: Store, stock: PrekeyStock, left: int, made: int
) -> None:
    stock.top_up(Stock(one_time=left, one_time_kem=200), NOW)
    assert len(ids(store, PrekeyKind.ONE_TIME)) == made
    assert ids(store, PrekeyKind.ONE_TIME_KEM) == []
    assert (ONE_TIME_LOW, ONE_TIME_PUBLISHED) == (25, 100)


def test_what_is_made_and_not_published_yet_counts(store: Store, stock: PrekeyStock) -> None:
    stock.top_up(NONE_LEFT, NOW)
    stock.top_up(NONE_LEFT, NOW)
    assert len(ids(store, PrekeyKind.ONE_TIME)) == ONE_TIME_PUBLISHED


def test_pages_hold_every_key_once_the_lasting_ones_first(stock: PrekeyStock) -> None:
    stock.rotate(NOW)
    stock.top_up(NONE_LEFT, NOW)
    pages = publish_all(stock)
    assert all(len(page) <= PREKEYS_PER_PAGE for page in pages)
    places = [(kind, id) for page in pages for kind, id, _ in page]
    assert len(places) == len(set(places)) == 3 + 2 * ONE_TIME_PUBLISHED
    assert {kind for kind, _ in places[:3]} == set(LASTING_KINDS)
    for page in pages:
        for kind, id, encoded in page:
            prekey = decode_prekey(encoded)
            verify_prekey(prekey, DEVICE.key)
            assert (prekey.kind, prekey.id) == (kind, id)


def test_what_was_stored_and_not_confirmed_is_published_again(tmp_path: Path) -> None:
    # Killed between storing and publishing, or between the relay's commit and our hearing of it.
    store = Store(tmp_path / "other.db", bytes(32))
    stock = PrekeyStock(store, DEVICE, Seeded("privates"))
    stock.rotate(NOW)
    stock.top_up(NONE_LEFT, NOW)
    page = stock.unpublished()
    store.close()
    store = Store(tmp_path / "other.db", bytes(32))
    again = PrekeyStock(store, DEVICE, Seeded("other randomness"))
    again.rotate(NOW + 1)
    again.top_up(NONE_LEFT, NOW + 1)
    assert again.unpublished() == page
    again.mark_published(page)
    assert again.unpublished() != page
    store.close()


def test_a_replaced_key_is_not_published_any_more(stock: PrekeyStock) -> None:
    stock.rotate(NOW)
    stock.rotate(NOW + SIGNED_PREKEY_ROTATE)
    assert {id for _, id, _ in stock.unpublished()} == {2}


def test_ids_are_never_used_again_even_when_all_keys_before_are_gone(
    store: Store, stock: PrekeyStock
) -> None:
    stock.top_up(NONE_LEFT, NOW)
    publish_all(stock)
    with store.transaction() as db:
        db.execute("DELETE FROM prekeys WHERE kind = ?", (PrekeyKind.ONE_TIME,))
    again = PrekeyStock(store, DEVICE, Seeded("again"))
    again.top_up(NONE_LEFT, NOW)
    assert min(ids(store, PrekeyKind.ONE_TIME)) == ONE_TIME_PUBLISHED + 1


def test_keys_that_were_taken_and_never_used_are_bounded_oldest_first(
    store: Store, stock: PrekeyStock
) -> None:
    taken = Stock(one_time=0, one_time_kem=200)
    for _ in range(ONE_TIME_PRIVATES_MAX // ONE_TIME_PUBLISHED + 2):
        stock.top_up(taken, NOW)
        publish_all(stock)
    held = ids(store, PrekeyKind.ONE_TIME)
    assert len(held) == ONE_TIME_PRIVATES_MAX
    assert held[0] == 2 * ONE_TIME_PUBLISHED + 1


def test_every_key_is_a_different_one(store: Store, stock: PrekeyStock) -> None:
    stock.rotate(NOW)
    stock.top_up(NONE_LEFT, NOW)
    privates = store.db.execute("SELECT private FROM prekeys").fetchall()
    assert len(set(privates)) == len(privates) == 3 + 2 * ONE_TIME_PUBLISHED
    assert {kind for kind in PrekeyKind if ids(store, kind)} == {*LASTING_KINDS, *ONE_TIME_KINDS}
