"""Writes the flags of a case for one engine version, and refuses what that version would ignore or reject.

The engine is a moving target: `--warmup` became ambiguous in 0.5.18, `--enable-cfg-parallel false` breaks before
0.5.12, `--cfg-parallel-size` parses and is dropped in 0.5.12, an abbreviated flag parses and is ignored in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_sgdiff.data import ArgValue, Case
from pytest_sgdiff.engine_version import engine_version
from pytest_sgdiff.engines import conditioning
from pytest_sgdiff.engines.flags import table
from pytest_sgdiff.engines.flags.check import Complaint, complaints
from pytest_sgdiff.engines.flags.lookup import EngineFlags, flags_of, given, table_flags, text_of

__all__ = [
    "NEWEST",
    "VERSIONS",
    "Complaint",
    "EngineFlags",
    "complaints",
    "flags_of",
    "meant_for",
    "table_flags",
    "translate",
]

VERSIONS = tuple(f"0.5.{release}" for release in range(table.OLDEST, table.NEWEST + 1))
"""The engines that the tables know, oldest first."""

NEWEST = VERSIONS[-1]
"""The newest engine that the table knows; what command lines are written for where no engine is installed."""

_ASSETS_AFTER = ("negative-prompt", "prompt")
_GPUS_BEFORE = (
    *("enable-cfg-parallel", "cfg-parallel-size", "ulysses-degree", "ring-degree", "sp-degree", "tp-size", "dp-size"),
    *("enable-torch-compile",),
)


def meant_for(case: Case, version: str) -> bool:
    """Whether the case requires that engine, or any."""
    return engine_version(version).satisfies(case.requires.engine or "")


def translate(
    case: Case,
    engine: EngineFlags,
    *,
    assets: Mapping[str, str] | None = None,
    config: str | None = None,
    warms_up_itself: bool = True,
) -> tuple[str, ...]:
    """The flags of a case, as words in the order of its args, for one engine.

    `assets` maps flags (`image-path`) to files, `config` is the file that holds the case's config. Flags that the
    case implies go where the performance guide writes them: GPUs before the topology, warmup after compilation,
    assets and config after the prompt. `warms_up_itself`: the case's warmup is the engine's, not a client's.
    """
    args = dict(case.args)
    # The native backend is the engine's default: it is named where the case names it, which also forbids a fallback.
    backend = args.pop("backend", case.backend)
    assets = {flag: path for flag, path in (case.assets if assets is None else assets).items() if flag not in args}
    words = [] if backend is None else _words("backend", backend, engine)
    words += _words("model-path", case.model, engine)

    gpus = ["--num-gpus", str(case.gpus)] if case.gpus > 1 and "num-gpus" not in args else []
    gpus_before = next((name for name in args if name in _GPUS_BEFORE), None)
    warmup = list(_warmup(case, engine) if warms_up_itself else _server_warmup(case, engine))
    files = [word for flag, path in assets.items() for word in ("--" + flag, path)]
    files += [] if config is None else ["--config", config]
    files_after = next((name for name in _ASSETS_AFTER if name in args), None)

    words += gpus if gpus_before is None else []
    for name, value in args.items():
        if name == gpus_before:
            words += gpus
        words += _words(name, value, engine)
        if name == files_after:
            words += files
        if name == "enable-torch-compile":
            words += warmup
    words += files if files_after is None else []
    words += warmup if "enable-torch-compile" not in args else []
    return tuple(words)


def _warmup(case: Case, engine: EngineFlags) -> Iterator[str]:
    """The intent in the engine's words. Explicit warmup flags of the case stand for themselves."""
    yield from _warmup_mode(case, engine)
    if conditioning.to_be_off(case) and engine.kind_of(conditioning.DISABLE) is not None:
        # Else the measured request finds in the cache what the warmup, its copy, has encoded.
        yield "--" + conditioning.DISABLE


def _server_warmup(case: Case, engine: EngineFlags) -> Iterator[str]:
    """Servers warm up by made-up requests, unless they are told not to; the case's own warmup is a client's request."""
    own = any(name in case.args for name in ("warmup", "warmup-mode", "server-warmup", "warmup-resolutions"))
    if case.warmup == "off" and not own:
        yield from ("--warmup-mode", "off")
    if conditioning.to_be_off(case) and engine.kind_of(conditioning.DISABLE) is not None:
        yield "--" + conditioning.DISABLE


def _warmup_mode(case: Case, engine: EngineFlags) -> Iterator[str]:
    if any(name in case.args for name in ("warmup", "warmup-mode", "warmup-resolutions")):
        return
    modes = engine.kind_of("warmup-mode") is not None
    if case.warmup == "request":
        yield from ("--warmup-mode", "request") if modes else ("--warmup",)
    elif modes and given(case, "enable-torch-compile"):
        # From 0.5.15 torch.compile turns on a server warmup, which `generate` never runs and yet reports as done.
        yield from ("--warmup-mode", "off")


def _words(name: str, value: ArgValue, engine: EngineFlags) -> list[str]:
    """One flag as words. True is a bare flag, a tuple several values; a value like `-1` is joined with `=`, or the
    engine would take it for a flag."""
    flag = "--" + name
    if value is True:
        return [flag]
    if value is False:
        off, kind = engine.off_switch(name), engine.kind_of(name)
        if off is not None:
            return ["--" + off]
        void = kind == "switch" or (kind is None and name == conditioning.DISABLE)
        return [] if void else [flag, "false"]
    if isinstance(value, tuple):
        return [flag, *map(text_of, value)]
    text = text_of(value)
    # The guide joins this one value, and people look for commands by its words.
    return [f"{flag}={text}"] if text.startswith("-") or (name, text) == ("backend", "sglang") else [flag, text]
