"""What our relay holds of our account, and its deletion there.

Owns the two wishes of an account's owner. A deletion is noted in the profile before the relay is asked:
whatever happens in between, this device never registers again by itself. Knows no terminal.
"""

import asyncio
import os
import time
from typing import Final

from clients.bell import Bell
from clients.connection import dial
from clients.errors import NotFoundError, RelayError, UsageError
from clients.model import Json
from clients.profile import Profile
from clients.receiver import Receiver
from clients.standing import gone
from clients.store.pins import Pins
from clients.tasks import end
from wire.control import Delete, Deleted
from wire.control_values import decode_base64url, encode_base64url
from wire.login import Mode

CONNECTED_WITHIN: Final = 15.0


class AccountAtRelay:
    """That of one profile, while it is connected. `tasks` are all that receive and send for it."""

    def __init__(
        self,
        profile: Profile,
        receiver: Receiver,
        tasks: list[asyncio.Task[None]],
        bell: Bell,
    ) -> None:
        self._profile = profile
        self._receiver = receiver
        self._tasks = tasks
        self._bell = bell

    async def _connected(self) -> None:
        """Wait for the connection, or for what stands in its way, which is raised as RelayError."""
        receiver = self._receiver
        await self._bell.until(lambda: receiver.is_connected or receiver.problem, CONNECTED_WITHIN)
        if not receiver.is_connected:
            raise RelayError(receiver.problem or "The relay does not answer. Try again later.")

    async def export(self, place: str | None) -> Json:
        """A page of records, and where the next one begins. Raises NotFoundError or RelayError."""
        if self._profile.deletion is not None:
            raise NotFoundError(gone(self._profile.deletion))
        await self._connected()
        try:
            behind = None if place is None else decode_base64url(place)
        except ValueError:
            raise UsageError("The call 'export_account': the field 'place' is not one that came.") from None
        page = await self._receiver.questions.export(behind)
        records = [record.model_dump(mode="json", exclude_none=True) for record in page.records]
        return {"records": records, "place": None if page.place is None else encode_base64url(page.place)}

    async def delete(self) -> Json:
        """Delete the account at the relay; returns when, and whether its files hold nothing of it any more.

        Where it is deleted already, nothing is done. Raises RelayError: if the relay could not be reached
        nothing has changed, else the deletion is begun, and asking again finishes it.
        """
        profile = self._profile
        if profile.deletion is not None and profile.deletion != profile.BEGUN:
            return {"deleted": profile.deletion, "wiped": None}
        if profile.deletion is None:
            await self._connected()
            profile.note_deletion(profile.BEGUN)
        await end(*self._tasks)
        try:
            wiped = await self._ask()
        finally:
            # Whoever asks has the answer before others are told, which may end this process.
            asyncio.get_running_loop().call_soon(self._receiver.account_gone)
        return {"deleted": profile.deletion, "wiped": wiped}

    async def _ask(self) -> bool:
        """The deletion itself, on a connection of its own that registers nothing."""
        profile = self._profile
        pinned = Pins(profile.store).get(profile.relay)
        async with dial(profile.relay, Mode.DEVICE, pinned, os.urandom, profile.route) as connection:
            await connection.log_in(profile.device)
            signature = profile.account.sign_deletion(connection.login_hash)
            await connection.send(Delete(ref=1, account_key=profile.account.key, signature=signature))
            deleted = await connection.expect(Deleted)
        profile.note_deletion(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        return deleted.wiped
