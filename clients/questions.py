"""Questions on the device connection whose answers somebody waits for.

Owns which are open, and asking again where the relay's rate wants time. Knows no socket: whoever receives
hands the answers over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from clients.connection import RETRY_AFTER_MAX
from clients.errors import RelayError
from wire.control import ControlMessage, Error, Export, Exported
from wire.errors import ErrorCode

FIRST_REF: Final = 1000  # above those that the receiver uses
ANSWER_WITHIN: Final = 20.0
TRIES: Final = 20  # at the pace that the relay asks for

Send = Callable[[ControlMessage], Awaitable[None]]


class Questions:
    """Those of one device."""

    def __init__(self) -> None:
        self._send: Send | None = None
        self._answers: dict[int, asyncio.Future[Exported]] = {}
        self._ref = FIRST_REF

    def begin(self, send: Send) -> None:
        """There is a connection."""
        self._send = send

    def end(self) -> None:
        """It is gone, and with it what was asked."""
        self._send = None
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(RelayError("The connection to the relay ended. Try again."))

    async def export(self, place: bytes | None) -> Exported:
        """The relay's answer. Raises RelayError."""
        for _ in range(TRIES):
            if self._send is None:
                break
            self._ref += 1
            answer: asyncio.Future[Exported] = asyncio.get_running_loop().create_future()
            self._answers[self._ref] = answer
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    await self._send(Export(ref=self._ref, place=place))
                    return await answer
            except TimeoutError:
                raise RelayError("The relay does not answer.") from None
            except _Later as later:
                await asyncio.sleep(later.seconds)
            finally:
                answer.cancel()
                self._answers.pop(self._ref, None)
        raise RelayError("The connection to the relay ended. Try again.")

    def answered(self, message: Exported | Error) -> bool:
        """Hand an answer over; False if nobody has asked for it."""
        answer = None if message.ref is None else self._answers.get(message.ref)
        if answer is None or answer.done():
            return False
        if isinstance(message, Exported):
            answer.set_result(message)
        elif message.code is ErrorCode.RATE_LIMITED:
            answer.set_exception(_Later(message.retry_after))
        elif message.code is ErrorCode.BAD_REQUEST:
            answer.set_exception(
                RelayError("This relay cannot show what it holds: it is older than this program.")
            )
        else:
            answer.set_exception(RelayError(f"The relay does not show what it holds: {message.message}."))
        return True


class _Later(Exception):
    """The relay's rate wants time."""

    def __init__(self, retry_after: int | None) -> None:
        super().__init__()
        self.seconds = min(float(retry_after or 1), RETRY_AFTER_MAX)
