"""The device connection: log in, register, publish, pull, commit, acknowledge; again after every loss.

Owns the task that receives. A frame is acknowledged only after its transaction has committed. Knows nothing
of what messages say.
"""

import asyncio
import contextlib
from typing import Final

from clients import clock
from clients.backoff import Backoff
from clients.bell import Bell
from clients.checkpoints import EVERY, Checkpoints
from clients.connection import RETRY_AFTER_MAX, Disconnected, RelayConnection, dial, takes_no_more
from clients.due import Due
from clients.enrolment import Enrolment
from clients.errors import ClientError, LockedError, NotFoundError, RelayError, StorageError, TrustError
from clients.mailroom import Mailroom
from clients.prekey_stock import PrekeyPage, PrekeyStock
from clients.profile import Profile
from clients.questions import Questions
from clients.senders import Senders
from clients.standing import Standing, gone, is_refusal
from clients.store.pins import Pins
from clients.tasks import until_one_ends
from keys.primitives import Random
from wire.capabilities import token_hash
from wire.control import (
    Acknowledge,
    Allow,
    Allowed,
    AllowedToken,
    Appear,
    Error,
    Exported,
    Publish,
    Published,
    Pull,
    Register,
    Registered,
    Stock,
)
from wire.errors import ErrorCode
from wire.frames import Deliver
from wire.limits import UNACKNOWLEDGED_FRAMES
from wire.login import Mode

TOP_UPS_PER_HOUR: Final = 6  # a relay lets strangers take 60 keys an hour
FRESHEN_EVERY: Final = 6 * 3600.0
LEAVE_WITHIN: Final = 1.0
PUBLISH: Final = 1  # refs
ALLOW: Final = 2
BATCH: Final = 64  # frames committed together


