"""A line that outlives the process at its other end.

Owns asking again: when the owner of the profile ends, the next one is asked, which may be this process. Only
what may be repeated is repeated; else the caller is told that the line was lost.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from clients.config import ClientConfig
from clients.local.access import Line, access
from clients.local.failures import LineLost
from clients.model import Json

# Asking twice does what asking once does. `send` is among them where it has a key.
_REPEATABLE: Final = frozenset(
    {"me", "contacts", "contact", "safety_number", "verify", "share", "delay", "set_name", "status",
     "history", "read", "flush", "block", "export_account", "delete_account"}
)  # fmt: skip


def may_be_asked_again(lost: LineLost, call: Json) -> bool:
    """Whether the next owner may be asked for what the last one has not answered."""
    is_repeatable = call["call"] in _REPEATABLE or (call["call"] == "send" and call.get("key") is not None)
    return lost.is_unheard or is_repeatable


class LastingLine(Line):
    """Calls to whoever owns the profile now. Has no events: they belong to one owner."""

    def __init__(self, config: ClientConfig, connect: bool) -> None:
        super().__init__()
        self._config = config
        self._connect = connect
        self._stack = contextlib.AsyncExitStack()
        self._line: Line | None = None
        self._moves = asyncio.Lock()

    @property
    def is_owner(self) -> bool:
        """Whether this process owns the profile now."""
        return self._line is not None and self._line.is_owner

    async def open(self) -> None:
        """Find the owner, or become it."""
        self._line = await self._stack.enter_async_context(access(self._config, connect=self._connect))

    async def close(self) -> None:
        """Hang up, or let go of the profile."""
        await self._stack.aclose()

    async def ask(self, ref: int, call: str, arguments: Json) -> Any:
        """The result of a call, from one owner or the next."""
        assert call not in ("watch", "listen", "done"), "events belong to a line of `access`"
        while True:
            line = self._line
            assert line is not None
            try:
                return await line.call(call, **arguments)
            except LineLost as lost:
                if not may_be_asked_again(lost, {**arguments, "call": call}):
                    raise
            async with self._moves:
                if self._line is line:  # else another call has moved it already
                    await self.close()
                    await self.open()


@contextlib.asynccontextmanager
async def lasting_access(config: ClientConfig, *, connect: bool = True) -> AsyncIterator[LastingLine]:
    """As `access`, for calls alone, and lasting beyond the owner of the moment."""
    line = LastingLine(config, connect)
    await line.open()
    try:
        yield line
    finally:
        await line.close()
