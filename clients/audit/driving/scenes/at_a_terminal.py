"""Somebody sits at a terminal: a chat with its commands, and passphrases that are typed."""

from clients.audit.driving.scenes.cast import Cast, expect, insisting
from clients.chat.commands import Verb


async def chats(cast: Cast) -> None:
    """Bob chats with Dave, then with Alice, while his profile is open in another process."""
    stage, alice, bob = cast.stage, cast.alice, cast.bob
    first, answer = stage.canary("chat, a line"), stage.canary("chat /reply")
    async with bob.at_a_terminal("chat", cast.names[bob, cast.dave]) as terminal:

        async def enter() -> None:
            terminal.type("")  # a chat that has changed while somebody typed wants it again

        await terminal.shows(cast.names[bob, cast.dave])
        terminal.type(f"/switch {cast.names[bob, alice]}")
        terminal.type(first)
        await insisting(alice.hears(first), enter)
        for verb in (Verb.SEARCH, Verb.VERIFY, Verb.ACCEPT, Verb.BLOCK):
            terminal.type(f"/{verb.value} {stage.canary(f'chat /{verb.value}')}")
        terminal.type(f"/reply 1 {answer}")
        heard = await insisting(alice.hears(answer), enter)
        expect(heard["reply_to"] is not None, "an answer in a chat names no message")
        terminal.type("/quit")
        expect(await insisting(terminal.ends(), enter) == 0, "a chat did not end in order")
    stage.did("`chat` in a terminal, with its commands")


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
