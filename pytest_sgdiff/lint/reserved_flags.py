"""Flags and variables that the plugin writes itself, from keys of the case or for each launch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from pytest_sgdiff.data import Command
from pytest_sgdiff.lint.protocol import Finding, Rule, View, first_of
from pytest_sgdiff.redact import sensitive

_KEY_OF: Mapping[str, str] = {
    "model-path": "model",
    "model": "model",
    "num-gpus": "gpus",
    "backend": "backend",
    "config": "config",
    "warmup": "warmup",
    "warmup-mode": "warmup",
    "server-warmup": "warmup",
}
_PER_LAUNCH = (
    *("perf-dump-path", "output-path", "output-file-name", "output-file-path"),
    *("master-port", "scheduler-port", "port", "strict-ports"),
)
_PER_SERVER = ("host", "input-save-path", "uvicorn-access-log-exclude-prefixes")
PERF_LOG_DIR = "SGLANG_PERF_LOG_DIR"
_OWNED = re.compile(
    # Without its mark a launch that outlives its worker is never found. Stand-in engines alone read SGDIFF_FAKE_*.
    r"SGDIFF_(?!FAKE_)\w*|CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|SGLANG_PERF_LOG_DIR"
    r"|(?:(?:LOCAL|GROUP|NODE|ROLE)_)?(?:RANK|WORLD_SIZE)|MASTER_(?:ADDR|PORT)"
)
_ASSIGNMENT = re.compile(r"(\w+)=.*", re.DOTALL)
# Declared flags that end in -path; any other is taken for the path of a component, a misspelt one too.
_PATH_FLAGS = (
    *("model-path", "image-path", "video-path", "audio-path", "mask-path", "prompt-path", "prompt-file-path"),
    *("lora-path", "transformer-path", "transformer-weights-path", "transformer-2-path", "vae-path"),
    *("text-encoder-path", "text-encoder-2-path", "image-encoder-path", "scheduler-path", "tokenizer-path"),
    *("spatial-upsampler-path", "distilled-lora-path", "mask-strategy-file-path", *_PER_LAUNCH),
)


def owned_flag(view: View) -> Iterator[Finding]:
    for flag in first_of(view, _KEY_OF):
        if flag == "warmup-mode" and view.case.serves:
            # A server's own warmup is another thing than the client's request that the key means.
            continue
        yield Finding(
            view.place(flag), f"the plugin writes {flag} from '{_KEY_OF[flag]}' of the case: set that key instead"
        )
    for flag in first_of(view, _PER_LAUNCH):
        yield Finding(view.place(flag), f"the plugin writes {flag}, with another value for each launch: drop it")
    for flag in first_of(view, _PER_SERVER) if view.case.serves else ():
        yield Finding(view.place(flag), f"the plugin writes {flag} for each server, and its own value wins: drop it")


def owned(names: Iterable[str]) -> tuple[str, ...]:
    """Those variables that the plugin sets or takes away for every launch: its marks, by which a launch is found and
    ended, the GPUs, and the ranks of a distributed job."""
    return tuple(name for name in names if _OWNED.fullmatch(name))


def taken_over(asked: Command, changed: Command) -> tuple[str, ...]:
    """The plugin's own variables that a changed command sets, also through `env NAME=value`, drops or takes away."""
    ours = owned({*asked.env, *changed.env})
    words = [found[1] for word in changed.argv if word not in asked.argv and (found := _ASSIGNMENT.fullmatch(word))]
    unset = [name for name in changed.unset if name not in asked.unset]
    differ = [name for name in ours if changed.env.get(name) != asked.env.get(name)]
    return tuple(dict.fromkeys((*sorted(differ), *owned(unset), *owned(words))))


def owned_variable(view: View) -> Iterator[Finding]:
    for name in owned(view.case.env):
        yield Finding(f"env.{name}", f"the plugin sets {name} for every launch: drop it")


def secret_in_case(view: View) -> Iterator[Finding]:
    for key, name in (*(("env", name) for name in view.case.env), *(("config", name) for name in view.case.config)):
        # What a fixture adds to a case of a file stands nowhere in the file.
        in_file = view.case.written is None or f"{key}.{name}" in view.case.written
        if in_file and sensitive(name):
            yield Finding(
                f"{key}.{name}", f"{name} looks like a secret in a file that is committed: set it in the environment"
            )


def misspelt_path(view: View) -> Iterator[Finding]:
    import difflib

    for flag in view.case.args:
        # Of a newer engine only its own help says which flags it has, and what that lacks is an error already.
        newer = view.engine is not None and view.engine.version.newest
        if flag.endswith("-path") and flag not in _PATH_FLAGS and not newer:
            close = difflib.get_close_matches(flag, _PATH_FLAGS, n=1, cutoff=0.8)
            if close:
                yield Finding(
                    view.place(flag),
                    f"the engine silently reads {flag} as the path of a component: did you mean {close[0]}?",
                )


RULES = (
    Rule(slug="owned-flag", level="error", check=owned_flag),
    Rule(slug="owned-variable", level="error", check=owned_variable),
    Rule(slug="secret-in-case", level="error", check=secret_in_case),
    Rule(slug="misspelt-path", level="error", check=misspelt_path),
)
