"""What an engine version would ignore or reject of a case, told at the key of the case that asks for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import ArgValue, Case
from pytest_sgdiff.engines import flagtable, modeltable
from pytest_sgdiff.engines.attention import attention_asked
from pytest_sgdiff.engines.flags import (
    config_key,
    flag_of,
    given,
    key_given,
    kind_of,
    known_flags,
    nearest_release,
    release_of,
    spans_of,
)
from pytest_sgdiff.engines.flagvalues import choice_problem, shown, value_problem

# Flags that the plugin writes itself: that a case gives them is a matter of advice, whatever the version.
_OWN = frozenset(
    (
        *("model-path", "num-gpus", "backend", "config", "perf-dump-path", "output-path", "output-file-path"),
        *("output-file-name", "master-port", "scheduler-port", "port", "strict-ports"),
    )
)
_ENGINE = "sglang-generate"
_NESTED = (
    "vae-config.",
    "dit-config.",
    "component-paths.",
    "component-weights-paths.",
    "component-attention-backends.",
)
_COMPONENTS = frozenset(
    (
        *("transformer", "transformer-2", "transformer-3", "unet", "vae", "video-vae", "audio-vae", "vocoder"),
        *("text-encoder", "text-encoder-2", "text-encoder-3", "tokenizer", "tokenizer-2", "tokenizer-3", "scheduler"),
        *("image-encoder", "image-processor", "processor", "feature-extractor", "connectors", "bridge"),
        *("spatial-upsampler", "distilled-lora", "duration-predictor", "dual-tower-bridge"),
    )
)
_SINCE_COMPONENTS = 10
_CFG_SIZE_WORKS = 13
# Where `--enable-cfg-parallel` takes no value and yet, not given, is turned on by the engine: before, it was off unless
# given, after, it takes `false`.
_CFG_AUTO_AND_BARE = 11
_WARMUP = ("warmup", "warmup-mode", "server-warmup")
_DEGREES = ("sp-degree", "ulysses-degree", "ring-degree")


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """One thing that the version would ignore or reject. `key` is the dotted key in the case (`args.width`)."""

    level: Literal["error", "warning"]
    slug: str
    message: str
    key: str


def complaints(case: Case, version: str) -> tuple[Complaint, ...]:
    """Everything that this engine version would not do as the case says; empty for a case that it runs as written, and
    for one of another engine, which has flags of its own."""
    return tuple(_complaints(case, version)) if case.engine == _ENGINE else ()


def _complaints(case: Case, version: str) -> Iterator[Complaint]:
    release = nearest_release(version)
    if release_of(version) is None:
        message = f"sglang {version} is not known; its flags are taken to be those of 0.5.{release}"
        yield Complaint(level="warning", slug="engine-unknown", message=message, key="requires.engine")
    yield from _model(case, release)
    for name, value in case.args.items():
        found = _dropped_false(case, name, release) or _flag(name, value, release)
        if found is not None:
            slug, message = found
            level: Literal["error", "warning"] = "warning" if slug == "component-path" else "error"
            yield Complaint(level=level, slug=slug, message=message, key=f"args.{name}")
    yield from _attention(case, release)
    for name in case.assets:
        if kind_of(name, release) is None:
            slug, message = _absent(name, release)
            yield Complaint(level="error", slug=slug, message=message, key=f"assets.{name}")
    for key in case.config:
        found = _in_config(case, key, release)
        if found is not None:
            slug, message = found
            yield Complaint(level="error", slug=slug, message=message, key=f"config.{key}")


def _model(case: Case, release: int) -> Iterator[Complaint]:
    since = modeltable.MODELS.get(case.model)
    if since is None or release >= since or case.runs_on != "sglang":
        return
    if case.model in modeltable.KIN:
        message = f"sglang 0.5.{release} does not know {case.model}, which came with 0.5.{since}: it may fall back"
        yield Complaint(level="warning", slug="model-unknown", message=message, key="model")
    else:
        message = f"sglang 0.5.{release} has no native support for {case.model}: it came with 0.5.{since}"
        yield Complaint(level="error", slug="model-unsupported", message=message, key="model")


def _attention(case: Case, release: int) -> Iterator[Complaint]:
    """Attention backends of the native backend that came later. In 0.5.8 the parser itself has a list."""
    for flag, backend in attention_asked(case).items():
        since = modeltable.ATTENTION.get(backend, 0)
        if flagtable.OLDEST < release < since and case.runs_on == "sglang":
            key = key_given(case, flag) or key_given(case, flag.partition(".")[0]) or "args"
            message = f"sglang 0.5.{release} has no attention backend {backend}: it came with 0.5.{since}"
            yield Complaint(level="error", slug="flag-value", message=message, key=key)


def _dropped_false(case: Case, name: str, release: int) -> tuple[str, str] | None:
    """CFG parallel switched off where that cannot be said, so that the engine would switch it on."""
    if name != "enable-cfg-parallel" or release != _CFG_AUTO_AND_BARE or case.gpus < 2:
        return None
    if shown(case.args[name]).lower() != "false" or any(given(case, degree) is not None for degree in _DEGREES):
        return None
    return "flag-ignored", (
        f"sglang 0.5.{release} cannot be told `{name}: false`, and turns CFG parallel on by itself where nothing says "
        f"how {case.gpus} GPUs are used: pin `ulysses-degree: {case.gpus}`"
    )


def _flag(name: str, value: ArgValue, release: int) -> tuple[str, str] | None:
    """Slug and message of what is wrong with one flag, None if nothing is."""
    if "_" in name.partition(".")[0] or ("_" in name and not name.startswith("component-")):
        fixed = name.replace("_", "-")
        return "flag-underscore", f"`{name}` is written with underscores, which `sglang generate` rejects: `{fixed}`"
    if name in _OWN:
        return None
    since, until, instead = flagtable.DROPPED.get(name, (0, 0, ""))
    if since <= release <= until:
        return "flag-ignored", f"sglang 0.5.{release} accepts --{name} and drops it: write `{instead}`"
    kind = kind_of(name, release)
    if kind is None:
        return None if name.startswith(_NESTED) else _absent(name, release)
    return value_problem(name, value, kind, release)


def _absent(name: str, release: int) -> tuple[str, str]:
    """Why that release does not have the flag, and what to write instead."""
    spans = spans_of(name)
    if name == "warmup":
        return "flag-ambiguous", (
            f"sglang 0.5.{release} rejects --warmup as ambiguous: write `warmup: request` on the case"
        )
    if name == "warmup-mode":
        return "flag-missing", (
            f"sglang 0.5.{release} has no --warmup-mode (since 0.5.14): write `warmup: request` on the case"
        )
    if name == "cfg-parallel-size":
        return "flag-missing", (
            f"sglang 0.5.{release} has no --cfg-parallel-size that works (since 0.5.{_CFG_SIZE_WORKS}): "
            "write `enable-cfg-parallel: true`"
        )
    if spans and release < spans[0][0]:
        return "flag-missing", f"sglang 0.5.{release} has no --{name}: it came with 0.5.{spans[0][0]}"
    if spans:
        return "flag-missing", f"sglang 0.5.{release} has no --{name}: it went after 0.5.{spans[-1][1]}"
    return _unknown(name, release)


def _unknown(name: str, release: int) -> tuple[str, str]:
    known = known_flags(release)
    longer = [flag for flag in known if flag.startswith(name)]
    if longer:
        shown = ", ".join(longer[:3])
        return "flag-abbreviated", (
            f"`{name}` is an abbreviation, which the engine parses and then ignores: write it in full ({shown})"
        )
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    meant = f"; did you mean `{close[0]}`?" if close else ""
    if name.endswith("-path") and release >= _SINCE_COMPONENTS:
        component = name.removesuffix("-path").removesuffix("-weights")
        if component in _COMPONENTS:
            return "component-path", f"`{name}` replaces the component {component}: its numbers are its own"
        return "flag-swallowed", f"sglang has no --{name} and would take it for the path of a component{meant}"
    component = name.removesuffix("-attention-backend")
    if component != name and component in _COMPONENTS:
        meant = f"; did you mean `component-attention-backends.{component.replace('-', '_')}`?"
    return "flag-unknown", f"sglang 0.5.{release} has no --{name}{meant}"


def _in_config(case: Case, key: str, release: int) -> tuple[str, str] | None:
    """What is wrong with one key of the config. What is no flag may still be a setting of the model's pipeline."""
    name = flag_of(key)
    if name in (*_OWN, *_WARMUP):
        return None
    if name is None and "-" in key:
        fixed = key.replace("-", "_")
        return "flag-ignored", f"the engine does not read `{key}` in a config, whose keys have underscores: `{fixed}`"
    if name is None:
        return None
    if key != config_key(name):
        return "flag-ignored", f"the engine does not read `{key}` in a config, where it is called `{config_key(name)}`"
    if name in case.args:
        return "flag-ignored", f"`{key}` of the config gives way to `{name}` under `args`: drop one of them"
    if name in flagtable.SAMPLING and release < flagtable.SAMPLING_IN_CONFIG:
        return "flag-ignored", (
            f"sglang 0.5.{release} reads no parameters of the request from a config (since "
            f"0.5.{flagtable.SAMPLING_IN_CONFIG}): give `{name}` under `args`"
        )
    kind, value = kind_of(name, release), case.config[key]
    if kind is None:
        return _absent(name, release)
    if not isinstance(value, str):
        return None
    if kind in ("boolean", "switch"):
        return "flag-value", f"in a config any text counts as true, '{value}' too: write true or false without quotes"
    if name in (*flagtable.INTEGERS.split(), *flagtable.FLOATS.split()):
        return "flag-value", f"in a config '{value}' stays text: write the number without quotes"
    return choice_problem(name, value, release)
