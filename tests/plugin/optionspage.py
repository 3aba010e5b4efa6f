"""docs/options.md, made from the table of options: `python -m tests.plugin.optionspage` writes it."""

from __future__ import annotations

from pathlib import Path

from pytest_sgdiff.plugin.options import CASE_FILES, CASE_MARKS, SETTINGS, Setting

HEAD = """# Options

The command line wins over the environment, which wins over ini (`[tool.pytest.ini_options]`, `[tool.pytest]`,
`pytest.ini`). Nothing is measured unless `--sgdiff-gpus`, `--sgdiff-replay` or `--sgdiff-dry-run` is given.
An empty variable is not set, and that of a switch is off with `0`, `false`, `no` or `off`. An empty value on the
command line is a mistake: `--sgdiff-gpus=$N` without an `N` is to measure, not to be skipped as if nobody had asked.
So is `--sgdiff-replay` or `--sgdiff-fail-on` that is typed twice with two values. Of other options the last holds.

What a run does must be typed where the run is asked for. A command line with `--sgdiff-gpus` or `--sgdiff-replay` is
refused where the environment, PYTEST_ADDOPTS or `addopts` adds `--sgdiff-dry-run`, `--sgdiff-update`,
`--sgdiff-against`, `--sgdiff-replay` or `--collect-only`: a gate that turns into something else is green for no reason.

## When a run fails

A run fails if a test fails, and also where no test does:

- a case has an outcome that fails (`regressed`, `invalid`, `no-baseline`, and those of `--sgdiff-fail-on`), whatever
  became of its test: a mark `xfail`, a test that calls `sgdiff.measure()` and checks nothing, another plugin;
- a selected case was not measured: its test was skipped, or passed without a measurement. What is not to be measured is
  deselected (`-m`, `-k`, `--deselect`). A case that its own `requires` leaves out fails only with `--sgdiff-strict`,
  which is what CI should say;
- nothing was measured, or a report or a baseline could not be written.

The summary names what was not measured, by reason, in one line.

## All options

| option | environment | ini | what it does |
| --- | --- | --- | --- |
"""

TAIL = """
## Fixtures

| fixture | gives |
| --- | --- |
| `sgdiff` | measures and judges the case: `sgdiff.check()`, or `sgdiff.measure()` for the result |
| `sgdiff_case` | the case; override it in a Python test to return one of your own |
| `sgdiff_gpus` | the lease of as many GPUs as the case asks for; None when nothing is launched |
| `sgdiff_env` | environment variables to add to every launch; part of the workload |
| `sgdiff_baselines` | the folder of the baselines |

Each may be overridden in any conftest.py. Hooks (`pytest_sgdiff_engine`, `_command`, `_metrics`, `_machine`, `_report`)
are described in [hookspecs.py](../pytest_sgdiff/plugin/hookspecs.py).

## Case files and marks

"""


def text() -> str:
    """The whole page."""
    rows = "".join(row(setting) for setting in SETTINGS)
    files = ", ".join(f"`{glob}`" for glob in CASE_FILES)
    marks = "".join(f"- `{name}`: {meaning}\n" for name, meaning in CASE_MARKS.items())
    about = f"Files that match {files} are case files. Cases may carry these marks without registering them:"
    return f"{HEAD}{rows}{TAIL}{about}\n\n{marks}"


def row(setting: Setting) -> str:
    """One line of the table."""
    value = f"={setting.metavar}" if setting.metavar else ""
    value = f"[{value}]" if setting.nargs else value
    ini = f"`{setting.dest}`" if setting.ini else ""
    variable = f"`{setting.variable}`" if setting.variable else ""
    repeat = " (repeatable)" if setting.repeatable and "repeatable" not in setting.help else ""
    option = f"{setting.option}{value}".replace("|", "\\|")
    return f"| `{option}` | {variable} | {ini} | {setting.help}{repeat} |\n"


if __name__ == "__main__":
    Path(__file__).parents[2].joinpath("docs", "options.md").write_text(text(), encoding="utf-8")
