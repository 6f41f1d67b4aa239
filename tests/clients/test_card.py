"""Our card: what is rotated when, how long what was before is taken, and that what was revoked is dead."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.card import PREVIOUS_KEEP, Cards
from clients.errors import UsageError
from clients.model import Sharing
from clients.store.store import Store
from wire.capabilities import presence_capability
from wire.limits import TOKENS_MAX

NOW = 1_700_000_000
DAY = 86_400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db", bytes(32))
    yield store
    store.close()


@pytest.fixture
def cards(store: Store) -> Cards:
    return Cards(store, os.urandom)


def test_the_first_card_is_made_once_and_kept(store: Store, cards: Cards) -> None:
    card = cards.current(NOW)
    assert (card.version, card.display_name) == (1, "")
    secret = cards.presence_secret(NOW)
    assert (len(card.token), len(secret)) == (16, 16)
    assert card.presence == presence_capability(secret)
    assert secret == Cards(store, os.urandom).presence_secret(NOW + DAY)
    assert len({card.token, card.presence, cards.address_token(NOW)}) == 3
    assert Cards(store, os.urandom).current(NOW + DAY) == card
    assert card.token.hex() not in repr(card)
    assert repr(card.token) not in repr(card)
    assert repr(card.presence) not in repr(card)


def test_the_relay_takes_the_current_tokens_without_an_end(cards: Cards) -> None:
    allowed = cards.allowed(NOW)
    assert allowed == [(cards.current(NOW).token, None), (cards.address_token(NOW), None)]
    assert cards.allowed(NOW + 10_000 * DAY) == allowed


def test_the_token_before_is_taken_for_37_days_more_and_then_not(cards: Cards) -> None:
    before, line = cards.current(NOW), cards.address_token(NOW)
    cards.rotate_token(NOW, revoke=False)
    after = cards.current(NOW)
    assert after.token != before.token
    assert after.presence == before.presence
    assert after.version == before.version + 1
    until = NOW + 37 * DAY
    assert PREVIOUS_KEEP == 37 * DAY
    current: list[tuple[bytes, int | None]] = [(after.token, None), (line, None)]
    assert cards.allowed(NOW) == [*current, (before.token, until)]
    assert cards.allowed(until - 1) == [*current, (before.token, until)]
    assert cards.allowed(until) == current
    assert cards.allowed(NOW) == current  # a clock set back brings nothing to life


def test_what_is_revoked_dies_at_once_with_everything_before_and_the_line(cards: Cards) -> None:
    old = {cards.current(NOW).token, cards.address_token(NOW)}
    cards.rotate_token(NOW, revoke=False)
    old.add(cards.current(NOW).token)
    version = cards.current(NOW).version
    cards.rotate_token(NOW, revoke=True)
    allowed = cards.allowed(NOW)
    assert len(allowed) == 2
    assert old.isdisjoint(token for token, _ in allowed)
    assert cards.current(NOW).version == version + 1


def test_there_are_never_more_than_16_and_the_oldest_go_first(cards: Cards) -> None:
    tokens = []
    for day in range(40):
        tokens.append(cards.current(NOW + day * DAY).token)
        cards.rotate_token(NOW + day * DAY, revoke=False)
        assert len(cards.allowed(NOW + day * DAY)) <= TOKENS_MAX
    now = NOW + 39 * DAY
    taken = cards.allowed(now)
    assert len(taken) == TOKENS_MAX == 16
    assert taken[:2] == [(cards.current(now).token, None), (cards.address_token(now), None)]
    assert [token for token, _ in taken[2:]] == tokens[:-15:-1]


def test_a_new_line_ends_the_one_before_and_contacts_do_not_notice(cards: Cards) -> None:
    card, line = cards.current(NOW), cards.address_token(NOW)
    new = cards.renew_address(NOW)
    assert new != line
    assert cards.address_token(NOW) == new
    assert cards.allowed(NOW) == [(card.token, None), (new, None)]
    assert cards.current(NOW) == card


def test_a_new_presence_is_told_to_contacts(cards: Cards) -> None:
    before = cards.current(NOW)
    cards.rotate_presence(NOW)
    after = cards.current(NOW)
    assert after.presence != before.presence
    assert (after.token, after.version) == (before.token, before.version + 1)


def test_a_display_name_is_told_when_it_changes(cards: Cards) -> None:
    assert cards.current(NOW).version == 1
    cards.set_display_name("  Zoë 🦊 ", NOW)
    assert (cards.current(NOW).display_name, cards.current(NOW).version) == ("Zoë 🦊", 2)
    cards.set_display_name("Zoë 🦊", NOW)
    assert cards.current(NOW).version == 2
    cards.set_display_name("", NOW)
    assert (cards.display_name, cards.current(NOW).version) == ("", 3)


@pytest.mark.parametrize("name", ["x" * 65, "a\nb", "a\x1b[2J", "a\u202eb", "\ud800", "a\0b"])
def test_a_display_name_that_could_deceive_is_refused(cards: Cards, name: str) -> None:
    with pytest.raises(UsageError, match="64 characters"):
        cards.set_display_name(name, NOW)
    assert cards.display_name == ""


def test_everything_is_shared_until_it_is_not(cards: Cards) -> None:
    before = cards.current(NOW)
    assert cards.sharing() == Sharing(True, True, True)
    assert cards.set_sharing(Sharing(typing=False)) == Sharing(True, False, True)
    assert cards.set_sharing(Sharing(read=False)) == cards.sharing() == Sharing(True, False, False)
    assert cards.current(NOW) == before
    cards.set_sharing(Sharing(presence=False))
    hidden = cards.current(NOW)
    assert hidden.presence != before.presence  # whoever knows the former sees nothing any more
    assert hidden.version == before.version + 1
    cards.set_sharing(Sharing(presence=False))
    assert cards.current(NOW) == hidden
    cards.set_sharing(Sharing(True, True, True))
    assert cards.current(NOW).version == hidden.version + 1
    assert cards.sharing() == Sharing(True, True, True)


def test_each_change_is_whole_or_not_at_all(store: Store, cards: Cards) -> None:
    before = cards.current(NOW), cards.allowed(NOW)

    class Stop(Exception):
        pass

    def interrupted(cards: Cards) -> None:
        with store.transaction():
            cards.rotate_token(NOW, revoke=True)
            cards.rotate_presence(NOW)
            raise Stop

    with pytest.raises(Stop):
        interrupted(cards)
    assert (cards.current(NOW), cards.allowed(NOW)) == before
