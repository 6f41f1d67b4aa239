"""A conversation that is kept up: what is typed goes out, what happens comes in, whoever owns the profile.

Owns the line to the profile and its tasks: one follows the events, one carries out the errands, one says when
somebody types. If the process that owned the profile ends, the line is opened again, and
this one may become the owner. Knows no terminal: a face of it (`screen`, `plain`) is told when to look again.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Any, Final

from clients.chat.conversation import KEPT_MAX, Change, Conversation, Entry, Json
from clients.chat.errands import Errands, Reopen
from clients.chat.notice import Notice
from clients.chat.profile_line import Line, OpenLine, all_contacts, last_messages
from clients.chat.typist import Typist
from clients.cli.output import typed
from clients.errors import ClientError, NotFoundError
from clients.local.failures import LineLost
from clients.tasks import until_one_ends

LOADED: Final = 200  # messages of the history at first, and at each step back
WATCHED_MAX: Final = 6  # conversations that one line watches, besides everybody's state; the profile allows 8
TRY_AGAIN: Final = 1.0  # seconds between two tries to get at the profile
LAST_WORDS: Final = 2.0  # seconds to send what was written just before leaving
SEND_PATIENCE: Final = 5.0  # seconds that a full outbox is given


class Talk:
    """One conversation at a time with the people of one profile.

    `changed` is called whenever there is something else to see; `heard` for each new message.
    """

    def __init__(
        self,
        open_line: OpenLine,
        name: str,
        *,
        changed: Callable[[], None] = lambda: None,
        heard: Callable[[Entry], None] = lambda entry: None,
    ) -> None:
        self._open_line = open_line
        self._changed = changed
        self._heard = heard
        self._errands = Errands(self._refused, changed)
        self._typist = Typist(self._may_see_typing)
        self._notice = Notice(changed)
        self._watched: dict[str, bool] = {}  # what this line watches; False: who had that name has not now
        self._heading: object | None = None  # the conversation that is being turned to
        self._looks = False  # whether a job that looks at everything waits
        self._reads = False  # whether a job that says "read" waits
        self.conversation = Conversation(name)
        self.person: Json | None = None  # the contact as JSON; None until it is known, or when it is gone
        self.others: dict[str, Json] = {}
        self.is_loaded = False
        self.connected = False
        self.was_connected = False
        self.problems: list[str] = []
        self.held = 0
        self.is_looked_at = False  # a person sees the end of the conversation now

    # --- what it is like ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Whom we talk to."""
        return self.conversation.name

    @property
    def is_switching(self) -> bool:
        """Another conversation is about to be here: whatever is typed now may be meant for it."""
        return self._heading is not None

    def _is(self, status: str) -> bool:
        return self.person is not None and self.person.get("status") == status

    @property
    def is_request(self) -> bool:
        """A stranger wrote to us: nothing automatic happens for it."""
        return self._is("request")

    @property
    def is_approved(self) -> bool:
        """A contact of ours."""
        return self._is("approved")

    @property
    def unread(self) -> int:
        """How many messages there are that nobody has read, as the profile says."""
        count = self.person.get("unread") if self.person else None
        return count if isinstance(count, int) else 0

    @property
    def alarm(self) -> str | None:
        """Why nothing may be sent, in a sentence."""
        said = self.person.get("alarm") if self.person else None
        return str(said) if said else None

    # --- the line -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep it up until it is cancelled. Raises ClientError where the profile cannot be had at all."""
        was_open = False
        try:
            while True:
                try:
                    async with self._open_line() as line:
                        if was_open:
                            self.say_for_a_moment("Took over the profile: the process that had it has ended.")
                        was_open = True
                        await self._serve(line)
                except LineLost:
                    self._interrupted("The process that had the profile has ended; getting it back ...")
                except Reopen:
                    was_open = False
                except ClientError as error:
                    if not self.is_loaded:
                        raise
                    self._interrupted(str(error))
                    await asyncio.sleep(TRY_AGAIN)
        finally:
            self._notice.end()

    def _interrupted(self, notice: str) -> None:
        self.connected = False
        self.say_for_a_moment(notice)

    async def _serve(self, line: Line) -> None:
        await self._begin(line)
        await until_one_ends(self._follow(line), self._errands.run(line), self._typist.run(line))
        raise LineLost

    async def _begin(self, line: Line) -> None:
        """Watch first and look then, so that nothing falls in between."""
        self._watched.clear()
        await line.call("watch", messages=False)
        await self._look(line)

    async def _look(self, line: Line) -> None:
        """Everything as it is now."""
        talk = self.conversation
        contacts = await all_contacts(line)
        self.others = {str(contact["name"]): contact for contact in contacts}
        self._find(contacts)
        if self.person is None:
            self._watched.update({name: False for name in (talk.name,) if name in self._watched})
        else:
            await self._watch(line)
            new = max(0, self.unread - talk.unseen)
            await self._load(line, talk, min(KEPT_MAX, max(LOADED, len(talk) + new)))
        self.is_loaded = True
        self._changed()

    def _find(self, contacts: list[Json]) -> None:
        """Whom we talk to, by the address: other commands may give names to others."""
        same = [contact for contact in contacts if self._is_same(contact)]
        named = self.others.get(self.name)
        self.person = same[0] if same else named
        if self.person is not None:
            self.conversation.name = str(self.person["name"])
            self.others.pop(self.name, None)

    def _is_same(self, contact: Json) -> bool:
        """Whether this is whom we talk to, whatever it is called now."""
        return self.person is not None and contact["address"] == self.person["address"]

    async def _watch(self, line: Line) -> None:
        if self._watched.get(self.name):
            return
        if len(self._watched) >= WATCHED_MAX and self.name not in self._watched:
            raise Reopen
        with contextlib.suppress(NotFoundError):  # gone meanwhile: an event says so
            await line.call("watch", name=self.name)
            self._watched[self.name] = True

    async def _load(self, line: Line, talk: Conversation, count: int) -> None:
        messages, talk.has_all = await last_messages(line, talk.name, count)
        talk.load(messages, is_looked_at=self.is_looked_at and self.is_approved)

    async def _follow(self, line: Line) -> None:
        async for event in line.events():
            match event.get("event"):
                case "message":
                    self._take_message(event["message"])
                case "contact":
                    self._take_contact(event["contact"])
                case "state":
                    self.connected = bool(event["connected"])
                    self.was_connected = self.was_connected or self.connected
                    self.problems = [str(problem) for problem in event["problems"]]
                    self.held = int(event["held"])
                case _:  # contact_gone, resync, and whatever a later version says
                    self._look_again()
            self._changed()

    def _take_message(self, message: Json) -> None:
        if message.get("contact") != self.name:
            return
        change = self.conversation.apply(message, is_looked_at=self.is_looked_at and self.is_approved)
        if change is Change.ORDER:
            self._look_again()
        elif change is Change.NEW:
            if message.get("direction") == "in" and self.person is not None:
                self.person = {**self.person, "typing": False}  # it has been written
            self._heard(Entry.parse(message))

    def _take_contact(self, contact: Json) -> None:
        name = str(contact["name"])
        if self._is_same(contact) or (name == self.name and self.person is None):
            is_back, self.person = self.person is None, contact
            self.conversation.name = name
            self.others.pop(name, None)
            if is_back:
                self._look_again()
            return
        if name == self.name:
            self._look_again()  # another account under this name
            return
        for other, known in list(self.others.items()):
            if known["address"] == contact["address"] and other != name:
                del self.others[other]
        if name not in self.others and contact.get("status") == "request":
            self.say_for_a_moment(f"A request from {name}: /switch {name}")
        self.others[name] = contact

    def _look_again(self) -> None:
        """Look at everything, later and once."""

        async def errand(line: Line) -> None:
            self._looks = False
            await self._look(line)

        if not self._looks:
            self._looks = True
            self._errands.add_always(errand)

    # --- errands --------------------------------------------------------------------------------------

    def _refused(self, why: str) -> None:
        self.conversation.note(why, is_trouble=True)

    def ask(self, call: str, then: Callable[[Any], None] = lambda result: None, /, **arguments: Any) -> None:
        """Make a call, later; `then` gets the result. An error is said in the pane. Raises Busy."""

        async def errand(line: Line) -> None:
            then(await line.call(call, **arguments))

        self._errands.add(errand)

    async def answer(self, call: str, /, **arguments: Any) -> Any:
        """The result of a call, made in its turn. Raises ClientError."""
        return await self._errands.answer(call, arguments)

    # --- writing --------------------------------------------------------------------------------------

    def send(
        self,
        text: str,
        reply_to: str | None = None,
        *,
        refused: Callable[[str], None] = lambda why: None,
    ) -> None:
        """Queue a text; `refused` gets the sentence if it is not taken. Raises Busy.

        Not called where another conversation is here by then: there, the text would go to somebody else.
        """
        talk, key = self.conversation, secrets.token_hex(16)  # the same key again sends nothing twice
        reply = {} if reply_to is None else {"reply_to": reply_to}

        async def errand(line: Line) -> None:
            try:
                await line.call("send", to=talk.name, text=text, key=key, timeout=SEND_PATIENCE, **reply)
            except LineLost:
                raise
            except ClientError as error:
                if talk is not self.conversation or self.is_switching:
                    raise ClientError(f"Not sent to {talk.name}: {error} Up brings the text back.") from None
                refused(str(error))
                raise

        self._errands.add(errand)

    def typed(self, *, has_text: bool) -> None:
        """The line being written has changed."""
        self._typist.typed(has_text=has_text)

    def _may_see_typing(self) -> str | None:
        return self.name if self.is_approved and not self.alarm else None

    # --- reading --------------------------------------------------------------------------------------

    def look(self, *, is_looked_at: bool) -> None:
        """Whether a person sees the end of the conversation; then what is there counts as read."""
        self.is_looked_at = is_looked_at
        if not is_looked_at and self.is_approved:
            self.conversation.divide()
        is_news = self.is_approved and self.conversation.has_unseen
        if not is_looked_at or not is_news or self._reads or self._errands.is_full:
            return
        talk = self.conversation
        newest = next(entry for entry in reversed(talk.entries) if not entry.outgoing)

        async def errand(line: Line) -> None:
            self._reads = False
            talk.mark_seen(newest.key)
            with contextlib.suppress(NotFoundError):  # what was read is gone
                await line.call("read", name=talk.name, through=newest.id)
            self._changed()  # more may have been seen meanwhile

        self._reads = True
        self._errands.add(errand)

    def renamed(self, contact: Json) -> None:
        """What is known of the one we talk to, after it was accepted, blocked or verified."""
        self.conversation.name = str(contact["name"])
        self.person = contact
        self._errands.add(self._look)

    def load_older(self) -> None:
        """Get more of the history, above what is there."""
        talk = self.conversation
        if talk.is_full and not talk.has_all:
            self.say_for_a_moment(f"Older ones are in: blindpost history {typed(self.name)}")
        if talk.has_all or talk.is_full or talk.oldest is None or self._errands.is_full:
            return

        async def errand(line: Line) -> None:
            page = await line.call("history", name=talk.name, limit=LOADED, before=talk.oldest)
            talk.has_all = not talk.load_older(page)

        self._errands.add(errand)

    def load_last(self, count: int) -> None:
        """Have the last `count` messages here. Raises Busy."""
        talk = self.conversation

        async def errand(line: Line) -> None:
            if len(talk) < count:
                await self._load(line, talk, count)
            whole = "" if not talk.has_all else ", which are all there are"
            talk.note(f"The last {len(talk)} messages are here{whole}. PageUp scrolls.")

        self._errands.add(errand)

    def switch(self, name: str) -> None:
        """Turn to another conversation. Raises Busy."""
        heading = object()

        async def errand(line: Line) -> None:
            try:
                contact = await line.call("contact", name=name)
            except LineLost:
                raise
            except ClientError:
                self._arrived(heading)
                raise
            await self._typist.stop(line, self.name)
            self.conversation = Conversation(str(contact["name"]))
            self.person = contact
            self._reads = False
            self._arrived(heading)
            await self._look(line)

        self._errands.add(errand)
        self._heading = heading

    def _arrived(self, heading: object) -> None:
        if self._heading is heading:
            self._heading = None

    @property
    def waiting(self) -> int:
        """How many messages of this conversation the relay has not got."""
        return sum(entry.status == "queued" for entry in self.conversation.entries)

    async def finish(self) -> None:
        """What was written last goes out, if the relay is there; a moment at most."""
        was_typing = self._typist.stopped()
        if not self.connected or not (len(self._errands) or self.waiting or was_typing):
            return
        with contextlib.suppress(ClientError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS + 1):
                if was_typing:
                    await self.answer("typing", name=self.name, on=False)
                await self.answer("flush", timeout=LAST_WORDS)

    # --- words ----------------------------------------------------------------------------------------

    @property
    def notice(self) -> str:
        """What is shown for a moment, empty for nothing."""
        return self._notice.words

    def say_for_a_moment(self, words: str) -> None:
        """Show a sentence for some seconds."""
        self._notice.say(words)
