"""pytest-sgdiff: reports whether SGLang Diffusion got slower.

One folder for each step of the way that data takes; the way is also the order of imports, from the bottom to the top
(import-linter checks it, see pyproject.toml):

    data                        the nouns, as frozen dataclasses
    files                       the border to the operating system
    engines, judging            pure: a case to a command line, a log and a dump to a reading; measurements to verdicts
    cases, gpus, watch          case files; who gets which GPUs; was a launch disturbed
    launch, baselines           one command and its processes; what is committed
    lint, recordings, compare,  what cannot work; recorded launches; two sides; runs over time; SGLang's own numbers
    history, upstream
    runner                      one case: launches collected, gated, judged
    reports                     all texts that people and programs read
    plugin, cli                 what pytest and the shell call
"""

from __future__ import annotations

from typing import TYPE_CHECKING

UNKNOWN = "0.0.0.dev0"
"""The version of source code that was not installed: older than every release, as of a build without git and tags."""

__version__: str

if not TYPE_CHECKING:  # or every misspelt name of this package would be one to mypy

    def __getattr__(name: str) -> str:
        # Asked for when used (PEP 562): pytest imports this package in every run of its environment.
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("pytest-sgdiff")
        except PackageNotFoundError:
            return UNKNOWN
