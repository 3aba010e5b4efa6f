"""The project's own tests have a configuration of their own; the gate's is for users."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SETTINGS

ROOT = Path(__file__).parents[2]


def test_pytest_finds_the_configuration_of_the_tests(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.inipath == SETTINGS
    assert pytestconfig.getini("filterwarnings") == ["error"]


def test_tests_and_cases_in_one_run_name_the_fix() -> None:
    argv = [sys.executable, "-m", "pytest", "--co", "-q", "tests/unit/test_skips.py", "cases/wan21.yaml"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "tests/pytest.ini: run `pytest tests`" in done.stderr
