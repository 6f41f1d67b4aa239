"""The scenarios about the relay's process and its store, by the raw protocol."""

from typing import Final

from tests.faults.clock_steps import CLOCK_OF_PEOPLE, CLOCK_OF_RELAY
from tests.faults.flipped_byte import FLIPPED_BYTE
from tests.faults.full_disk import FULL_DISK, PAGE_LIMIT
from tests.faults.held_store import HELD_STORE
from tests.faults.lost_wal import LOST_WAL
from tests.faults.million import MILLION
from tests.faults.scenario import Scenario
from tests.faults.stop_under_load import STOP_UNDER_LOAD
from tests.faults.storm import STORM
from tests.faults.two_connections import TWO_CONNECTIONS, TWO_COPIES

RELAY_SCENARIOS: Final[tuple[Scenario, ...]] = (
    STOP_UNDER_LOAD,
    FULL_DISK,
    PAGE_LIMIT,
    HELD_STORE,
    LOST_WAL,
    FLIPPED_BYTE,
    CLOCK_OF_RELAY,
    CLOCK_OF_PEOPLE,
    TWO_CONNECTIONS,
    TWO_COPIES,
    STORM,
    MILLION,
)
