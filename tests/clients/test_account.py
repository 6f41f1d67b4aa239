"""The account at its relay, from its owner's side: what is noted when, and what is believed of whom."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import clock
from clients.account import AccountAtRelay
from clients.config import ClientConfig
from clients.errors import NotFoundError, RelayError, UsageError
from clients.messenger import Messenger
from clients.profile import Profile
from clients.questions import Questions
from tests.support.relay_process import RelayProcess
from wire.addresses import RelayUrl
from wire.control import ControlMessage, Error, Export, Exported
from wire.errors import ErrorCode


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), settings={"sockets-per-prefix": 200}) as process:
        yield process


@pytest.fixture
def config(tmp_path: Path, relay: RelayProcess) -> ClientConfig:
    config = ClientConfig(tmp_path / "alice")
    Profile.create(config, RelayUrl.parse(relay.origin), clock.now_seconds()).close()
    return config


def account_of(me: Messenger) -> AccountAtRelay:
    assert me.account is not None
    return me.account


def noted(config: ClientConfig) -> str | None:
    found = json.loads((config.profile / "profile.json").read_text()).get("deleted")
    return None if found is None else str(found)


async def test_what_waits_for_a_message_learns_that_there_is_none_any_more(config: ClientConfig) -> None:
    async with Messenger.from_config(config) as me:
        assert await me.connected(15)
        waiting = asyncio.create_task(me.receive())
        done = await account_of(me).delete()
        assert (done["wiped"], noted(config)) == (True, done["deleted"])
        with pytest.raises(NotFoundError, match="was deleted at its relay"):
            await waiting
        with pytest.raises(NotFoundError):
            await account_of(me).export(None)
    with contextlib.closing(Profile.open(config)) as profile:
        assert profile.deletion == done["deleted"]
        assert not profile.is_enrolled
        with pytest.raises(NotFoundError):
            profile.check_speaks()


async def test_a_relay_that_dies_before_its_answer_leaves_it_begun(
    config: ClientConfig, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = AccountAtRelay._ask

    async def dies(account: AccountAtRelay) -> bool:
        relay.kill()
        return await asks(account)

    async with Messenger.from_config(config) as me:
        assert await me.connected(15)
        monkeypatch.setattr(AccountAtRelay, "_ask", dies)
        with pytest.raises(RelayError):
            await account_of(me).delete()
        assert noted(config) == Profile.BEGUN
    monkeypatch.setattr(AccountAtRelay, "_ask", asks)
    relay.start()
    async with Messenger.from_config(config) as me:
        with pytest.raises(NotFoundError, match="Finish it"):
            await me.connected(5)  # it would register otherwise
        assert (await account_of(me).delete())["wiped"] is True


async def test_a_place_that_is_none(config: ClientConfig) -> None:
    async with Messenger.from_config(config) as me:
        with pytest.raises(UsageError):
            await account_of(me).export("AB")  # stray bits


# --- questions -------------------------------------------------------------------------------------------


async def asked(questions: Questions, answer: Exported | Error | None) -> Exported:
    """The outcome of a question that is answered like this."""
    sent: list[ControlMessage] = []

    async def send(message: ControlMessage) -> None:
        assert isinstance(message, Export)
        sent.append(message)
        if answer is None:
            questions.end()
        else:
            assert questions.answered(answer.model_copy(update={"ref": message.ref}))

    questions.begin(send)
    return await questions.export(None)


async def test_answers_and_refusals_reach_who_asked() -> None:
    questions = Questions()
    assert (await asked(questions, Exported(ref=0, records=[]))).records == []
    for code, said in ((ErrorCode.BAD_REQUEST, "older"), (ErrorCode.INTERNAL, "why")):
        with pytest.raises(RelayError, match=said):
            await asked(questions, Error(code=code, message="why", ref=0))
    with pytest.raises(RelayError, match="ended"):
        await asked(questions, None)
    assert not questions.answered(Exported(ref=1, records=[]))
    assert not questions.answered(Error(code=ErrorCode.INTERNAL, message="why"))


async def test_a_relay_that_takes_no_more_for_now_is_asked_again() -> None:
    questions = Questions()
    answers: list[Exported | Error] = [
        Error(code=ErrorCode.RATE_LIMITED, message="later", ref=0, retry_after=0),
        Exported(ref=0, records=[], place=b"x"),
    ]

    async def send(message: ControlMessage) -> None:
        assert isinstance(message, Export)
        questions.answered(answers.pop(0).model_copy(update={"ref": message.ref}))

    questions.begin(send)
    assert (await questions.export(b"x")).place == b"x"
    assert answers == []
