"""One real relay for all tests of a file that do not stop it."""

from collections.abc import Iterator

import pytest

from tests.support.relay_process import RelayProcess


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), settings={"sockets-per-prefix": 200}) as process:
        yield process
