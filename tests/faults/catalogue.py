"""Every scenario, in the order in which they run."""

from typing import Final

from tests.faults.scenario import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = ()
