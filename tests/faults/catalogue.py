"""Every scenario, in the order in which they run."""

from typing import Final

from tests.faults.full_disk import FULL_DISK, PAGE_LIMIT
from tests.faults.held_store import HELD_STORE
from tests.faults.kills import KILL_POINTS
from tests.faults.scenario import Scenario
from tests.faults.stop_under_load import STOP_UNDER_LOAD
from tests.faults.sweep import CUTS, WEATHER

SCENARIOS: Final[tuple[Scenario, ...]] = (
    STOP_UNDER_LOAD,
    FULL_DISK,
    PAGE_LIMIT,
    HELD_STORE,
    KILL_POINTS,
    CUTS,
    WEATHER,
)
