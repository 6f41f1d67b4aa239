"""Answer every message of one friend with its own text."""

import asyncio
import contextlib
import sys

from clients import Messenger


async def echo(friend: str) -> None:
    """Receive, answer, and print the address to write to."""
    async with Messenger.open("echo", relay="ws://127.0.0.1:8760") as me:
        if not me.contacts.all():
            me.contacts.add("friend", friend)
        print(f"Write to {me.address}", flush=True)
        async for message in me:
            await me.send(message.contact, message.text)


address = sys.argv[1] if sys.argv[1:] else sys.exit("Usage: python examples/echo.py ADDRESS")
with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(echo(address))
