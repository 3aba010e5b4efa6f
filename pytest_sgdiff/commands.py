"""Command lines for people: shell-quoted, runnable, with relative paths, and, but for a dry run, without secrets."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from pytest_sgdiff.data import Case, EngineInfo, LaunchFiles
from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.redact import redact

SHOWN_FILES = LaunchFiles(
    workdir=".",
    output_dir="outputs",
    perf_dump="perf.json",
    perf_log_dir="perf-log",
    config="config.json",
)
"""Where a command that people run by hand reads and writes: the current folder."""


def line(words: Sequence[str]) -> str:
    """A command as it is kept and reported: one line for a shell, secrets redacted."""
    return redact(shlex.join(words), os.environ)


def text(case: Case, engine: Engine, info: EngineInfo, assets: Path | None) -> str:
    """The case's command line as it is kept and reported: `exact`, secrets redacted."""
    return redact(exact(case, engine, info, assets), {**os.environ, **case.env})


def exact(case: Case, engine: Engine, info: EngineInfo, assets: Path | None) -> str:
    """One line for a shell: files that the launch needs are written first, then the engine runs with its variables.

    With every word of it, secrets too: for the eyes of whoever asked, never for a file.
    """
    folder = Path("${ASSET_DIR}") if assets is None else assets
    files = LaunchFiles(
        workdir=SHOWN_FILES.workdir,
        output_dir=SHOWN_FILES.output_dir,
        perf_dump=SHOWN_FILES.perf_dump,
        perf_log_dir=SHOWN_FILES.perf_log_dir,
        config=SHOWN_FILES.config,
        assets={flag: str(folder / name) for flag, name in case.assets.items()},
    )
    command = engine.command(case, info=info, files=files, ports=None)
    written = [
        f"printf '%s\\n' {shlex.quote(content.rstrip())} > {shlex.quote(path)} &&"
        for path, content in command.files.items()
    ]
    variables = [f"{name}={shlex.quote(value)}" for name, value in command.env.items()]
    return " ".join([*written, *variables, *(_quote(word) for word in command.argv)])


def _quote(word: str) -> str:
    # `${ASSET_DIR}` must stay a variable for the shell, so it is put in double quotes.
    return f'"{word}"' if "${ASSET_DIR}" in word else shlex.quote(word)
