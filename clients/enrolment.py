"""Which device list this device may register: never one that goes back behind what the account has signed.

Owns the look at the relay before a list is registered there that may not be the newest: after a restore, and
whenever a relay that was met before does not know this device. What counts is what the account has signed,
not what the relay says. Knows nothing of mailboxes.
"""

from typing import Final

from clients import clock
from clients.connection import Disconnected, dial
from clients.errors import REMOVED, RelayError, TrustError
from clients.missed_lists import missed_lists
from clients.profile import Profile
from clients.store.pins import Pins
from clients.store.state import KeyState
from keys.errors import ForkError, VerificationError
from keys.identities import verify_chain, verify_device_list
from keys.primitives import Random, equal
from wire.control import Bundle, Fetch
from wire.device_lists import DeviceList, decode_device_list
from wire.errors import ErrorCode, WireError
from wire.login import Mode

FORKED: Final = (
    "The relay shows a device list of your own account that contradicts the one here. Somebody else may hold "
    "your account's key. Ask your contacts by another way before you go on."
)
UNPROVED: Final = (
    "What the relay shows as the device list of your own account does not hold. Nothing was sent."
)


class TakenOverError(TrustError):
    """Another restore of the same account was quicker."""

    def __init__(self) -> None:
        super().__init__(
            "The account was restored elsewhere at the same time, and goes on there. To use it here instead, "
            "restore the backup again into another profile; the other one ends then."
        )


class Enrolment:
    """One device's place in the list of its account."""

    def __init__(self, profile: Profile, random: Random) -> None:
        self._profile = profile
        self._random = random

    async def list_to_register(self) -> DeviceList:
        """The list to register now, durable before it is returned.

        Raises TrustError if this device is in no list that may be registered, TakenOverError after a restore
        that was too late, RelayError if the relay shows nothing that can be judged.
        """
        profile = self._profile
        try:
            newest = await self._newest_at_relay()
        except ForkError:
            raise (TakenOverError() if self._has_signed() else TrustError(FORKED)) from None
        except (VerificationError, WireError):
            raise RelayError(UNPROVED) from None
        if newest is not None and newest.version > profile.device_list.version:
            profile.keep_list(newest)
        if profile.device_list.entry(profile.device.key) is None:
            if not profile.is_restoring:
                raise TrustError(REMOVED)
            self._sign_successor()
        return profile.device_list

    def taken(self) -> None:
        """The relay holds our list: a restored device speaks for its account from now on."""
        with self._profile.store.transaction() as db:
            db.execute("DELETE FROM meta WHERE name = 'restoring'")

    def _has_signed(self) -> bool:
        """Whether this restored device has signed a list that was not registered yet."""
        profile = self._profile
        return profile.is_restoring and profile.device_list.entry(profile.device.key) is not None

    def _sign_successor(self) -> None:
        """A new version of the list, in which this device is alone: those before it are revoked."""
        profile = self._profile
        entry = profile.device.entry(profile.account.key)
        now = clock.now_seconds()
        profile.keep_list(profile.account.sign_device_list((entry,), now, profile.device_list))

    async def _newest_at_relay(self) -> DeviceList | None:
        """What the relay shows as our own list, if it knows our account: one that follows or precedes ours.

        Raises RelayError, or VerificationError for what is not signed or does not follow.
        """
        profile, pins = self._profile, Pins(self._profile.store)
        own, key = profile.device_list, profile.account.key
        async with dial(
            profile.relay, Mode.SUBMIT, pins.get(profile.relay), self._random, profile.route
        ) as connection:
            await connection.send(Fetch(ref=0, account_key=key, take=False))
            try:
                bundle = await connection.expect(Bundle)
            except Disconnected as error:
                if error.error is not None and error.error.code is ErrorCode.NOT_FOUND:
                    return None
                raise
            between = await missed_lists(connection, own, bundle)
        shown = decode_device_list(bundle.device_list)
        verify_device_list(shown, key)
        if shown.version > own.version:
            verify_chain(own, between, shown)
            for each in between:
                if own.version < each.version < shown.version:
                    profile.keep_list(each)
            return shown
        known = KeyState(profile.store).own_list(shown.version)
        if known is None or not equal(known.hash(), shown.hash()):
            raise ForkError("the relay shows another list than the one that was signed here")
        return shown
