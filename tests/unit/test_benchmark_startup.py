"""benchmarks/startup.py measures importing, and not compiling, wherever it runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def startup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "startup.py"
    spec = importlib.util.spec_from_file_location("benchmark_startup", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    monkeypatch.setitem(__import__("sys").modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_a_run_keeps_byte_code_where_the_shell_forbids_it(
    startup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "elsewhere"))
    (tmp_path / "test_one.py").write_text("def test_nothing():\n    pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    startup.timed("pytest-sgdiff", tmp_path, ())
    assert list((tmp_path / startup.CACHE).rglob("pytest_sgdiff/plugin/__init__.*.pyc"))
    assert not (tmp_path / "elsewhere").exists()


def test_what_the_shell_says_of_pytest_and_byte_code_is_left_out(startup: ModuleType, tmp_path: Path) -> None:
    variables = {"PATH": "/bin", "PYTEST_ADDOPTS": "-x", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/root"}
    assert startup.settings(variables, tmp_path) == {
        "PATH": "/bin",
        "HOME": "/root",
        "PYTHONPYCACHEPREFIX": str(tmp_path),
    }
