"""The full drive: every feature of the client, through real processes, with a canary in every field.

Owns the order of the scenes. What each does is in `clients.audit.driving.scenes`; whether nothing was left
out is `clients.audit.driving.completeness`'s.
"""

from clients.audit.driving.scenes import (
    absence,
    accounts,
    at_a_terminal,
    commands,
    conversation,
    decisions,
    mistakes,
    strangers,
)
from clients.audit.driving.scenes.cast import Cast, together
from clients.audit.driving.stage import Stage


async def drive(stage: Stage) -> None:
    """Everything, in about 20 seconds. Raises PersonError if a feature does not work."""
    cast = Cast(
        stage,
        alice=stage.person("alice"),
        bob=stage.person("bob", passphrase=stage.canary("$BLINDPOST_PASSPHRASE")),
        carol=stage.person("carol", by_variable=True),
        dave=stage.person("dave"),
    )
    await together(
        commands.begin(cast, cast.alice), commands.begin(cast, cast.bob), commands.begin(cast, cast.carol)
    )
    await together(cast.alice.start(), cast.bob.start(), cast.carol.start())
    stage.did("three accounts made and registered, with a key file and with a passphrase")
    await cast.add(cast.alice, cast.bob)
    await cast.add(cast.bob, cast.alice)
    await together(
        _alice_and_bob(cast),
        commands.dave_writes(cast),
        strangers.strangers(cast),
        commands.mistakes_on_the_command_line(cast),
    )
    await together(
        absence.absence(cast),
        commands.bob_decides(cast),
        commands.bob_looks_around(cast),
        decisions.decisions(cast),
    )
    await together(
        _near_and_lossy(cast),
        at_a_terminal.types_passphrases(cast),
        accounts.moves(cast),
        accounts.by_commands(cast),
    )
    await stage.look("everything is delivered")
    await accounts.ends(cast)
    await stage.look("an account is deleted")


async def _near_and_lossy(cast: Cast) -> None:
    await conversation.reads(cast)
    await conversation.near(cast)
    await conversation.loses_one(cast)
    await at_a_terminal.chats(cast)


async def _alice_and_bob(cast: Cast) -> None:
    await conversation.conversation(cast)
    await decisions.verified(cast)
    await mistakes.wrong_calls(cast)
    await mistakes.hostile_bytes(cast)
