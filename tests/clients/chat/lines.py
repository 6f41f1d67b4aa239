"""A line to a profile, written by hand: for what a real one cannot be made to say at a given moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from clients.errors import ClientError, NotFoundError
from clients.local.failures import LineLost

Json = dict[str, Any]


def person(name: str = "bob", **fields: Any) -> Json:
    """A contact's JSON."""
    return {
        "name": name, "address": f"bp1{name}", "status": "approved", "devices": 1, "alarm": None,
        "display_name": "",
        "verified": False, "sharing": {}, "unread": 0, "online": None, "typing": False, **fields,
    }  # fmt: skip


def message(number: int, text: str, *, out: bool = False, **fields: Any) -> Json:
    """A message's JSON, the `number`th of a conversation at one minute each."""
    return {
        "id": f"{number:032x}", "contact": "bob", "direction": "out" if out else "in", "text": text,
        "sent": f"2026-11-20T{10 + number // 60 % 12:02d}:{number % 60:02d}:00.000+00:00", "sequence": number,
        "status": "accepted" if out else "received", "late": False, "redelivered": False, "missing_before": 0,
        "reply_to": None, "failed": None, "seen": True, **fields,
    }  # fmt: skip


class WrittenLine:
    """Answers calls from tables, notes them, and says the events that a test puts in."""

    def __init__(self, *people: Json, messages: list[Json] | None = None) -> None:
        self.people = {item["name"]: item for item in (people or (person(),))}
        self.messages = list(messages or [])
        self.calls: list[tuple[str, Json]] = []
        self.errors: dict[str, ClientError] = {}
        self.opened = 0
        self._held: dict[str, asyncio.Event] = {}
        self._said: asyncio.Queue[Json | None] = asyncio.Queue(1000)
        self.called = asyncio.Event()

    def say(self, **event: Any) -> None:
        self._said.put_nowait(event)

    def tell(self, item: Json) -> None:
        """A message is new or has changed."""
        self.messages = [old for old in self.messages if old["id"] != item["id"]] + [item]
        self.say(event="message", message=item)

    def hold(self, call: str) -> asyncio.Event:
        """Have a call wait until the event is set."""
        return self._held.setdefault(call, asyncio.Event())

    def lose(self) -> None:
        self._said.put_nowait(None)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["WrittenLine"]:
        self.opened += 1
        self._said = asyncio.Queue(1000)
        self.say(event="state", connected=True, problems=[], held=0)
        yield self

    async def events(self) -> AsyncIterator[Json]:
        while (event := await self._said.get()) is not None:
            yield event
        raise LineLost

    def named(self, call: str) -> list[Json]:
        return [arguments for name, arguments in self.calls if name == call]

    async def call(self, call: str, /, **arguments: Any) -> Any:
        self.calls.append((call, arguments))
        self.called.set()
        if (error := self.errors.get(call)) is not None:
            raise error
        await asyncio.sleep(0)
        if call in self._held:
            await self._held[call].wait()
        match call:
            case "contacts":
                return [] if "after" in arguments else list(self.people.values())
            case "contact" | "accept" | "block" | "verify":
                if arguments["name"] not in self.people:
                    raise NotFoundError(f"There is no contact named {arguments['name']!r}.")
                status = {"accept": "approved", "block": "blocked"}.get(call)
                one = self.people[arguments["name"]]
                one.update({"status": status} if status else {"verified": True} if call == "verify" else {})
                return one
            case "history":
                return self._history(**arguments)
            case "send":
                sent = message(len(self.messages) + 1, arguments["text"], out=True, status="queued")
                self.tell({**sent, "reply_to": arguments.get("reply_to")})
                return {"id": sent["id"], "status": "queued"}
            case "safety_number":
                return {"safety_number": "12345" * 12, "verified": False}
            case "status":
                return {"id": arguments["id"], "status": "accepted", "failed": None}
            case _:
                return {}

    def _history(
        self, name: str, limit: int, before: str | None = None, search: str | None = None
    ) -> list[Json]:
        mine = [item for item in self.messages if item["contact"] == name]
        if before is not None:
            mine = mine[: [item["id"] for item in mine].index(before)]
        if search is not None:
            mine = [item for item in mine if search in item["text"]]
        return mine[-limit:]
