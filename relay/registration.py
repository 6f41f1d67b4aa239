"""Who may register an account that is new to this relay: everybody, whoever has an invite, who is listed.

Owns the three modes, the sentence of each refusal and the allow-list's file. Spends no invite: the store
does, in the transaction that registers. An account that is known here needs none of it, whatever the mode.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Final

from relay.complaints import OperatorError, reason
from relay.config import RegistrationMode
from relay.logs import LOGGER
from relay.store.base import ANYBODY, Terms
from wire.addresses import Address
from wire.errors import WireError

LIST_BYTES: Final = 4 * 1024 * 1024  # some 50,000 addresses

_NO_INVITE: Final = "this relay wants an invite; ask its operator for one"
# One sentence whatever is wrong with it: nobody learns of an invite whether it was used.
_BAD_INVITE: Final = "this invite does not hold, or no longer; ask the relay's operator for another one"
_NOT_LISTED: Final = "this relay takes whom its operator has listed; give the operator your address"

log = logging.getLogger(LOGGER)


class AllowListError(OperatorError):
    """The allow-list cannot be used; the text is one sentence for the operator."""


def read_allow_list(path: Path) -> frozenset[bytes]:
    """The account keys of a file with one address to a line, `#` before a comment. Raises AllowListError."""
    try:
        with path.open("rb") as file:
            data = file.read(LIST_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise AllowListError(
            f"allow_list {path} cannot be read: {reason(error)}; name a text file"
        ) from error
    except UnicodeDecodeError as error:
        raise AllowListError(f"allow_list {path} is not UTF-8 text; save it as UTF-8") from error
    if len(data) > LIST_BYTES:
        raise AllowListError(f"allow_list {path} is over {LIST_BYTES:,} bytes; use invites instead")
    keys = set()
    for number, line in enumerate(text.splitlines(), 1):
        address = line.partition("#")[0].strip()
        if address:
            try:
                keys.add(Address.parse(address).account_key)
            except WireError as error:
                raise AllowListError(f"allow_list {path}, line {number}: {error}") from error
    return frozenset(keys)


class AllowList:
    """The file, read again when it has changed: an operator edits it, and nothing has to be told so.

    While it cannot be used, what it said before counts, and the log says why.
    """

    def __init__(self, path: Path) -> None:
        """Raises AllowListError."""
        self._path = path
        self._reading = asyncio.Lock()
        self._seen = self._look()
        self._keys = read_allow_list(path)

    async def holds(self, account_key: bytes) -> bool:
        """Whether the account stands in it now."""
        async with self._reading:
            await asyncio.to_thread(self._refresh)
        return account_key in self._keys

    def _look(self) -> tuple[int, int, int] | None:
        """What changes with the file, an editor's replacement of it included."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _refresh(self) -> None:
        seen = self._look()  # before reading: what changes in between is read next time
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys = read_allow_list(self._path)
        except AllowListError as error:
            log.error("the list before stays in force: %s", error)


class Registration:
    """The terms of this relay."""

    def __init__(self, mode: RegistrationMode, allow_list: Path | None) -> None:
        """Raises AllowListError."""
        self._mode = mode
        self._allow_list = None if allow_list is None else AllowList(allow_list)

    async def terms(self, account_key: bytes, invite_hash: bytes | None, now: int) -> Terms:
        """On what terms this account comes in, if it is new. `now`: Unix seconds."""
        if self._mode == "open":
            return ANYBODY
        if self._mode == "invite":
            return Terms(_NO_INVITE if invite_hash is None else _BAD_INVITE, invite_hash, now)
        assert self._allow_list is not None
        return (
            ANYBODY if await self._allow_list.holds(account_key) else Terms(_NOT_LISTED, field="device_list")
        )
