"""The plugin loads in every pytest run of its environment, so it may import next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("yaml", "numpy", "scipy", "pynvml", "pydantic", "jinja2", "plotly")


def imported_by(source: str) -> set[str]:
    """Top-level packages that a fresh interpreter has imported after running the source."""
    program = f"{source}\nimport sys; print('\\n'.join({{name.partition('.')[0] for name in sys.modules}}))"
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    return set(output.split())


def test_importing_the_plugin_imports_nothing_heavy() -> None:
    found = imported_by("import pytest_sgdiff.plugin")
    assert "pytest_sgdiff" in found
    assert sorted(found & set(HEAVY)) == []


def test_the_plugin_imports_no_more_of_ours_than_it_needs() -> None:
    program = (
        "import pytest_sgdiff.plugin, sys; print('\\n'.join(n for n in sys.modules if n.startswith('pytest_sgdiff')))"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert sorted(output.split()) == ["pytest_sgdiff", "pytest_sgdiff.plugin", "pytest_sgdiff.plugin.fixtures"]


CONFTEST = f"""
import sys

def pytest_unconfigure(config):
    heavy = sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r}))
    print("heavy imports:", " ".join(heavy) or "none")
"""

CASE = """
cases:
  tiny:
    model: somebody/tiny
    gpus: 1
    args: {prompt: a cat, width: 64, height: 64, num-inference-steps: 2, seed: 1}
"""


def run_pytest(pytester: pytest.Pytester, *arguments: str) -> str:
    # Other plugins import numpy or yaml for reasons of their own.
    for name in (
        "html",
        "metadata",
        "randomly",
        "rerunfailures",
        "repeat",
        "timeout",
        "hypothesispytest",
        "pytest_cov",
    ):
        arguments = (*arguments, "-p", f"no:{name}")
    return pytester.runpytest_subprocess(*arguments, "-p", "no:benchmark", "-p", "no:codspeed").stdout.str()


def test_a_run_without_cases_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("def test_nothing():\n    pass\n")
    output = run_pytest(pytester)
    assert "1 passed" in output
    assert "heavy imports: none" in output


def test_a_run_that_collects_but_does_not_measure_never_imports_scipy(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    folder = pytester.mkdir("cases")
    (folder / "tiny.yaml").write_text(CASE)
    output = run_pytest(pytester, "-rs")
    assert "1 skipped" in output
    assert "heavy imports: yaml" in output


def test_a_dry_run_never_imports_scipy(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    folder = pytester.mkdir("cases")
    (folder / "tiny.yaml").write_text(CASE)
    output = run_pytest(pytester, "--sgdiff-dry-run")
    assert "--num-inference-steps" in output
    assert "scipy" not in output.partition("heavy imports:")[2].partition("\n")[0]
