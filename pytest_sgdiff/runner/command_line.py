"""Command lines for people: shell-quoted, runnable, with relative paths, and without secrets."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pytest_sgdiff.data import Case, EngineInfo, LaunchFiles, Service
from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.judging.inherited import is_work
from pytest_sgdiff.printable import printable
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
    return redact(" ".join(shell_word(word, hide=_without(os.environ)) for word in words), os.environ)


def shell_word(word: str, *, hide: Callable[[str], str] = str) -> str:
    r"""A word for a shell, quoted so that the line stays one: a line end is `$'\n'`, as bash, zsh and ksh read it.

    `hide` takes the secrets from a word before it is spelled like that: afterwards nobody would know them again.
    """
    if printable(word) == word:
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, hide(word)))}'"


def _without(env: Mapping[str, str]) -> Callable[[str], str]:
    return lambda text: redact(text, env)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as Python keeps it
        return f"\\x{code - 0xDC00:02x}"
    # Colons and brackets too: what else could be an order to a CI system?
    shown = f"\\x{code:02x}" if char in ":[" else printable(char)
    return f"\\{char}" if char in "\\'" else shown


def text(
    case: Case,
    engine: Engine,
    info: EngineInfo,
    assets: Path | None,
    *,
    inherited: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The case's command line as it is shown, kept and reported: `exact`, secrets redacted."""
    hide = _without({**os.environ, **case.env})
    return hide(_line(case, engine, info, assets, inherited=inherited, hide=hide))


def exact(
    case: Case,
    engine: Engine,
    info: EngineInfo,
    assets: Path | None,
    *,
    inherited: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """One line for a shell: files that the launch needs are written first, then the engine runs with its variables,
    those that are `inherited` and change its work before those of the case.
    """
    return _line(case, engine, info, assets, inherited=inherited, hide=str)


def _line(
    case: Case,
    engine: Engine,
    info: EngineInfo,
    assets: Path | None,
    *,
    inherited: Mapping[str, str],
    hide: Callable[[str], str],
) -> str:
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
        f"printf '%s\\n' {shell_word(content.rstrip(), hide=hide)} > {shell_word(path)} &&"
        for path, content in command.files.items()
    ]
    outside = {name: value for name, value in inherited.items() if is_work(name) and name not in command.unset}
    variables = [f"{name}={shell_word(value, hide=hide)}" for name, value in {**outside, **command.env}.items()]
    asked = [] if command.service is None else [f"# {_asked(command.service)}"]
    return " ".join([*written, *variables, *(_quote(word, hide) for word in command.argv), *asked])


def _asked(service: Service) -> str:
    """What a client asks of the server, as a comment: how many requests, and the first one that is measured."""
    measured = [plan for plan in service.requests if not plan.warmup]
    plan, before = measured[0], len(service.requests) - len(measured)
    body = {name: value for name, value in plan.fields.items() if name != "perf_dump_path" and value is not None}
    files = {**plan.references, **{name: list(paths) for name, paths in plan.uploads.items()}}
    counts = f"{len(measured)} request{'' if len(measured) == 1 else 's'}" + (
        f" after {before} of warmup" if before else ""
    )
    sent = f"-F {json.dumps(body)}" if plan.form else json.dumps(body)
    return f"{counts}, as POST {service.url}{plan.path} {sent}" + (f" with {json.dumps(files)}" if files else "")


def _quote(word: str, hide: Callable[[str], str]) -> str:
    # `${ASSET_DIR}` must stay a variable for the shell, so it is put in double quotes.
    return f'"{word}"' if "${ASSET_DIR}" in word else shell_word(word, hide=hide)
