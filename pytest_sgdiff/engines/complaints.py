"""What an engine version would ignore or reject of a case, told at the key of the case that asks for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import ArgValue, Case
from pytest_sgdiff.engines import flagtable
from pytest_sgdiff.engines.flags import kind_of, nearest_release, release_of, text_of
from pytest_sgdiff.engines.flagtable import Kind

# Flags that the plugin writes itself: that a case gives them is a matter of advice, whatever the version.
_OWN = frozenset(
    (
        *("model-path", "num-gpus", "backend", "config", "perf-dump-path", "output-path", "output-file-path"),
        *("output-file-name", "master-port", "scheduler-port", "port", "strict-ports"),
    )
)
_NESTED = ("vae-config.", "dit-config.", "component-paths.", "component-weights-paths.")
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """One thing that the version would ignore or reject. `key` is the dotted key in the case (`args.width`)."""

    level: Literal["error", "warning"]
    slug: str
    message: str
    key: str


def complaints(case: Case, version: str) -> tuple[Complaint, ...]:
    """Everything that this engine version would not do as the case says; empty for a case that it runs as written."""
    return tuple(_complaints(case, version))


def _complaints(case: Case, version: str) -> Iterator[Complaint]:
    release = nearest_release(version)
    if release_of(version) is None:
        message = f"sglang {version} is not known; its flags are taken to be those of 0.5.{release}"
        yield Complaint(level="warning", slug="engine-unknown", message=message, key="requires.engine")
    yield from _model(case, release)
    for name, value in case.args.items():
        found = _flag(name, value, release)
        if found is not None:
            slug, message = found
            level: Literal["error", "warning"] = "warning" if slug == "component-path" else "error"
            yield Complaint(level=level, slug=slug, message=message, key=f"args.{name}")
    for name in case.assets:
        if kind_of(name, release) is None:
            slug, message = _absent(name, release)
            yield Complaint(level="error", slug=slug, message=message, key=f"assets.{name}")


def _model(case: Case, release: int) -> Iterator[Complaint]:
    since = flagtable.MODELS.get(case.model)
    if since is None or release >= since or case.backend != "sglang":
        return
    if case.model in flagtable.KIN:
        message = f"sglang 0.5.{release} does not know {case.model}, which came with 0.5.{since}: it may fall back"
        yield Complaint(level="warning", slug="model-unknown", message=message, key="model")
    else:
        message = f"sglang 0.5.{release} has no native support for {case.model}: it came with 0.5.{since}"
        yield Complaint(level="error", slug="model-unsupported", message=message, key="model")


def _flag(name: str, value: ArgValue, release: int) -> tuple[str, str] | None:
    """Slug and message of what is wrong with one flag, None if nothing is."""
    if "_" in name:
        fixed = name.replace("_", "-")
        return "flag-underscore", f"`{name}` is written with underscores, which `sglang generate` rejects: `{fixed}`"
    if name in _OWN:
        return None
    if name == "cfg-parallel-size" and release == _CFG_SIZE_WORKS - 1:
        return (
            "flag-ignored",
            f"sglang 0.5.{release} accepts --cfg-parallel-size and drops it: write `enable-cfg-parallel: true`",
        )
    kind = kind_of(name, release)
    if kind is None:
        return None if name.startswith(_NESTED) else _absent(name, release)
    return _value(name, value, kind, release)


def _absent(name: str, release: int) -> tuple[str, str]:
    """Why that release does not have the flag, and what to write instead."""
    spans = _spans(name)
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
    known = _known(release)
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
    if name.endswith("-attention-backend") and name.removesuffix("-attention-backend") in _COMPONENTS:
        return "component-path", f"`{name}` sets the attention backend of one component"
    return "flag-unknown", f"sglang 0.5.{release} has no --{name}{meant}"


def _value(name: str, value: ArgValue, kind: Kind, release: int) -> tuple[str, str] | None:
    """What is wrong with how the value is written for that kind of flag."""
    if kind == "switch":
        if not isinstance(value, bool):
            return "flag-value", f"--{name} takes no value in sglang 0.5.{release}: write `{name}: true`"
        return None
    if kind == "boolean":
        if isinstance(value, bool) or str(value).lower() in ("true", "false"):
            return None
        return "flag-value", f"--{name} takes true or false, not {_shown(value)}: any other value ends the engine"
    if value is True:
        return "flag-value", f"--{name} needs a value"
    if kind == "value" and isinstance(value, tuple):
        return "flag-value", f"--{name} takes one value in sglang 0.5.{release}, not {len(value)}"
    if isinstance(value, tuple) and any(text_of(part).startswith("-") for part in value):
        return "flag-value", f"--{name}: a value that begins with '-' in a list would be taken for a flag"
    allowed = _choices(name, release)
    if allowed and _shown(value) not in allowed:
        return "flag-value", f"sglang 0.5.{release} has no --{name} {_shown(value)}; it has {', '.join(allowed)}"
    if name in ("pipeline-class-name", "pipeline"):
        since = flagtable.PIPELINES.get(_shown(value), 0)
        if release < since:
            return "pipeline-missing", f"sglang 0.5.{release} has no {_shown(value)}: it came with 0.5.{since}"
    return None


def _choices(name: str, release: int) -> tuple[str, ...]:
    """The values that the release allows; empty where any may be given."""
    allowed = ""
    for since, values in flagtable.CHOICES.get(name, ()):
        if since <= release:
            allowed = values
    return tuple(allowed.split())


def _spans(name: str) -> list[tuple[int, int]]:
    """First and last release of each span in which the flag exists, oldest first."""
    return sorted(
        (since, until or flagtable.NEWEST)
        for (since, until, _), names in flagtable.FLAGS.items()
        if name in names.split()
    )


def _known(release: int) -> list[str]:
    return sorted(
        name
        for (since, until, _), names in flagtable.FLAGS.items()
        if since <= release <= (until or flagtable.NEWEST)
        for name in names.split()
    )


def _shown(value: ArgValue) -> str:
    return " ".join(map(text_of, value)) if isinstance(value, tuple) else text_of(value)
