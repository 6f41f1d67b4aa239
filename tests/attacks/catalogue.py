"""Every attack, in the order in which they run."""

from typing import Final

from tests.attacks import (
    answers,
    bundles,
    cards,
    demands,
    encodings,
    flags,
    floods,
    gossip,
    handshakes,
    hidden_lists,
    kem_keys,
    lists,
    logins,
    order,
    pasted,
    points,
    points_in_messages,
    probes,
    receipts,
    seals,
    secrecy,
    silence,
    stores,
    watching,
)
from tests.attacks.attack import Attack
from tests.attacks.noticed import judge
from tests.attacks.play import Row, play

ATTACKS: Final[tuple[Attack, ...]] = (
    *bundles.ATTACKS,
    *kem_keys.ATTACKS,
    *lists.ATTACKS,
    *hidden_lists.ATTACKS,
    *gossip.ATTACKS,
    *handshakes.ATTACKS,
    *points.ATTACKS,
    *points_in_messages.ATTACKS,
    *encodings.ATTACKS,
    *logins.ATTACKS,
    *stores.ATTACKS,
    *secrecy.ATTACKS,
    *seals.ATTACKS,
    *order.ATTACKS,
    *receipts.ATTACKS,
    *cards.ATTACKS,
    *flags.ATTACKS,
    *floods.ATTACKS,
    *demands.ATTACKS,
    *answers.ATTACKS,
    *silence.ATTACKS,
    *pasted.ATTACKS,
    *probes.ATTACKS,
    *watching.ATTACKS,
)
BY_NAME: Final = {each.name: each for each in ATTACKS}


def play_named(name: str, *, is_new: bool = False) -> Row:
    """Play one of them, in whatever process this is.

    It is red, too, if it was noticed otherwise than is written down; not so with `is_new`.
    """
    row = play(BY_NAME[name])
    return row if is_new else judge(row)
