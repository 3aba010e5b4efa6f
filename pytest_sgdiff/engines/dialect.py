"""Writes the flags of a case for one engine version, and refuses what that version would ignore or reject.

The engine is a moving target: `--warmup` became ambiguous in 0.5.18, `--enable-cfg-parallel false` breaks before
0.5.12, `--cfg-parallel-size` parses and is dropped in 0.5.12, an abbreviated flag parses and is ignored in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_sgdiff.data import ArgValue, Case
from pytest_sgdiff.engines import flagtable
from pytest_sgdiff.engines.complaints import Complaint, complaints
from pytest_sgdiff.engines.flags import given, has_flag, kind_of, nearest_release, text_of

__all__ = ["NEWEST", "VERSIONS", "Complaint", "complaints", "has_flag", "meant_for", "translate"]

VERSIONS = tuple(f"0.5.{release}" for release in range(flagtable.OLDEST, flagtable.NEWEST + 1))
"""The engines that the tables know, oldest first."""

NEWEST = VERSIONS[-1]
"""The newest engine that the table knows; what command lines are written for where no engine is installed."""

_ASSETS_AFTER = ("negative-prompt", "prompt")
_GPUS_BEFORE = (
    *("enable-cfg-parallel", "cfg-parallel-size", "ulysses-degree", "ring-degree", "sp-degree", "tp-size", "dp-size"),
    *("enable-torch-compile",),
)


def meant_for(case: Case, version: str) -> bool:
    """Whether the case requires that engine, or any; pre-releases count as what they precede."""
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(case.requires.engine or "").contains(version, prereleases=True)


def translate(
    case: Case, version: str, *, assets: Mapping[str, str] | None = None, config: str | None = None
) -> tuple[str, ...]:
    """The flags of a case, as words in the order of its args, for one engine version.

    `assets` maps flags (`image-path`) to files, `config` is the file that holds the case's config. Flags that the
    case implies go where the performance guide writes them: GPUs before the topology, warmup after compilation,
    assets and config after the prompt.
    """
    release = nearest_release(version)
    args = dict(case.args)
    # The native backend is the engine's default: it is named where the case names it, which also forbids a fallback.
    backend = args.pop("backend", case.backend)
    assets = {flag: path for flag, path in (case.assets if assets is None else assets).items() if flag not in args}
    words = [] if backend is None else _words("backend", backend, release)
    words += _words("model-path", case.model, release)

    gpus = ["--num-gpus", str(case.gpus)] if case.gpus > 1 and "num-gpus" not in args else []
    gpus_before = next((name for name in args if name in _GPUS_BEFORE), None)
    warmup = list(_warmup(case, release))
    files = [word for flag, path in assets.items() for word in ("--" + flag, path)]
    files += [] if config is None else ["--config", config]
    files_after = next((name for name in _ASSETS_AFTER if name in args), None)

    words += gpus if gpus_before is None else []
    for name, value in args.items():
        if name == gpus_before:
            words += gpus
        words += _words(name, value, release)
        if name == files_after:
            words += files
        if name == "enable-torch-compile":
            words += warmup
    words += files if files_after is None else []
    words += warmup if "enable-torch-compile" not in args else []
    return tuple(words)


def _warmup(case: Case, release: int) -> Iterator[str]:
    """The intent in the engine's words. Explicit warmup flags of the case stand for themselves."""
    if any(name in case.args for name in ("warmup", "warmup-mode", "warmup-resolutions")):
        return
    modes = kind_of("warmup-mode", release) is not None
    if case.warmup == "request":
        yield from ("--warmup-mode", "request") if modes else ("--warmup",)
    elif modes and given(case, "enable-torch-compile"):
        # From 0.5.15 torch.compile turns on a server warmup, which `generate` never runs and yet reports as done.
        yield from ("--warmup-mode", "off")


def _words(name: str, value: ArgValue, release: int) -> list[str]:
    """One flag as words. True is a bare flag, a tuple several values; a value like `-1` is joined with `=`, or the
    engine would take it for a flag."""
    flag = "--" + name
    if value is True:
        return [flag]
    if value is False:
        if name == "save-output":
            return ["--no-save-output"]
        return [] if kind_of(name, release) == "switch" else [flag, "false"]
    if isinstance(value, tuple):
        return [flag, *map(text_of, value)]
    text = text_of(value)
    # The guide joins this one value, and people look for commands by its words.
    return [f"{flag}={text}"] if text.startswith("-") or (name, text) == ("backend", "sglang") else [flag, text]
