"""Somebody sits at a terminal: a chat with its commands, and passphrases that are typed."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from clients.audit.scenes.cast import Cast, expect
from clients.audit.terminal import Terminal
from clients.chat.commands import Verb

T = TypeVar("T")

AGAIN_AFTER: Final = 1.0  # seconds


async def chats(cast: Cast) -> None:
    """Bob chats with Dave, then with Alice, while his profile is open in another process."""
    stage, alice, bob = cast.stage, cast.alice, cast.bob
    first, answer = stage.canary("chat, a line"), stage.canary("chat /reply")
    async with bob.at_a_terminal("chat", cast.names[bob, cast.dave]) as terminal:
        await terminal.shows(cast.names[bob, cast.dave])
        terminal.type(f"/switch {cast.names[bob, alice]}")
        terminal.type(first)
        await _insisting(terminal, alice.hears(first))
        for verb in (Verb.SEARCH, Verb.VERIFY, Verb.ACCEPT, Verb.BLOCK):
            terminal.type(f"/{verb.value} {stage.canary(f'chat /{verb.value}')}")
        terminal.type(f"/reply 1 {answer}")
        heard = await _insisting(terminal, alice.hears(answer))
        expect(heard["reply_to"] is not None, "an answer in a chat names no message")
        terminal.type("/quit")
        expect(await _insisting(terminal, terminal.ends()) == 0, "a chat did not end in order")
    stage.did("`chat` in a terminal, with its commands")


async def _insisting(terminal: Terminal, wanted: Coroutine[Any, Any, T]) -> T:
    """Press Enter again until it comes: a chat that changed while somebody typed wants that."""
    waiting = asyncio.ensure_future(wanted)
    while not (await asyncio.wait((waiting,), timeout=AGAIN_AFTER))[0]:
        terminal.type("")
    return await waiting


async def types_passphrases(cast: Cast) -> None:
    """Frank has a passphrase that he types, and another one for his backup."""
    stage = cast.stage
    frank = stage.person("frank")
    frank.passphrase = stage.canary("prompt: New passphrase")
    async with frank.at_a_terminal("init", *stage.init(), "--passphrase") as terminal:
        await terminal.answer("New passphrase", frank.passphrase)
        await terminal.answer("Repeat for confirmation", frank.passphrase)
        expect(await terminal.ends() == 0, "a profile with a typed passphrase was not made")
    other = stage.canary("prompt: New passphrase of the backup")
    file = stage.directory / "franks.blindpost"
    async with frank.at_a_terminal("backup", str(file)) as terminal:
        await terminal.answer("New passphrase of the backup", other)
        await terminal.answer("Repeat for confirmation", other)
        await terminal.answer("Passphrase", frank.passphrase)
        expect(await terminal.ends() == 0 and file.exists(), "a backup was not made at a terminal")
    stage.did("passphrases typed at a terminal, of a profile and of a backup")
