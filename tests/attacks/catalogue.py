"""Every attack, in the order in which they run."""

from typing import Final

from tests.attacks import (
    answers,
    bundles,
    floods,
    handshakes,
    kem_keys,
    lists,
    logins,
    order,
    pasted,
    receipts,
    seals,
)
from tests.attacks.attack import Attack

ATTACKS: Final[tuple[Attack, ...]] = (
    *bundles.ATTACKS,
    *kem_keys.ATTACKS,
    *lists.ATTACKS,
    *handshakes.ATTACKS,
    *logins.ATTACKS,
    *seals.ATTACKS,
    *order.ATTACKS,
    *receipts.ATTACKS,
    *floods.ATTACKS,
    *answers.ATTACKS,
    *pasted.ATTACKS,
)
