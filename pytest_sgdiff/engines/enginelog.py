"""Reads the engine's log: what it says about backend, pipeline, attention, warmup, failures and its own choices.

The log holds stdout and stderr together. Colour codes are written unconditionally, progress bars redraw with carriage
returns and other lines get glued to them: all of that is undone first, and phrases are then looked for anywhere in a
line. What the engine merely echoes - prompts, resolved arguments, lists of known pipelines - is no evidence.

The phrases are those of sglang 0.5.8 to 0.5.23 (runtime/entrypoints/diffusion_generator.py, managers/scheduler.py,
server_warmup.py, pipelines_core/__init__.py, registry.py).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_sgdiff.data import Cause
from pytest_sgdiff.engines.attention import AttentionUse, attention_fallbacks, attention_uses
from pytest_sgdiff.engines.failure import cause_of, failure_lines, lacked

Warmup = Literal["proven", "unproven", "none"]

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_RECORD = re.compile(r"(?=\[\d\d-\d\d \d\d:\d\d:\d\d[^\]\n]{0,40}\] )")
_LINE_END = re.compile(r"[\r\n]+")

# Words of which every phrase below holds one: most lines of a log hold none, and are not looked at further.
_TELLING = re.compile(
    r"pipeline|diffusers|backend|fall(?:ing|s)? back|warm|fired up|native|automatically|auto memory|offloading"
    r"|torch\.compile|fail|error|exception|interrupt|exit|dead|empty output|eaddrinuse|address already|memory|cannot"
)
_LONGEST = 4000
_ECHO = re.compile(
    r"^(?:\[[^\]]*\] )?(?:server_args: |Processing prompt \d|Available pipelines)"
    r"|^\s+(?:neg(?:ative)?_)?prompt: ",
    re.IGNORECASE,
)
_SERVER_ARGS = re.compile(r"\bserver_args: (?=\{)")
_BLOCK = re.compile(r"\bSampling params:$")
_BLOCK_LINE = re.compile(r"^\s+(\w+): (.*)$")
_PIPELINE = re.compile(
    r"Using (?:pipeline from model_index\.json: (\w+)|explicitly specified pipeline: \S+ \(class: (\w+)\))",
    re.IGNORECASE,
)
_FALLBACK = re.compile(
    r"falling back to diffusers backend|using diffusers backend|loaded diffusers pipeline", re.IGNORECASE
)
_COMPONENT_FALLBACK = re.compile(
    r"falling back to native version|\bNative component \S+: .* is loaded, performance may be sub-optimal",
    re.IGNORECASE,
)
_COMPILE_FAILURE = re.compile(r"Failed to apply torch\.compile", re.IGNORECASE)
_AUTO_TUNED = re.compile(
    r"Automatically (?:set|enabled?|disabled|selecting|replacing)\b|Auto memory policy"
    r"|Disabling some offloading|Enabling (?:all|large component) offloading",
    re.IGNORECASE,
)

# What is printed only after a warmup request has ended. The bar advances on failure too, hence the second pattern.
_WARMED_UP = re.compile(
    r"Warmup req (?:\(\d+/\d+\) )?processed in\b"
    r"|The server is fired up and ready to roll"
    r"|Warmup requests:\s*100%"
    r"|Warmup requests: ([1-9]\d*)/\1\b",
    re.IGNORECASE,
)
_WARMUP_FAILED = re.compile(
    r"\bwarmup req\b.*processing failed|Warmup failed, so this request ran cold|Synthetic server warmup failed",
    re.IGNORECASE,
)
# Printed whenever a warmup mode is set, also when nothing was warmed up: a claim, not a proof.
_WARMUP_CLAIMED = re.compile(
    r"\(with warmup excluded\)|Automatically enabled server warmup|Warmup requests:|Processing warmup req",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEvidence:
    """What a log shows; every tuple of lines quotes the log, cleaned, in its order.

    `pipeline` is the pipeline class, `fallbacks` the lines of the diffusers backend, `requested_diffusers` whether it
    was asked for; `sampling` are the measured request's parameters as logged; `components` tells of single components
    that run as diffusers classes in a native pipeline; `cause` says in one line why the launch failed, if it did,
    and `lacked` whether it was for want of memory or of a port.
    """

    lines: tuple[str, ...] = ()
    server_args: Mapping[str, Any] = field(default_factory=dict)
    pipeline: str | None = None
    pipeline_lines: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    requested_diffusers: bool = False
    sampling: Mapping[str, str] = field(default_factory=dict)
    components: tuple[str, ...] = ()
    attention: tuple[AttentionUse, ...] = ()
    attention_fallbacks: tuple[str, ...] = ()
    warmup: Warmup = "none"
    warmup_why: str = "the log shows no warmup"
    warmup_lines: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    cause: str | None = None
    lacked: Cause | None = None
    auto_tuned: tuple[str, ...] = ()
    compile_failures: tuple[str, ...] = ()


def tells(line: str) -> bool:
    """Whether `examine` may learn something from a raw line, wherever in a log it stands. Others only show what the
    last words of a launch were."""
    return bool(
        _TELLING.search(line.lower())
        or "server_args: " in line
        or "Sampling params:" in line
        or _BLOCK_LINE.match(line)
        or "dumped to" in line
    )


def clean(log: str) -> tuple[str, ...]:
    """The log's lines without colours and cursor movements, one record a line, blank lines left out."""
    found: list[str] = []
    for line in _LINE_END.split(_ANSI.sub("", log)):
        found.extend(part.rstrip() for part in _RECORD.split(line) if part.strip())
    return tuple(found)


