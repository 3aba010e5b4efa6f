"""Reads the engine's log: what it says about backend, pipeline, attention, warmup, failures and its own choices.

The log holds stdout and stderr together. Colour codes are written unconditionally, progress bars redraw with carriage
returns and other lines get glued to them, CI systems and ranks put prefixes before them: all of that is undone first.

A phrase that proves something must then begin a record of the engine's own; one that disproves it is looked for
anywhere in a line. What the engine merely echoes - prompts, resolved arguments, lists of known pipelines - is no
evidence, and neither is a line that quotes one.

The phrases are those of sglang 0.5.8 to 0.5.23 (runtime/entrypoints/diffusion_generator.py, managers/scheduler.py,
server_warmup.py, pipelines_core/__init__.py, registry.py).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pytest_sgdiff.data import Cause, CouldStay, Failure, WarmupCode
from pytest_sgdiff.engines import failures as failure
from pytest_sgdiff.engines.attention import AttentionUse, attention_fallbacks, attention_uses
from pytest_sgdiff.engines.log_prefix import ANSI, STAMP, Line, bare_lines

Warmup = Literal["proven", "unproven", "none"]

# Words of which every phrase below holds one: most lines of a log hold none, and are not looked at further.
_TELLING = re.compile(
    r"pipeline|diffusers|backend|fall(?:ing|s)? back|warm|fired up|native|automatically|auto memory|offloading"
    r"|torch\.compile|stay resident|fail|error|exception|interrupt|exit|dead|empty output|eaddrinuse"
    r"|address already|memory|cannot"
)
_LONGEST = 4000
_MOST_PROMPT = 1 << 18
_MOST_ECHOES = 1000
_SIZE_LINE = re.compile(r"\s(?:width|height|num_frames): ")
_RAISED = re.compile(r"(?:^|[\s:|])(?:[a-z_]\w*\.)+[A-Z]\w*(?::|$)")
_ECHO = re.compile(
    r"^(?:\[[^\]]*\] )?(?:server_args: |Processing prompt \d|Available pipelines)"
    r"|^\s+(?:neg(?:ative)?_)?prompt: ",
    re.IGNORECASE,
)
_SERVER_ARGS = re.compile(r"server_args: (?=\{)")
_BLOCK = "Sampling params:"
_BLOCK_LINE = re.compile(r"\s+(\w+):(?: (.*))?$")
_PIPELINE = re.compile(
    r"(?:✓ )?Using (?:pipeline from model_index\.json: (\w+)|explicitly specified pipeline: \S+ \(class: (\w+)\))$",
    re.IGNORECASE,
)
_DIFFUSERS = re.compile(
    r"Using (?:pipeline from model_index\.json: |explicitly specified pipeline: \S+ \(class: )DiffusersPipeline\b",
    re.IGNORECASE,
)
_DIFFUSERS_PIPELINE = "DiffusersPipeline"

# What stands for a value that there is none of; -1 is the engine's own word for a size that it does not know yet.
_NO_VALUE = frozenset(
    ("", "none", "nonetype", "null", "nil", "nan", "n/a", "na", "?", "-", "...", "unknown", "default", "auto", "unset")
)
_FALLBACK = re.compile(
    r"falling back to diffusers backend|using diffusers backend|loaded diffusers pipeline", re.IGNORECASE
)
_COMPONENT_FALLBACK = re.compile(
    r"falling back to native version|\bNative component \S+: .* is loaded, performance may be sub-optimal",
    re.IGNORECASE,
)
_COMPILE_FAILURE = re.compile(r"Failed to apply torch\.compile", re.IGNORECASE)
# The engine could not load its own class of a component. One that has none yet (`doesn't have a customized version
# yet`) is no fallback: nothing else was to be had.
_FELL_BACK = re.compile(r"Error while loading customized (\S+?), falling back to native version", re.IGNORECASE)
_AUTO_TUNED = re.compile(
    r"Automatically (?:set|enabled?|disabled|selecting|replacing)\b|Auto memory policy"
    r"|Disabling (?:some offloading|component offload)|Enabling (?:all|large component) offloading",
    re.IGNORECASE,
)
# Said of the model on every machine alike (runtime/server_args, 0.5.12 to 0.5.23): no choice that could change.
_OF_THE_MODEL = re.compile(
    r"to preserve (?:LTX-?2 official attention semantics|precision)|for the MiniMax H3 text encoder", re.IGNORECASE
)
_STAY_RESIDENT = re.compile(
    r"Components that could stay resident \([^)]*\): \[([^\]]*)\]\. Related offload server args to disable: (.*)"
)
_FLAG = re.compile(r"--[a-z][\w-]*")
_REQUEST = "Running pipeline stages"

# What is printed only after a warmup request has ended. The bar advances on failure too, hence the second pattern.
_WARMED_UP = re.compile(
    r"Warmup req (?:\(\d+/\d+\) )?processed in\b"
    r"|The server is fired up and ready to roll"
    r"|Warmup requests: ([1-9]\d*)/\1\b",
    re.IGNORECASE,
)
_WARMED_UP_BAR = re.compile(r"\s*Warmup requests:\s*100%\|", re.IGNORECASE)
_WARMUP_FAILED = re.compile(
    r"\bwarmup req\b.*processing failed|Warmup failed, so this request ran cold|Synthetic server warmup failed",
    re.IGNORECASE,
)
# Printed whenever a warmup mode is set, also when nothing was warmed up: a claim, not a proof.
_WARMUP_CLAIMED = re.compile(
    r"\(with warmup excluded\)|Automatically enabled server warmup|Warmup requests:|Processing warmup req",
    re.IGNORECASE,
)

# What a server, and from 0.5.21 on `generate` too, logs once its workers take requests (launch_server.py).
_WORKERS_READY = re.compile(r"\[server-load\] workers_ready_monotonic_ns=(\d{1,19})\b")
# What 0.5.23 logs when `serve` turns on breakable CUDA graphs by itself (server_args.py).
_BREAKABLE_GRAPHS = re.compile(r"\[Diffusion BCG\] enabled by default for ")

_AGAINST = (_DIFFUSERS, _FALLBACK, _COMPONENT_FALLBACK, _COMPILE_FAILURE, _WARMUP_FAILED)
"""What counts wherever in a line it stands: a prompt that says so must be taken out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEvidence:
    """What a log shows; every tuple of lines quotes the log, cleaned, in its order.

    `pipeline` is the pipeline class, `pipelines` every one that is named, `fallbacks` the lines of the diffusers
    backend, `requested_diffusers` whether it was asked for; `sampling` are the request's parameters as logged,
    each with every value that it was given; `components` tells of single components that run as diffusers classes in a
    native pipeline; `failures` are the lines of a launch that failed, `failure` is why it, or one that ended early,
    did, `shown` the lines that show that. `warmup_code` is what shows the state of the warmup, `warmup_asked` the sizes
    of made-up requests. `fell_back` are the components whose own class the engine could not load, `could_stay` what it
    says of components that need no offload, and `request_began` the time (`11-23 16:34:30`, local) at which the last
    request's stages began: that of the measured one. `workers_ready_ns` is when the model was loaded, by the host's
    CLOCK_MONOTONIC; `breakable_graphs` are the lines of a server that turned them on by itself.
    """

    lines: tuple[str, ...] = ()
    server_args: Mapping[str, Any] = field(default_factory=dict)
    pipeline: str | None = None
    pipelines: tuple[str, ...] = ()
    pipeline_lines: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    requested_diffusers: bool = False
    sampling: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    components: tuple[str, ...] = ()
    attention: tuple[AttentionUse, ...] = ()
    attention_fallbacks: tuple[str, ...] = ()
    warmup: Warmup = "none"
    warmup_code: WarmupCode = "none"
    warmup_asked: str = ""
    warmup_lines: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    failure: Failure | None = None
    shown: tuple[str, ...] = ()
    auto_tuned: tuple[str, ...] = ()
    compile_failures: tuple[str, ...] = ()
    fell_back: tuple[str, ...] = ()
    fell_back_lines: tuple[str, ...] = ()
    could_stay: CouldStay | None = None
    request_began: str | None = None
    workers_ready_ns: int | None = None
    breakable_graphs: tuple[str, ...] = ()

    @property
    def lacked(self) -> Cause | None:
        """What the launch lacked, where there is a known fix."""
        return None if self.failure is None else self.failure.cause


