"""What all tests need of the process that they run in."""

from __future__ import annotations

import gc
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

SETTINGS = Path(__file__).parent / "pytest.ini"


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the process for our own tests. pytest reads this file in `pytest .` at the root too, which collects the
    cases, where no development package may be installed."""
    if config.inipath != SETTINGS:
        return
    from hypothesis import HealthCheck, settings

    from tests.examples import FACTOR

    # A machine that does other work as well is slow, and that is no fault of what is tested: nothing fails by time.
    # Tests say how many examples they need (tests/examples.py), and no deadline of their own.
    settings.register_profile(
        "sgdiff", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=round(100 * FACTOR)
    )
    settings.load_profile("sgdiff")
    # A shell that starts a job in the background has it ignore Ctrl-C, and so do all processes below it: tests that
    # interrupt a run would wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Leave the modules and the thousands of tests, which stay until the end, out of what the garbage collector looks
    through: every pytest that a test starts or configures in this process has it look again, and at its end by force.
    """
    if session.config.inipath != SETTINGS:
        return (yield)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name the fix where tests and cases are asked for at once: pytest then takes the configuration of the cases.

    Raises:
        pytest.UsageError: the run has another configuration, and nobody named that with `-c`.
    """
    ours = any(item.path.is_relative_to(SETTINGS.parent) for item in items)
    if ours and config.inipath != SETTINGS and not config.getoption("inifilename"):
        raise pytest.UsageError(
            f"the project's own tests have a configuration of their own, {SETTINGS.parent.name}/{SETTINGS.name}: run "
            "`pytest tests` (or any part of it) without other paths"
        )
