"""A plugin of the pytest runs of `sgdiff bisect` (`-p pytest_sgdiff.plugin.bisected`): has cases judged by the one
metric that the bisection is about, with margins that follow from the slowdown that it looks for."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest

from pytest_sgdiff import metrics
from pytest_sgdiff.bisect.workshop import SETTINGS
from pytest_sgdiff.data import MetricChoice
from pytest_sgdiff.launch.child import end_with_parent
from pytest_sgdiff.plugin.collect import CASE


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have this run end with the bisection."""
    # Files that the project names in `addopts` accept what the bisection is about.
    config.option.sgdiff_accept = ["none"]
    parent = json.loads(os.environ.get(SETTINGS, "{}")).get("parent")
    # A worker of pytest-xdist has pytest itself for a parent.
    end_with_parent(parent, is_worker="PYTEST_XDIST_WORKER" in os.environ)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before anything is said or done with the cases."""
    told: dict[str, Any] = json.loads(os.environ.get(SETTINGS, "{}"))
    for item in items:
        if (case := item.stash.get(CASE, None)) is not None:
            item.stash[CASE] = replace(case, metrics=choice(case.metrics, told), faster_than=None)


def choice(own: MetricChoice, told: dict[str, Any]) -> MetricChoice:
    """The choice of a case as the bisection changes it."""
    gate, allow, detect = told.get("gate"), told.get("allow"), told.get("detect")
    if gate is None:
        return own if allow is None else replace(own, allow=allow, detect=None)
    found = metrics.entry(gate[0])
    primary = gate[0] if found is None or found.may_be_primary else own.primary
    given: MetricChoice = replace(own, gate=tuple(gate), primary=primary)
    if allow is None or detect is None:
        return given
    return replace(given, allow={name: float(allow) for name in gate}, detect={name: float(detect) for name in gate})
