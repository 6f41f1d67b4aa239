"""Say when a friend comes and goes: python examples/presence.py ADDRESS."""

import asyncio
import contextlib
import sys
from datetime import datetime

from clients import ContactEvent, Messenger


async def watch(friend: str) -> None:
    """Introduce ourselves once, then print each change that the friend lets us see."""
    async with Messenger.open("watcher", relay="ws://127.0.0.1:8760") as me:
        if not me.contacts.all():
            me.contacts.add("friend", friend)
        await me.send("friend", "May I see when you are there?", key="introduction")
        print(f"Watching as {me.address}", flush=True)
        known = None
        async with me.watch("friend") as events:
            async for event in events:
                if isinstance(event, ContactEvent) and event.contact.online not in (None, known):
                    known = event.contact.online
                    now = datetime.now().astimezone().strftime("%H:%M:%S")
                    print(f"{now} {event.contact.name} is {'online' if known else 'away'}", flush=True)


address = sys.argv[1] if sys.argv[1:] else sys.exit("Usage: python examples/presence.py ADDRESS")
with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(watch(address))
