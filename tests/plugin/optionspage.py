"""docs/options.md, made from the table of options: `python -m tests.plugin.optionspage` writes it."""

from __future__ import annotations

from pathlib import Path

from pytest_sgdiff.cases.marks import CASE_MARKS
from pytest_sgdiff.options import CASE_FILES, SETTINGS, Setting

HEAD = """# Options

The command line wins over the environment, which wins over ini (`[tool.pytest.ini_options]`, `[tool.pytest]`,
`pytest.ini`). Nothing is measured unless `--sgdiff-gpus`, `--sgdiff-cluster`, `--sgdiff-replay` or
`--sgdiff-dry-run` is given.

- An empty variable counts as not set. The variable of a switch is off with `0`, `false`, `no` or `off`.
- An empty value on the command line is a mistake. Whoever types `--sgdiff-gpus=$N` wants to measure, even if `N` is
  empty. Such a run must not be skipped.
- `--sgdiff-replay` or `--sgdiff-fail-on` typed twice with two values is a mistake too. Of other options the last value
  counts.

Type what a run does where you start the run. A command line with `--sgdiff-gpus` or `--sgdiff-replay` is refused if the
environment, PYTEST_ADDOPTS or `addopts` adds one of these: `--sgdiff-dry-run`, `--sgdiff-update`, `--sgdiff-against`,
`--sgdiff-replay`, `--collect-only`. A gate that turns into something else would be green for no reason.

## When a run fails

A run fails if a test fails. It also fails without a failed test in these situations:

- A case has an outcome that fails: `regressed`, `invalid`, `no-baseline`, and those of `--sgdiff-fail-on`. It does not
  matter what kept its test from failing: a mark `xfail`, a test that calls `sgdiff.measure()` and checks nothing, or
  another plugin.
- A selected case was not measured: its test was skipped, or passed without a measurement. Deselect what is not to be
  measured (`-m`, `-k`, `--deselect`). A case that its own `requires` leaves out fails only with `--sgdiff-strict`. Use
  it in CI.
- Nothing was measured.
- It was to record baselines (`--sgdiff-update`), and a case gave none: the recording that it replays is too short, or
  other work disturbed the machine.
- A report or a baseline could not be written.

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
| `sgdiff_gpus` | a lease of as many GPUs as the case asks for; None when nothing is launched |
| `sgdiff_env` | environment variables to add to every launch; part of the workload |
| `sgdiff_baselines` | the folder of the baselines |

You may override each of them in any conftest.py. The source describes the hooks: `pytest_sgdiff_engine`, `_command`,
`_metrics`, `_machine` and `_report` ([hookspecs.py](../pytest_sgdiff/plugin/hookspecs.py)).
[Hooks and fixtures](extending.md) has a working example of each, and [an engine of your own](own-engine.md) of the
first hook.

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
