"""The two formats, and what an exception may say in them."""

import json
import logging
from collections.abc import Iterator

import pytest

from relay import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


def failing() -> None:
    raise KeyError("CANARY")


@pytest.mark.parametrize("as_json", [True, False])
def test_an_exception_is_its_type_and_its_places(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(as_json, "info")
    try:
        failing()
    except KeyError as error:
        logging.getLogger(logs.LOGGER).error("a connection failed", exc_info=error)
    (line,) = capsys.readouterr().err.splitlines()
    assert "CANARY" not in line
    assert "KeyError at test_logs.py:" in line
    assert "a connection failed" in line
    if as_json:
        assert set(json.loads(line)) == {"time", "level", "event", "error"}


def test_what_peers_cause_in_uvicorn_fills_no_disk(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(False, "info")
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.info("192.0.2.1:99 - WebSocket accepted")
    uvicorn.warning("Invalid HTTP request received.")
    assert capsys.readouterr().err == ""
    uvicorn.error("Exception in ASGI application\n")
    assert len(capsys.readouterr().err.splitlines()) == 1
