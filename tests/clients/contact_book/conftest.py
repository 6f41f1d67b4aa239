"""Three people on real profiles and stores: Alice, whose contact book it is, Bob and Carol."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.contact_book.alice import Alice
from tests.support.homes import Home


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[tuple[Home, Home, Home]]:
    people = Home(tmp_path, "alice"), Home(tmp_path, "bob"), Home(tmp_path, "carol")
    yield people
    for person in people:
        person.close()


@pytest.fixture
def alice(homes: tuple[Home, Home, Home]) -> Alice:
    return Alice(homes[0])


@pytest.fixture
def bob(homes: tuple[Home, Home, Home]) -> Home:
    return homes[1]


@pytest.fixture
def carol(homes: tuple[Home, Home, Home]) -> Home:
    return homes[2]
