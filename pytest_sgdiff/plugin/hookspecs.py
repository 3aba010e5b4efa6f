"""Extension points: hooks that a conftest.py or another plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_sgdiff.data import Case, Command, Environment, PerfDump, Run
    from pytest_sgdiff.engines.protocol import Engine


@pytest.hookspec(firstresult=True)
def pytest_sgdiff_engine(config: pytest.Config, case: Case) -> Engine | None:
    """Give the engine adapter for a case whose `engine:` this package does not know.

    Called once per case; the first answer that is not None counts. Adapters are described in
    `pytest_sgdiff.engines.protocol`; `examples/engines` has two, for a command and for a server (docs/own-engine.md)::

        def pytest_sgdiff_engine(case):
            return MyEngine() if case.engine == "mine" else None
    """


@pytest.hookspec(firstresult=True)
def pytest_sgdiff_command(config: pytest.Config, case: Case, command: Command) -> Command | None:
    """Change the command line of a launch, for example to put a wrapper such as `numactl` in front.

    Called before every launch with the finished command; the first answer that is not None is run instead::

        def pytest_sgdiff_command(command):
            return dataclasses.replace(command, argv=("numactl", "--localalloc", *command.argv))
    """


@pytest.hookspec
def pytest_sgdiff_metrics(config: pytest.Config, case: Case, dump: PerfDump) -> dict[str, float] | None:
    """Add metrics of your own to a launch: name -> value. They are reported and recorded, and not gated.
    A name that a metric of the plugin has is refused, also where this dump does not hold that metric."""


@pytest.hookspec(firstresult=True)
def pytest_sgdiff_machine(config: pytest.Config, environment: Environment) -> Environment | None:
    """Change what is recorded of the machine, for example a stable name of the node instead of the host's hash."""


@pytest.hookspec
def pytest_sgdiff_report(config: pytest.Config, run: Run) -> None:
    """Use the results when all cases are judged; called once, on the controller, before reports are written.

    Paths of baselines and launches are from `config.rootpath` where they lie below it, as in the reports.
    """
