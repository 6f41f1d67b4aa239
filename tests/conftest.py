"""What holds for the whole suite: a skip is no pass on the build machine, and the last line is the verdict.

Fixtures live beside the tests that use them, or in tests/support/; this file has none.
"""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# The machine's speed says nothing about the code, and pytest-timeout ends what hangs. A failing example is
# printed in a form that can be pasted.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")

Report = pytest.TestReport | pytest.CollectReport


def on_build_machine() -> bool:
    """Whether this run decides about a change (`CI=true`, as all hosted runners set it)."""
    return os.environ.get("CI", "").lower() in ("true", "1")


def refuse_skip(report: Report, where: str) -> None:
    """Turn a skip into a failure that says why; an expected failure is reported as skipped too, and stays."""
    if not report.skipped or hasattr(report, "wasxfail") or not on_build_machine():
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = (
        f"{where} was skipped, and CI=true: a test that did not run has shown nothing.\n"
        f"Give the build machine what the test needs, or remove the test. The reason it gave: {reason}"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test fails where it counts."""
    report = yield
    refuse_skip(report, item.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that skips itself whole fails where it counts."""
    report = yield
    refuse_skip(report, collector.nodeid)
    return report


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Print the verdict as the very last line, once (not in the workers), for people and scripts alike."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(config, "workerinput") or reporter is None or config.option.collectonly:
        return
    counts = {word: len(reports) for word, reports in reporter.stats.items()}
    if not counts:  # --version, --help: no test was meant to run
        return
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("xpassed", 0)
    rest = f"{counts.get('skipped', 0)} skipped, {counts.get('xfailed', 0)} expected failures"
    print(f"{counts.get('passed', 0)} passed, {failed} failed ({rest})", flush=True)