def tells(line: str) -> bool:
    """Whether `examine` may learn something from a raw line, wherever in a log it stands. Others only show what the
    last words of a launch were."""
    return bool(
        _TELLING.search(line.lower())
        or "server_args: " in line
        or _BLOCK in line
        or _BLOCK_LINE.match(line)
        or _SIZE_LINE.search(line)
        or "dumped to" in line
        or "Traceback (" in line
        or '  File "' in line
        or _RAISED.search(line)
        or "Conditioning cache hit: " in line
        or "workers_ready_monotonic_ns" in line
        or "[Diffusion BCG]" in line
    )


def clean(log: str) -> tuple[str, ...]:
    """The log's lines without colours, cursor movements and prefixes, one record a line, blank lines left out."""
    return tuple(line.text for line in bare_lines(log))


def examine(log: str, *, prompts: Sequence[str] = ()) -> LogEvidence:
    """Everything that the log says. `prompts` are texts that the engine may echo: they prove nothing."""
    every = bare_lines(log)
    lines = tuple(line.text for line in every)
    own = _without_prompts(every, prompts)
    server_args = _server_args(line.text for line in own)
    own = [line for line in own if not _ECHO.search(line.text)]
    telling = tuple(line.text[:_LONGEST] for line in own if _TELLING.search(line.text.lower()))
    records = {line: said for line in telling if (said := _said(line)) is not None}
    pipelines = [
        (name, line) for line, said in records.items() if (match := _PIPELINE.match(said)) and (name := _class(match))
    ]
    # One rank on the diffusers backend is one too many, in whatever place a line says so.
    pipelines += [(_DIFFUSERS_PIPELINE, line) for line in telling if _DIFFUSERS.search(line)]
    names = tuple(dict.fromkeys(name for name, _ in pipelines))
    fallbacks = _matching(telling, _FALLBACK)
    warmup, why, evidence = _warmup(telling, server_args)
    synthetic = server_args.get("warmup_resolutions")
    found = failure.find(own)
    return LogEvidence(
        lines=lines,
        server_args=server_args,
        pipeline=_DIFFUSERS_PIPELINE if _DIFFUSERS_PIPELINE in names else next(iter(names), None),
        pipelines=names,
        pipeline_lines=tuple(dict.fromkeys(line for _, line in pipelines)),
        fallbacks=fallbacks,
        requested_diffusers=server_args.get("backend") == "diffusers"
        or any("(explicitly requested)" in line for line in fallbacks),
        sampling=_sampling(own),
        components=_matching(telling, _COMPONENT_FALLBACK),
        attention=attention_uses(records),
        attention_fallbacks=attention_fallbacks(telling),
        warmup=warmup,
        warmup_code=why,
        warmup_asked=str(synthetic) if why == "synthetic" else "",
        warmup_lines=evidence,
        failures=found.evidence,
        failure=found.failure,
        shown=found.shown,
        auto_tuned=tuple(
            dict.fromkeys(_message(line) for line in _matching(telling, _AUTO_TUNED) if not _OF_THE_MODEL.search(line))
        ),
        compile_failures=_matching(telling, _COMPILE_FAILURE),
        fell_back=tuple(dict.fromkeys(match[1] for line in telling if (match := _FELL_BACK.search(line)))),
        fell_back_lines=_matching(telling, _FELL_BACK),
        could_stay=_could_stay(telling),
        request_began=next(
            (line[1:15] for line, said in reversed(records.items()) if said.startswith(_REQUEST)),
            None,
        ),
        workers_ready_ns=next((int(match[1]) for line in own if (match := _record_of(_WORKERS_READY, line))), None),
        breakable_graphs=tuple(dict.fromkeys(line.text for line in own if _record_of(_BREAKABLE_GRAPHS, line))),
    )


