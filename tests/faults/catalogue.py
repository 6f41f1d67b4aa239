"""Every scenario, in the order in which they run."""

from typing import Final

from tests.faults.combined import COMBINED
from tests.faults.copies import OLD_COPIES
from tests.faults.kills import KILL_POINTS, POWER_CUTS
from tests.faults.relay_catalogue import RELAY_SCENARIOS
from tests.faults.scenario import Scenario
from tests.faults.sweep import CUTS, WEATHER
from tests.faults.takes import PREKEY_TAKES

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *RELAY_SCENARIOS,
    KILL_POINTS,
    POWER_CUTS,
    PREKEY_TAKES,
    CUTS,
    WEATHER,
    OLD_COPIES,
    COMBINED,
)
