"""Every input of the corpus again, without a fuzzer: what was found once stays found."""

import time
import tracemalloc

import pytest

from tests.fuzz.catalogue import CORPUS, TARGETS, inputs
from tests.fuzz.target import Target

ONE_INPUT = 2.0  # seconds of CPU
MEMORY = 32 * 1024 * 1024  # what one input may allocate at its peak, Python's own allocations
CORPUS_MAX = 1_000_000  # bytes of all inputs in the repository


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_property_holds_for_the_corpus(target: Target) -> None:
    given = inputs(target)
    assert given, "a target without an input shows nothing"
    for name, data in given:
        assert len(data) <= target.max_input, name
        started = time.process_time()
        try:
            target.run(data)
        except Exception as error:
            error.add_note(f"input: {name} of {target.name}")
            raise
        assert time.process_time() - started < ONE_INPUT, name


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_no_input_needs_much_memory(target: Target) -> None:
    given = inputs(target)
    largest = sorted(given, key=lambda item: len(item[1]))[-3:]
    target.run(largest[-1][1])  # what is made once is no input's doing
    tracemalloc.start()
    try:
        for name, data in largest:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            target.run(data)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < MEMORY, name
    finally:
        tracemalloc.stop()


def test_the_corpus_is_small_and_of_known_targets() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= {*TARGETS}
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < CORPUS_MAX