def _could_stay(lines: Sequence[str]) -> CouldStay | None:
    """What the last request shows; None where no component is named."""
    for line in reversed(lines):
        match = _STAY_RESIDENT.search(line)
        if match:
            components = tuple(word.strip(" '\"") for word in match[1].split(",") if word.strip(" '\""))
            return CouldStay(components=components, flags=tuple(_FLAG.findall(match[2]))) if components else None
    return None


def _record_of(pattern: re.Pattern[str], line: Line) -> re.Match[str] | None:
    """The match of a record of the engine that begins with the pattern."""
    said = _said(line.text)
    return None if said is None else pattern.match(said)


def _said(line: str) -> str | None:
    """What a record of the engine says, None for a line that is none."""
    match = STAMP.match(line)
    return line[match.end() :].strip() if match else None


def _class(match: re.Match[str]) -> str | None:
    """A pipeline class, None for a word that stands for none."""
    name = match[1] or match[2]
    return None if name.lower() in _NO_VALUE else str(name)


def _finite(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=str)


def _server_args(lines: Iterable[str]) -> dict[str, Any]:
    """The first record of resolved arguments; empty if there is none or it was cut off. Numbers that JSON has no word
    for (Infinity, NaN, 1e999) are kept as their text."""
    for line in lines:
        stamp = STAMP.match(line)
        if match := _SERVER_ARGS.match(line, stamp.end() if stamp else 0):
            try:
                found, _ = _DECODER.raw_decode(line, match.end())
            except (ValueError, RecursionError):
                continue
            return found if isinstance(found, dict) else {}
    return {}