class Receiver:
    """Receives for one profile. `problem` says in a sentence why it is not connected, if it is not."""

    def __init__(
        self,
        profile: Profile,
        mailroom: Mailroom,
        bell: Bell,
        random: Random,
        senders: Senders,
    ) -> None:
        # Static after construction.
        self._profile = profile
        self._mailroom = mailroom
        self._pins = Pins(profile.store)
        self._bell = bell
        self._random = random
        self._senders = senders
        self._stock = PrekeyStock(profile.store, profile.device, random)
        self._stock.rotate(clock.now_seconds())
        # Owned by run.
        self._backoff = Backoff()
        self._page: PrekeyPage = []
        self._page_refused = asyncio.Event()
        self._publish_after = 0.0  # seconds, since then
        self._due = Due()
        self.is_connected = False
        self.problem: str | None = None
        self._is_welcome = False
        self._top_ups: list[float] = []
        self.failure: ClientError | None = None
        self.standing = Standing(profile.store)
        self.questions = Questions()
        self._card_changed = asyncio.Event()
        self._enrolment = Enrolment(profile, random)
        self._checkpoints = Checkpoints(profile.device, profile.store, mailroom, random)

    def card_changed(self) -> None:
        """What contacts hold of us has changed: the relay is to know which tokens it takes from now on."""
        self._card_changed.set()

    async def run(self) -> None:
        """Stay connected until cancelled, or until the relay's key or a newer connection forbids it."""
        loop = asyncio.get_running_loop()
        while self._profile.deletion is None:
            began, wait = loop.time(), 0.0
            try:
                await self._connect_once()
            except TrustError as error:
                self._give_up(error)
                return
            except StorageError as error:
                # Perhaps the relay has shown that this is an old copy, and that could not be written down.
                self._is_down(str(error))
            except RelayError as error:
                self._disconnected(str(error))
                last_word = error.error if isinstance(error, Disconnected) else None
                # Only a relay that has welcomed this device can say so: anybody may answer a dial.
                if self._is_welcome and last_word is not None and last_word.code is ErrorCode.REPLACED:
                    self._give_up(LockedError("This device is connected elsewhere now, and receives there."))
                    return
                if self._is_welcome and last_word is not None and last_word.code is ErrorCode.ACCOUNT_DELETED:
                    # Believed for now only, because no relay can prove it: a later run looks again.
                    self._give_up(
                        NotFoundError("This account was deleted at its relay by another device of it.")
                    )
                    return
                wait = error.retry_after if isinstance(error, Disconnected) else 0.0
            await asyncio.sleep(max(self._backoff.next(loop.time() - began), wait))
        self.account_gone()

    def account_gone(self) -> None:
        """The account is deleted, or about to be: nothing is received any more, and nothing registered."""
        self._give_up(NotFoundError(gone(self._profile.deletion or self._profile.BEGUN)))
        self._judged()

    def _give_up(self, error: ClientError) -> None:
        """The next call of the application raises it; what was not sent by now is not sent."""
        self.failure = error
        self._is_down(str(error))

    def _disconnected(self, problem: str) -> None:
        """The relay cannot be asked now, or not any more."""
        self._is_down(problem)
        self._judged()

    def _is_down(self, problem: str) -> None:
        self.is_connected, self.problem = False, problem
        self._bell.ring()

    def _judged(self) -> None:
        """Whatever is known now of this store's age: senders need not wait for more."""
        self._mailroom.is_judged = True
        self._bell.ring()

    async def _connect_once(self) -> None:
        relay = self._profile.relay
        self._is_welcome = False
        was_met = self._pins.get(relay) is not None
        pinned = self._pins.get(relay)
        async with dial(relay, Mode.DEVICE, pinned, self._random, self._profile.route) as connection:
            welcome = await connection.log_in(self._profile.device)
            self._pins.keep(relay, connection.greeting.relay_key)
            self._is_welcome = True
            self._judge(welcome.checkpoint)
            if not welcome.registered or not self._profile.is_enrolled:
                await self._register(connection, was_met=was_met)
            self.standing.registered()
            self.standing.welcomed(welcome)
            self._judged()
            self._senders.wake_all()
            self._due = Due()
            await self._allow(connection)
            self._page = []
            self._page_refused.clear()
            await self._bring_up(connection, welcome.stock)
            await connection.send(Pull())
            self.questions.begin(connection.send)
            incoming: asyncio.Queue[Deliver] = asyncio.Queue(maxsize=2 * UNACKNOWLEDGED_FRAMES)
            try:
                await until_one_ends(
                    self._read(connection, incoming),
                    self._commit(connection, incoming),
                    self._keep_fresh(connection),
                    self._keep_published(connection),
                    self._keep_answered(),
                    self._keep_allowed(connection),
                    self._keep_checkpoint(connection),
                )
            except asyncio.CancelledError:
                await self._leave(connection)
                raise
            finally:
                self.questions.end()

    def _judge(self, checkpoint: bytes | None) -> None:
        """Begin anew where the relay shows that this store is an old copy: as a whole, or not at all."""
        with self._profile.store.transaction():
            is_old = self._checkpoints.judge(checkpoint)
            if is_old:
                self._stock.begin_anew(clock.now_seconds())
        if is_old:
            self._mailroom.lives.begun_anew()

    async def _leave(self, connection: RelayConnection) -> None:
        """Leave a last checkpoint, if that can be done, so that an old copy can be told from this store."""
        with contextlib.suppress(ClientError, TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN):
                await connection.send(self._checkpoints.make())

    async def _keep_checkpoint(self, connection: RelayConnection) -> None:
        while True:
            await connection.send(self._checkpoints.make())
            await asyncio.sleep(EVERY)

    async def _register(self, connection: RelayConnection, *, was_met: bool) -> None:
        """Open our mailbox. A relay that was met before may hold a newer list, which stands."""
        devices = self._profile.device_list
        if was_met or not self._profile.is_enrolled:
            devices = await self._enrolment.list_to_register()
        self._stock.publish_again()
        invite = self.standing.invite
        await connection.send(Register(ref=0, device_list=devices.encode(), invite=invite))
        try:
            await connection.expect(Registered)
        except Disconnected as error:
            if error.error is None or not is_refusal(error.error):
                raise
            raise Disconnected(self.standing.refused(error.error), error.error) from None
        if self._profile.is_restoring:
            self._enrolment.taken()
            self._senders.wake_all()

    async def _read(self, connection: RelayConnection, incoming: asyncio.Queue[Deliver]) -> None:
        while True:
            message = await connection.receive()
            match message:
                case Deliver():
                    await incoming.put(message)
                case Stock():
                    await self._bring_up(connection, message)
                case Published():
                    self._due.answered(PUBLISH)
                    self._stock.mark_published(self._page)
                    self._page = []
                    await self._publish(connection)
                case Error() if message.code is ErrorCode.BAD_PREKEY and self._page:
                    # The relay has others under these ids: our store is older than it can know.
                    self._stock.skip_ahead(clock.now_seconds())
                    raise Disconnected(message.message, message)
                case Error() if message.code is ErrorCode.RATE_LIMITED and message.ref == PUBLISH:
                    self._publish_after = min(float(message.retry_after or 0), RETRY_AFTER_MAX)
                    self._due.answered(PUBLISH)
                    self._page_refused.set()
                case Allowed():
                    self._due.answered(ALLOW)
                case Exported() | Error() if self.questions.answered(message):
                    pass
                case Error() if message.ref is not None:
                    raise Disconnected(message.message, message)
                case _:
                    pass  # the last words of a relay that is closing are kept by the connection

    async def _keep_published(self, connection: RelayConnection) -> None:
        """A page that the relay does not take for its rate goes out again when it does, and none before."""
        while True:
            await self._page_refused.wait()
            self._page_refused.clear()
            if not self.is_connected:
                self._is_down(takes_no_more(self._publish_after))
            await asyncio.sleep(max(self._publish_after, self._backoff.next()))
            self._page = []
            await self._publish(connection)

    async def _keep_answered(self) -> None:
        """Say so of a relay that takes our keys or tokens and never answers: others need them to reach us."""
        await self._due.overdue()
        raise RelayError("The relay does not answer.")

    async def _allow(self, connection: RelayConnection) -> None:
        """Tell the relay which delivery tokens hold, and by what those who may can see us online."""
        self._card_changed.clear()
        cards, now = self._mailroom.cards, clock.now_seconds()
        tokens = [AllowedToken(hash=token_hash(token), until=until) for token, until in cards.allowed(now)]
        self._due.asked(ALLOW)
        await connection.send(Allow(ref=ALLOW, tokens=tokens))
        # Shown in any case: whoever may not see us holds no capability of this secret.
        await connection.send(Appear(secrets=[cards.presence_secret(now)]))

    async def _keep_allowed(self, connection: RelayConnection) -> None:
        while True:
            await self._card_changed.wait()
            await self._allow(connection)

    async def _keep_fresh(self, connection: RelayConnection) -> None:
        """A client may stay connected for months: its prekeys change all the same."""
        while True:
            self._mailroom.tidy()
            await asyncio.sleep(FRESHEN_EVERY)
            self._stock.rotate(clock.now_seconds())
            await self._publish(connection)

    async def _bring_up(self, connection: RelayConnection, stock: Stock) -> None:
        self._stock.rotate(clock.now_seconds())
        now = asyncio.get_running_loop().time()
        # A relay that reports an empty stock again and again does not make this device work without end.
        self._top_ups = [at for at in self._top_ups if at > now - 3600]
        if len(self._top_ups) < TOP_UPS_PER_HOUR and self._stock.top_up(stock, clock.now_seconds()):
            self._top_ups.append(now)
        await self._publish(connection)

    async def _publish(self, connection: RelayConnection) -> None:
        """Send one page at a time; the answer to it calls this again until everything is published."""
        if self._page:
            return
        self._page = self._stock.unpublished()
        if self._page:
            anew = True if self._stock.is_anew else None
            pages = [encoded for _, _, encoded in self._page]
            self._due.asked(PUBLISH)
            await connection.send(Publish(ref=PUBLISH, prekeys=pages, anew=anew))
        elif not self.is_connected:
            self.is_connected, self.problem = True, None
            self._bell.ring()

    async def _commit(self, connection: RelayConnection, incoming: asyncio.Queue[Deliver]) -> None:
        batch: list[Deliver] = []
        while True:
            if not batch:
                batch.append(await incoming.get())
            while len(batch) < BATCH and not incoming.empty():
                batch.append(incoming.get_nowait())
            count = self._mailroom.take_in(batch)
            through = batch[count - 1].sequence
            del batch[:count]
            self._backoff.reset()
            if self._checkpoints.is_time:
                await connection.send(self._checkpoints.make())
            await connection.send(Acknowledge(through=through))
            await asyncio.sleep(0)  # sending may not have waited: let the others have their turn
            self._senders.owed.due()  # perhaps there is a receipt to be written
            self._bell.ring()
