"""A conversation that is kept up, on a line that says what a test wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from clients.chat import talk as talk_module
from clients.chat.conversation import KEPT_MAX
from clients.chat.errands import ERRANDS_MAX, Busy
from clients.chat.talk import LOADED, WATCHED_MAX, Talk
from clients.errors import LockedError, NotFoundError, TrustError
from clients.local.failures import LineLost
from clients.tasks import end
from tests.clients.chat.lines import WrittenLine, message, person

WITHIN = 10.0


class Kept:
    """A talk that runs, with a bell for each change."""

    def __init__(self, line: WrittenLine, name: str = "bob") -> None:
        self.line = line
        self._changed = asyncio.Event()
        self.talk = Talk(line.open, name, changed=self._changed.set)
        self.task = asyncio.create_task(self.talk.run())

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until a condition holds; looked at after each change and call."""
        async with asyncio.timeout(WITHIN):
            while not holds():
                waits = [asyncio.create_task(event.wait()) for event in (self._changed, self.line.called)]
                await asyncio.wait([*waits, self.task], return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
                if self.task.done():
                    self.task.result()
                self._changed.clear()
                self.line.called.clear()

    @property
    def texts(self) -> list[str]:
        return [entry.text for entry in self.talk.conversation.entries]

    @property
    def notes(self) -> list[str]:
        talk = self.talk.conversation
        keys = ["", *(entry.key for entry in talk.entries)]
        return [line for key in keys for note in talk.notes_below(key) for line in note.lines]


@contextlib.asynccontextmanager
async def kept(line: WrittenLine, name: str = "bob") -> AsyncIterator[Kept]:
    made = Kept(line, name)
    try:
        await made.until(lambda: made.talk.is_loaded)
        yield made
    finally:
        await end(made.task)


async def test_it_watches_before_it_looks_and_shows_the_history() -> None:
    line = WrittenLine(messages=[message(1, "a"), message(2, "b", out=True)])
    async with kept(line) as made:
        assert made.texts == ["a", "b"]
        calls = [name for name, _ in line.calls]
        assert calls.index("watch") < calls.index("contacts") < calls.index("history")
        assert {"name": "bob"} in line.named("watch")


async def test_a_long_history_comes_in_pages() -> None:
    line = WrittenLine(messages=[message(number, str(number)) for number in range(500)])
    async with kept(line) as made:
        assert made.texts == [str(number) for number in range(300, 500)]
        made.talk.load_older()
        await made.until(lambda: len(made.texts) == 400)
        made.talk.load_last(450)
        await made.until(lambda: len(made.texts) == 450)
        for _ in range(3):
            made.talk.load_older()
        await made.until(lambda: made.talk.conversation.has_all)
        assert made.texts[0] == "0"


async def test_what_is_written_is_sent_in_order_with_a_key_each() -> None:
    line = WrittenLine()
    async with kept(line) as made:
        for number in range(5):
            made.talk.send(str(number), f"{7:032x}" if number == 3 else None)
        await made.until(lambda: len(made.texts) == 5)
        sent = line.named("send")
        assert [call["text"] for call in sent] == ["0", "1", "2", "3", "4"]
        assert len({call["key"] for call in sent}) == 5
        assert [call.get("reply_to") for call in sent] == [None, None, None, f"{7:032x}", None]


async def test_a_refused_text_is_given_back_with_the_sentence_in_the_pane() -> None:
    line = WrittenLine()
    line.errors["send"] = TrustError("The device list is no successor.")
    async with kept(line) as made:
        back: list[str] = []
        made.talk.send("precious", refused=back.append)
        await made.until(lambda: made.notes)
        assert back == made.notes == ["The device list is no successor."]


async def test_the_new_owner_gets_what_the_old_one_may_not_have_got_under_the_same_key() -> None:
    line = WrittenLine()
    async with kept(line) as made:
        line.errors["send"] = LineLost()
        made.talk.send("once")
        await made.until(lambda: line.opened > 1)
        assert "Took over" in made.talk.notice or "getting it back" in made.talk.notice
        del line.errors["send"]
        await made.until(lambda: made.texts == ["once"])
        assert len({call["key"] for call in line.named("send")}) == 1


async def test_a_lost_line_is_opened_again_and_shown() -> None:
    line = WrittenLine()
    async with kept(line) as made:
        line.messages.append(message(1, "written meanwhile"))
        line.lose()
        await made.until(lambda: made.texts == ["written meanwhile"])
        assert line.opened == 2
        assert "Took over the profile" in made.talk.notice


async def test_a_profile_that_is_not_there_ends_it_and_one_that_is_busy_later_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = WrittenLine()
    line.errors["watch"] = LockedError("In use.")
    made = Kept(line)
    with pytest.raises(LockedError):
        await made.task
    monkeypatch.setattr(talk_module, "TRY_AGAIN", 0)
    del line.errors["watch"]
    async with kept(line) as later:
        line.errors["watch"] = LockedError("In use.")
        line.lose()
        await later.until(lambda: later.talk.notice == "In use.")
        assert not later.talk.connected
        del line.errors["watch"]
        await later.until(lambda: "Took over" in later.talk.notice)


async def test_read_is_said_once_for_what_is_looked_at_and_for_nobody_else() -> None:
    line = WrittenLine(messages=[message(1, "a", seen=False)])
    async with kept(line) as made:
        made.talk.look(is_looked_at=False)
        made.talk.send("marker")
        await made.until(lambda: line.named("send"))
        assert line.named("read") == []
        for _ in range(3):
            made.talk.look(is_looked_at=True)
        await made.until(lambda: line.named("read"))
        made.talk.look(is_looked_at=True)
        made.talk.send("marker")
        await made.until(lambda: len(line.named("send")) == 2)
        assert line.named("read") == [{"name": "bob", "through": f"{1:032x}"}]


async def test_nothing_automatic_is_said_to_a_request() -> None:
    line = WrittenLine(person(status="request"), messages=[message(1, "hi", seen=False)])
    async with kept(line) as made:
        made.talk.look(is_looked_at=True)
        made.talk.typed(has_text=True)
        made.talk.ask("me")
        await made.until(lambda: line.named("me"))
        assert not line.named("read")
        assert not line.named("typing")


async def test_nobody_is_told_that_somebody_types_what_cannot_be_sent() -> None:
    line = WrittenLine(person(alarm="no successor"))
    async with kept(line) as made:
        made.talk.typed(has_text=True)
        for call in ("me", "flush", "me"):  # as many turns of the loop as a call takes
            made.talk.ask(call)
        await made.until(lambda: len(line.named("me")) == 2)
        assert not line.named("typing")


async def test_typing_is_said_and_taken_back() -> None:
    line = WrittenLine()
    async with kept(line) as made:
        made.talk.typed(has_text=True)
        made.talk.typed(has_text=True)
        await made.until(lambda: line.named("typing"))
        made.talk.typed(has_text=False)
        await made.until(lambda: len(line.named("typing")) == 2)
        assert line.named("typing") == [{"name": "bob", "on": True}, {"name": "bob", "on": False}]


async def test_whoever_has_written_types_no_more() -> None:
    line = WrittenLine(person(typing=True))
    async with kept(line) as made:
        line.tell(message(1, "done"))
        await made.until(lambda: made.texts == ["done"])
        assert made.talk.person is not None
        assert made.talk.person["typing"] is False


async def test_a_late_message_takes_the_place_that_the_history_gives_it() -> None:
    line = WrittenLine(messages=[message(1, "a"), message(3, "c")])
    async with kept(line) as made:
        late = message(2, "b", late=True)
        line.messages.insert(1, late)
        line.say(event="message", message=late)
        await made.until(lambda: made.texts == ["a", "b", "c"])


async def test_others_who_write_are_noticed_and_can_be_switched_to() -> None:
    line = WrittenLine(person(), person("carol"), messages=[message(1, "for carol", contact="carol")])
    async with kept(line) as made:
        line.say(event="message", message=message(5, "not here", contact="carol"))
        line.say(event="contact", contact=person("carol", unread=2))
        await made.until(lambda: made.talk.others["carol"]["unread"] == 2)
        assert made.texts == []
        made.talk.switch("carol")
        await made.until(lambda: made.texts == ["for carol"])
        assert set(made.talk.others) == {"bob"}
        made.talk.switch("nobody")
        await made.until(lambda: made.notes)
        assert made.talk.name == "carol"


async def test_a_request_is_announced() -> None:
    async with kept(line := WrittenLine()) as made:
        line.say(event="contact", contact=person("request-abc", status="request"))
        await made.until(lambda: "request-abc" in made.talk.others)
        assert "/switch request-abc" in made.talk.notice


async def test_one_line_watches_so_many_conversations_and_then_another_is_opened() -> None:
    names = [f"friend{number}" for number in range(WATCHED_MAX + 2)]
    line = WrittenLine(*(person(name) for name in ["bob", *names]))
    async with kept(line) as made:
        for name in names:
            made.talk.switch(name)
        await made.until(lambda: made.talk.name == names[-1] and made.talk.person is not None)
        assert line.opened == 2


async def test_a_contact_that_is_removed_meanwhile_is_no_exception() -> None:
    line = WrittenLine(messages=[message(1, "a")])
    async with kept(line) as made:
        del line.people["bob"]
        line.errors["history"] = NotFoundError("No contact.")
        line.say(event="contact_gone", name="bob")
        await made.until(lambda: made.talk.person is None)
        assert made.texts == ["a"]


async def test_too_much_at_once_is_refused_and_not_kept() -> None:
    line = WrittenLine()
    talk = Talk(line.open, "bob")
    for _ in range(ERRANDS_MAX):
        talk.ask("me")
    with pytest.raises(Busy):
        talk.ask("me")


async def test_an_error_of_a_command_stands_in_the_pane_and_the_next_one_is_done() -> None:
    line = WrittenLine()
    line.errors["verify"] = TrustError("These digits are not equal.")
    async with kept(line) as made:
        made.talk.ask("verify", name="bob", text="1")
        made.talk.send("next")
        await made.until(lambda: made.texts == ["next"])
        assert made.notes == ["These digits are not equal."]


async def test_what_is_not_taken_is_given_back_in_its_own_conversation_only() -> None:
    line = WrittenLine(person(), person("carol"))
    line.errors["send"] = TrustError("The device list is no successor.")
    async with kept(line) as made:
        back: list[str] = []
        made.talk.send("for bob only", refused=back.append)
        made.talk.switch("carol")
        was_switching = made.talk.is_switching
        assert was_switching
        await made.until(lambda: made.talk.name == "carol" and line.named("send"))
        assert back == []
        assert not made.talk.is_switching
        made.talk.switch("nobody")
        await made.until(lambda: made.notes)
        assert not made.talk.is_switching


async def test_read_is_said_up_to_what_was_seen() -> None:
    line = WrittenLine(messages=[message(1, "a", seen=False)])
    async with kept(line) as made:
        made.talk.look(is_looked_at=True)
        line.messages.append(message(2, "not here yet", seen=False))
        made.talk.conversation.apply(
            line.messages[-1], is_looked_at=False
        )  # before the errand is carried out
        await made.until(lambda: line.named("read"))
        assert line.named("read") == [{"name": "bob", "through": f"{1:032x}"}]
        assert made.talk.conversation.unseen == 1


async def test_whoever_is_renamed_is_talked_to_on() -> None:
    line = WrittenLine(person(), person("carol"), messages=[message(1, "a")])
    async with kept(line) as made:
        line.people["robert"] = {**line.people.pop("bob"), "name": "robert"}
        line.say(event="contact", contact=line.people["robert"])
        await made.until(lambda: made.talk.name == "robert")
        assert made.talk.is_approved
        line.tell(message(2, "still here", contact="robert"))
        await made.until(lambda: made.texts[-1:] == ["still here"])
        made.talk.send("hello")
        await made.until(lambda: line.named("send"))
        assert line.named("send")[0]["to"] == "robert"
        assert set(made.talk.others) == {"carol"}


async def test_whoever_is_renamed_while_the_line_is_lost_is_found_by_the_address_and_not_by_the_name() -> (
    None
):
    line = WrittenLine(person(), person("carol"), messages=[message(1, "a", contact="robert")])
    async with kept(line) as made:
        line.people["robert"] = {**line.people.pop("bob"), "name": "robert"}
        line.people["bob"] = {**line.people.pop("carol"), "name": "bob"}
        line.lose()
        await made.until(lambda: made.texts == ["a"])
        assert made.talk.name == "robert"
        assert line.named("watch")[-1] == {"name": "robert"}
        assert set(made.talk.others) == {"bob"}


async def test_somebody_else_who_is_renamed_stands_among_the_others_once() -> None:
    line = WrittenLine(person(), person("carol"))
    async with kept(line) as made:
        line.say(event="contact", contact={**person("carol"), "name": "caroline"})
        await made.until(lambda: "caroline" in made.talk.others)
        assert set(made.talk.others) == {"caroline"}


async def test_another_account_under_the_name_is_looked_at_anew() -> None:
    async with kept(line := WrittenLine()) as made:
        line.people["bob"] = person(address="bp1another")
        line.say(event="contact", contact=line.people["bob"])
        await made.until(lambda: made.talk.person == line.people["bob"])


async def test_whoever_was_removed_and_is_added_again_is_watched_again() -> None:
    line = WrittenLine()
    async with kept(line) as made:
        bob = line.people.pop("bob")
        line.say(event="resync")
        await made.until(lambda: made.talk.person is None)
        line.people["bob"] = bob
        line.say(event="contact", contact=bob)
        await made.until(lambda: len([call for call in line.named("watch") if "name" in call]) == 2)
        assert made.talk.is_approved


async def test_all_that_is_unread_is_loaded() -> None:
    messages = [message(number, str(number), seen=number < 100) for number in range(LOADED + 300)]
    async with kept(WrittenLine(person(unread=LOADED + 200), messages=messages)) as made:
        assert len(made.texts) == LOADED + 200
        assert made.talk.conversation.first_new == f"in {100:032x}"


async def test_whoever_leaves_types_no_more() -> None:
    line = WrittenLine(person(), person("carol"))
    async with kept(line) as made:
        await made.until(lambda: made.talk.connected)
        made.talk.typed(has_text=True)
        await made.until(lambda: line.named("typing"))
        made.talk.switch("carol")
        await made.until(lambda: made.talk.name == "carol" and made.talk.person)
        assert line.named("typing")[1:] == [{"name": "bob", "on": False}]
        made.talk.typed(has_text=True)
        await made.until(lambda: len(line.named("typing")) == 3)
        await made.talk.finish()
        assert line.named("typing")[2:] == [{"name": "carol", "on": True}, {"name": "carol", "on": False}]


async def test_whoever_scrolls_beyond_what_is_kept_hears_where_the_rest_is() -> None:
    messages = [message(number, str(number)) for number in range(KEPT_MAX + 10)]
    async with kept(WrittenLine(messages=messages)) as made:
        made.talk.load_last(KEPT_MAX)
        await made.until(lambda: len(made.texts) == KEPT_MAX)
        made.talk.load_older()
        assert made.talk.notice == "Older ones are in: blindpost history bob"