def _sampling(lines: Iterable[Line]) -> dict[str, tuple[str, ...]]:
    """Every value that the blocks `Sampling params:` give a name (`width`, `num_frames`), each once, in their order.

    Records of other ranks may stand between a block's lines, and blocks of several ranks in one another. A value that
    is none (`None`, -1) is left out.
    """
    found: dict[str, dict[str, None]] = {}
    inside = False
    for line in lines:
        said = _said(line.text)
        if said is not None:
            inside = inside or said == _BLOCK
        elif inside and (match := _BLOCK_LINE.match(line.text)):
            value = (match[2] or "").strip()
            if not _is_none(value):
                found.setdefault(match[1], {})[value] = None
    return {name: tuple(values) for name, values in found.items()}


def _is_none(value: str) -> bool:
    word = value.strip("'\"").lower()
    return word in _NO_VALUE or (word[:1] == "<" and word[-1:] == ">")


def _without_prompts(lines: Iterable[Line], prompts: Sequence[str]) -> list[Line]:
    """The lines that are not of a prompt, and what repeats a prompt with the prompt taken out."""
    texts = _bounded(ANSI.sub("", prompt[:_MOST_PROMPT]) for prompt in prompts)
    # A line of a prompt, even one that looks like a record, has nothing that the prompt has not.
    own = [line for line in lines if not any(line.text in text for text in texts)]
    # Logs print a prompt whole or its first 100 characters, and one of several lines as several lines.
    echoes = {part.strip()[:100] for text in texts for part in re.split(r"[\r\n]+", text) if part.strip()}
    for echo in sorted(echoes, key=lambda echo: (-len(echo), echo))[:_MOST_ECHOES]:
        # Words that could pass for evidence are taken out; common ones are not, or `cat` would ruin `indication`.
        if any(sign.search(echo) for sign in _AGAINST) or attention_fallbacks([echo]) or failure.says(echo):
            own = [_taken_out(line, echo) for line in own]
    return own


def _bounded(texts: Iterable[str]) -> list[str]:
    """Texts up to a length that no command line holds: a recording may name longer ones, to keep its reader busy."""
    found: list[str] = []
    left = _MOST_PROMPT
    for text in texts:
        found.append(text[:left])
        left -= len(found[-1])
    return [text for text in found if text]


def _taken_out(line: Line, echo: str) -> Line:
    """The line without the echo, but for a record of the engine that begins with the same words: those are its own."""
    if echo not in line.text or (_said(line.text) or "").startswith(echo):
        return line
    return replace(line, text=line.text.replace(echo, "<prompt>"))


def _warmup(lines: Sequence[str], server_args: Mapping[str, Any]) -> tuple[Warmup, WarmupCode, tuple[str, ...]]:
    """State, reason and the lines behind it."""
    failed = _matching(lines, _WARMUP_FAILED)
    done = tuple(dict.fromkeys(line.strip() for line in lines if _warmed_up(line)))
    claimed = _matching(lines, _WARMUP_CLAIMED)
    if failed:
        return "unproven", "failed", failed
    synthetic = server_args.get("warmup_resolutions")
    if synthetic and (done or claimed):
        return "unproven", "synthetic", done or claimed
    if done:
        return "proven", "proven", done
    mode = server_args.get("warmup_mode")
    if mode == "server":
        return "unproven", "server", claimed
    if claimed:
        return "unproven", "claimed", claimed
    if server_args.get("warmup") is True or mode == "request":
        return "unproven", "asked", ()
    return "none", "none", ()


def _warmed_up(line: str) -> bool:
    said = _said(line)
    return bool(_WARMED_UP_BAR.match(line) if said is None else _WARMED_UP.match(said))


def _matching(lines: Iterable[str], pattern: re.Pattern[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip() for line in lines if pattern.search(line)))


def _message(line: str) -> str:
    """A record without its time, so that the same words of two ranks are one."""
    return re.sub(r"^\[[^\]]*\] ", "", line.strip())
