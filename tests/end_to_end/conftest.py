"""People with real processes at a real relay."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.client_process import ClientProcess
from tests.support.relay_process import RelayProcess

People = Callable[..., list[ClientProcess]]


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    """A relay of the test's own, to be killed and started again."""
    with RelayProcess(tmp_path, settings={"sockets-per-prefix": 200}) as process:
        yield process


@pytest.fixture
def people(tmp_path: Path, relay: RelayProcess) -> People:
    """Makes people with a profile each; all know each other, unless `acquainted` is False."""

    def make(*names: str, acquainted: bool = True) -> list[ClientProcess]:
        made = [ClientProcess(tmp_path, name) for name in names]
        for one in made:
            one.init(relay.origin)
        if acquainted:
            for one in made:
                for other in made:
                    if other is not one:
                        one.add(other)
        return made

    return make
