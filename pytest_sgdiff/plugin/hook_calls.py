"""Calls of the extension points, whose answers are checked here: whoever wrote one reads what is wrong with it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pytest_sgdiff.data import Case, Command, Environment, PerfDump
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.lint.reserved_flags import taken_over
from pytest_sgdiff.metrics import entry, group


class Extensions:
    """What conftest files and other plugins add. An exception of theirs fails the test, with their own traceback.

    Every method raises pytest.fail.Exception for an answer of the wrong kind.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._hook = config, config.hook

    def engine(self, case: Case) -> Engine:
        """The adapter of the case's `engine`; a failure if nobody knows that engine."""
        engine: Engine | None = ENGINES.get(case.engine)
        engine = engine or self._hook.pytest_sgdiff_engine(config=self._config, case=case)
        if engine is None:
            pytest.fail(
                f"{case.at('engine')}: no engine '{case.engine}'; known: {', '.join(ENGINES)}; others come from the "
                "hook pytest_sgdiff_engine",
                pytrace=False,
            )
        return engine

    def command(self, case: Case, command: Command) -> Command:
        """The command of a launch as hooks want it."""
        changed = self._hook.pytest_sgdiff_command(config=self._config, case=case, command=command)
        if not isinstance(changed, Command | None):
            _refuse("pytest_sgdiff_command", "a pytest_sgdiff.data.Command or None", changed)
        if changed is not None and (taken := taken_over(command, changed)):
            pytest.fail(
                f"{case.location}: the hook pytest_sgdiff_command changes {', '.join(taken)}, which the plugin sets "
                "for every launch: leave it as it is",
                pytrace=False,
            )
        return changed or command

    @property
    def change_commands(self) -> bool:
        """Whether any hook may change commands, so that they run elsewhere, as in a container."""
        return bool(self._hook.pytest_sgdiff_command.get_hookimpls())

    def environment(self, environment: Environment) -> Environment:
        """What is recorded of the machine, as hooks want it."""
        changed = self._hook.pytest_sgdiff_machine(config=self._config, environment=environment)
        if not isinstance(changed, Environment | None):
            _refuse("pytest_sgdiff_machine", "a pytest_sgdiff.data.Environment or None", changed)
        return changed or environment

    def metrics(self, case: Case, dump: PerfDump) -> dict[str, float]:
        """Metrics that hooks add to a launch. None may take the place of a metric that is gated."""
        added: dict[str, float] = {}
        for answer in self._hook.pytest_sgdiff_metrics(config=self._config, case=case, dump=dump):
            if not isinstance(answer, dict | None):
                _refuse("pytest_sgdiff_metrics", "a dict or None", answer)
            for name, value in (answer or {}).items():
                if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                    _refuse("pytest_sgdiff_metrics", f"a finite number for '{name}'", value)
                if entry(str(name)) or group(str(name)):
                    pytest.fail(f"pytest_sgdiff_metrics: '{name}' is a metric already: choose another", pytrace=False)
                added[str(name)] = float(value)
        return added


def _refuse(hook: str, expected: str, answer: Any) -> None:
    pytest.fail(f"{hook}: the answer must be {expected}, got {answer!r}", pytrace=False)