def examine(log: str, *, prompts: Sequence[str] = ()) -> LogEvidence:
    """Everything that the log tells. `prompts` are texts that the engine may echo: they prove nothing."""
    lines = clean(log)
    server_args = _server_args(lines)
    telling = _without_echoes(lines, prompts)
    pipelines = [(match[1] or match[2], line) for line in telling if (match := _PIPELINE.search(line))]
    # One rank on the diffusers backend is one too many.
    pipeline = next((name for name, _ in pipelines if name == "DiffusersPipeline"), None)
    fallbacks = _matching(telling, _FALLBACK)
    warmup, why, evidence = _warmup(telling, server_args)
    return LogEvidence(
        lines=lines,
        server_args=server_args,
        pipeline=pipeline or next((name for name, _ in pipelines), None),
        pipeline_lines=tuple(dict.fromkeys(line for _, line in pipelines)),
        fallbacks=fallbacks,
        requested_diffusers=server_args.get("backend") == "diffusers"
        or any("(explicitly requested)" in line for line in fallbacks),
        sampling=_sampling(lines),
        components=_matching(telling, _COMPONENT_FALLBACK),
        attention=attention_uses(telling),
        attention_fallbacks=attention_fallbacks(telling),
        warmup=warmup,
        warmup_why=why,
        warmup_lines=evidence,
        failures=failure_lines(telling),
        cause=cause_of(telling),
        lacked=lacked(telling),
        auto_tuned=tuple(dict.fromkeys(_message(line) for line in _matching(telling, _AUTO_TUNED))),
        compile_failures=_matching(telling, _COMPILE_FAILURE),
    )


def _finite(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=str)


def _server_args(lines: Iterable[str]) -> dict[str, Any]:
    """The first record of resolved arguments; empty if there is none or it was cut off. Numbers that JSON has no word
    for (Infinity, NaN, 1e999) are kept as their text."""
    for line in lines:
        if match := _SERVER_ARGS.search(line):
            try:
                found, _ = _DECODER.raw_decode(line, match.end())
            except (ValueError, RecursionError):
                continue
            return found if isinstance(found, dict) else {}
    return {}


def _sampling(lines: Iterable[str]) -> dict[str, str]:
    """The block `Sampling params:` as text by name (`width`, `num_frames`); the last one is the measured request's."""
    found: dict[str, str] = {}
    inside = False
    for line in lines:
        if _BLOCK.search(line):
            found, inside = {}, True
        elif inside and (match := _BLOCK_LINE.match(line)):
            found.setdefault(match[1], match[2])
        elif line.startswith("["):
            inside = False
    return found


def _without_echoes(lines: Iterable[str], prompts: Sequence[str]) -> tuple[str, ...]:
    """The lines that can tell anything and that the engine itself says, none overlong."""
    told = [line[:_LONGEST] for line in lines if _TELLING.search(line.lower()) and not _ECHO.search(line)]
    # Logs print a prompt whole or its first 100 characters, and one of several lines as several lines.
    echoes = {part.strip()[:100] for prompt in prompts for part in prompt.splitlines() if part.strip()}
    for echo in sorted(echoes, key=lambda echo: (-len(echo), echo)):
        # Words that could pass for evidence are taken out; common ones are not, or `cat` would ruin `indication`.
        if any(pattern.search(echo) for pattern in (_FALLBACK, _PIPELINE, _WARMED_UP, _WARMUP_FAILED)) or failure_lines(
            [echo]
        ):
            told = [line.replace(echo, "<prompt>") for line in told]
    return tuple(told)


def _warmup(lines: Sequence[str], server_args: Mapping[str, Any]) -> tuple[Warmup, str, tuple[str, ...]]:
    """State, reason and the lines behind it."""
    failed, done = _matching(lines, _WARMUP_FAILED), _matching(lines, _WARMED_UP)
    claimed = _matching(lines, _WARMUP_CLAIMED)
    if failed:
        return "unproven", "the warmup failed, so that the measured request ran cold", failed
    synthetic = server_args.get("warmup_resolutions")
    if synthetic and (done or claimed):
        why = f"warmup_resolutions {synthetic} warms up synthetic requests instead of the measured one"
        return "unproven", why, done or claimed
    if done:
        return "proven", "the log shows a warmup request that ended", done
    mode = server_args.get("warmup_mode")
    if mode == "server":
        return "unproven", "the engine chose server warmup, which `sglang generate` never runs", claimed
    if claimed:
        return "unproven", "the log claims that warmup was excluded, but shows none that ended", claimed
    if server_args.get("warmup") is True or mode == "request":
        return "unproven", "warmup was asked for, but the log shows none that ended", ()
    return "none", "the log shows no warmup", ()


def _matching(lines: Iterable[str], pattern: re.Pattern[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip() for line in lines if pattern.search(line)))


def _message(line: str) -> str:
    """A record without its time, so that the same words of two ranks are one."""
    return re.sub(r"^\[[^\]]*\] ", "", line.strip())
