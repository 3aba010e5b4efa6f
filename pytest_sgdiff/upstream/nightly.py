"""Whether cases that follow SGLang's nightly comparison are what it runs: field by field, each difference named.

A case says that it follows by the name of the comparison's file in its `source`. It may add the revision of that file,
and the name of the case there: `comparison_configs.json@03635624#flux1_dev_t2i_1024`. A case without a revision is
compared with a file of any generation, one without a name with the case of its own name. The mark `nightly` says only
that a case runs every night, as cases of other origins do.

The comparison is described in SGLang's `scripts/ci/utils/diffusion/comparison_configs.json`: a list of cases, each with
sampling parameters, and per framework the flags (`serve_args`) and variables (`extra_env`) of the server. Generations
differ: the oldest give steps and guidance, later ones leave them to the model; `--warmup` became `--warmup-mode server`
and `--enable-torch-compile` went; the newest may add or, with null, drop request fields (`sglang_request_extra`).
The comparison serves, some cases generate: of these is not compared how they warm up in particular, only whether they
do, and not how many requests are measured.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from pytest_sgdiff.data import ArgValue, Case
from pytest_sgdiff.engines.flags.lookup import flag_of, key_given
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files.data_files import DataFileError, read_named

# Field of the comparison -> flag of the engine.
_SAMPLING: Mapping[str, str] = {
    "prompt": "prompt",
    "negative_prompt": "negative-prompt",
    "width": "width",
    "height": "height",
    "num_frames": "num-frames",
    "fps": "fps",
    "num_inference_steps": "num-inference-steps",
    "guidance_scale": "guidance-scale",
    "seed": "seed",
}
FILE = "comparison_configs.json"
"""The comparison's file: a case that names it in `source` follows it."""

SERVED = "upstream_nightly"
"""The mark of cases that are measured as the comparison measures. They run when they are asked for: servers need more
libraries, and every night has cases of the same models that generate."""

_REFERENCE = re.compile(re.escape(FILE) + r"(?:@(?P<revision>[0-9a-f]{7,40})\b)?(?:#(?P<case>[\w.-]*\w))?")

# Fields of an entry and of the file that are compared, or that say nothing of what SGLang runs: for people, of other
# frameworks, and the address of the reference image, which a case has as a file. `task` follows from model and image.
_ENTRY_FIELDS = frozenset(
    {*_SAMPLING, "id", "model", "task", "num_gpus", "reference_image", "sglang_request_extra", "frameworks"}
    | {"comfyui_workflow", "_comment"}
)
_FRAMEWORK_FIELDS = frozenset({"serve_args", "extra_env", "_comment"})
_FILE_FIELDS = frozenset({"cases", "measurement_repeats", "test_image_url", "_comment"})


class Generation(Enum):
    """How the comparison described and measured its cases; from upstream's own history of the file."""

    STATED = "stated-sampling"
    """Each case states its steps and guidance."""
    REQUEST_WARMUP = "request-warmup"
    """Steps and guidance are the model's; `--warmup`, and one measured request (revision a0325960)."""
    SERVER_WARMUP = "server-warmup"
    """`--warmup-mode server`, several measured requests, and request fields of single models (revision 03635624)."""
    UNKNOWN = "unknown"


REVISIONS: Mapping[str, Generation] = {
    "03635624": Generation.SERVER_WARMUP,
    "a0325960": Generation.REQUEST_WARMUP,
}
"""Revisions of the file that cases may name, by their first eight digits; the first is the newest that is known."""

_WARMUP_MODE = "warmup-mode"
_SERVERS_OWN = "server"
"""How `sglang serve` warms up where nobody says so (cli/serve.py of 0.5.17 and 0.5.23)."""
_WARMUP_DETAILS = (_WARMUP_MODE, "warmup-resolutions", "warmup-num-frames", "warmup-steps", "warmup-sampling-params")
# `sglang generate` saves its output, and measuring needs these two; neither changes what is computed.
_OURS_ONLY_FLAGS = ("save-output", *_WARMUP_DETAILS)
_OURS_ONLY_ENV = ("FLASHINFER_DISABLE_VERSION_CHECK", "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Workload:
    """What is compared, of either side. `flags` and `env` hold normalised text."""

    model: str
    gpus: int
    backend: str
    warmup: str
    image: bool
    flags: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


def load_nightly(file: Path) -> Any:
    """The comparison's description, parsed. Raises OptionError if it cannot be read or is not JSON."""
    try:
        return json.loads(read_named(file).decode("utf-8"))
    except DataFileError as error:
        raise OptionError(f"{file}: cannot be read: {error.why}") from None
    except json.JSONDecodeError as error:
        raise OptionError(f"{file}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, or a number or nesting beyond what Python reads
        raise OptionError(f"{file}: not JSON: {error}") from None


def check_nightly(cases: Sequence[Case], document: Any, *, name: str = "comparison_configs.json") -> tuple[str, ...]:
    """Every difference between the cases that follow a file of its generation and the file, each at its place; other
    cases are not asked about.

    Raises OptionError if `document` is not of a form that any generation of the comparison had.
    """
    entries = _entries(document, name)
    generation = generation_of(document, name=name)
    ours: dict[str, list[Case]] = {}
    for case in compared(cases, generation):
        ours.setdefault(followed(case), []).append(case)
    others = {case.id for case in cases if not follows(case)}
    differences: list[str] = []
    for case_id, entry in entries.items():
        theirs = _of_entry(entry, f"{name}: {case_id}")
        differences += [f"{name}: {case_id}: {key} is not compared: no key of a case says it" for key in _odd(entry)]
        if case_id not in ours:
            why = f"; the one of this name does not name {FILE} in its `source`" if case_id in others else ""
            differences.append(f"{name}: nightly case '{case_id}' ({entry['model']}) has no case here{why}")
        for case in ours.get(case_id, ()):
            # A former revision is history: what follows it need not run every night.
            current = followed_revision(case) in (None, next(iter(REVISIONS)))
            if current and not {"nightly", SERVED} & set(case.marks):
                differences.append(f"{case.location}: {case.id} is in the nightly comparison: add the mark 'nightly'")
            found = (*_differences(_of_case(case), theirs), *_served(case, entry, document, f"{name}: {case_id}"))
            differences += [f"{case.at(_written(case, key))}: {case.id}: {difference}" for key, difference in found]
    differences += [
        f"{case.at('source')}: {case.id} names {FILE} as its source, which has no case of this name"
        for case_id, following in ours.items()
        for case in following
        if case_id not in entries
    ]
    differences += [
        f"{name}: {key} is not compared: no key of a case says it" for key in document if key not in _FILE_FIELDS
    ]
    return tuple(differences)


def generation_of(document: Any, *, name: str = FILE) -> Generation:
    """The generation of a file: by how its cases warm up, and whether they state their steps.

    Raises OptionError as `check_nightly`.
    """
    entries = _entries(document, name)
    flags = [_parse(_framework(entry).get("serve_args"), f"{name}: {case_id}") for case_id, entry in entries.items()]
    if any("warmup-mode" in given for given in flags):
        return Generation.SERVER_WARMUP
    stated = sum(entry.get("num_inference_steps") is not None for entry in entries.values())
    if 2 * stated > len(entries):
        return Generation.STATED
    if any("warmup" in given or "server-warmup" in given for given in flags):
        return Generation.REQUEST_WARMUP
    return Generation.UNKNOWN


def follows(case: Case) -> bool:
    """Whether the case says that it follows SGLang's nightly comparison."""
    return FILE in case.source


def followed(case: Case) -> str:
    """The name that the case has in the comparison which it follows: the one that its source gives, or its own."""
    named = _REFERENCE.search(case.source)
    return (named and named["case"]) or case.id


def followed_revision(case: Case) -> str | None:
    """The revision of the comparison that the case follows, by its first eight digits; None where it names none that is
    known here."""
    named = _REFERENCE.search(case.source)
    revision = named["revision"] if named else None
    return next((known for known in REVISIONS if revision and revision[:8] == known[: len(revision)]), None)


def compared(cases: Sequence[Case], generation: Generation) -> tuple[Case, ...]:
    """The cases that are compared with a file of a generation: those that follow it, or no revision in particular. A
    file of a generation that is not known is compared with what follows the newest."""
    meant = next(iter(REVISIONS.values())) if generation not in REVISIONS.values() else generation
    return tuple(
        case
        for case in cases
        if follows(case) and ((revision := followed_revision(case)) is None or REVISIONS[revision] is meant)
    )


def _served(case: Case, entry: Mapping[str, Any], document: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """What is compared of a server alone, as `_differences`: how many requests are measured, and the server's own
    warmup. A launch that generates has one request."""
    if not case.serves:
        return
    theirs = document.get("measurement_repeats", 1)
    if _text(case.served_requests) != _text(theirs):
        told = f"is {case.served_requests} here, {_text(theirs)} in the nightly comparison"
        yield "launches.requests", f"launches.requests {told}"
    flags = _parse(_framework(entry).get("serve_args"), where)
    ours, mode = _text(case.args.get(_WARMUP_MODE, _SERVERS_OWN)), flags.get(_WARMUP_MODE, _SERVERS_OWN)
    if ours != mode:
        yield f"args.{_WARMUP_MODE}", f"--{_WARMUP_MODE} is {ours} here, {mode} in the nightly comparison"


def _odd(entry: Mapping[str, Any]) -> Iterator[str]:
    """Fields of an entry that no generation known here had."""
    yield from (key for key in entry if key not in _ENTRY_FIELDS)
    yield from (f"frameworks.sglang.{key}" for key in _framework(entry) if key not in _FRAMEWORK_FIELDS)


def _written(case: Case, key: str) -> str:
    """The dotted key under which the case gives what is compared as a flag."""
    return (key_given(case, key.removeprefix("args.")) if key.startswith("args.") else None) or key


def _entries(document: Any, name: str) -> dict[str, Mapping[str, Any]]:
    """Id -> case of the comparison, of those that SGLang runs. Of a repeated id the first counts."""
    cases = document.get("cases") if isinstance(document, Mapping) else None
    if not isinstance(cases, list):
        raise OptionError(f"{name}: not a comparison: it has no list of 'cases'")
    entries: dict[str, Mapping[str, Any]] = {}
    for index, entry in enumerate(cases):
        named = isinstance(entry, Mapping) and all(isinstance(entry.get(key), str) for key in ("id", "model"))
        if not named:
            raise OptionError(f"{name}: not a comparison: cases[{index}] has no 'id' and 'model'")
        frameworks = entry.get("frameworks", {})
        if isinstance(frameworks, Mapping) and "sglang" in frameworks:
            entries.setdefault(entry["id"], entry)
    return entries


def _differences(here: _Workload, nightly: _Workload) -> Iterator[tuple[str, str]]:
    """The dotted key and the difference, for every field that is not the same."""
    for key in ("model", "gpus", "backend", "warmup"):
        ours, theirs = getattr(here, key), getattr(nightly, key)
        if ours != theirs:
            yield key, f"{key} is {ours} here, {theirs} in the nightly comparison"
    if here.image != nightly.image:
        there = "works on the reference image, here no image is named" if nightly.image else "has no image"
        yield "assets.image-path", f"the nightly comparison {there}"
    yield from _mapped("args", "--", here.flags, nightly.flags)
    yield from _mapped("env", "", here.env, nightly.env)
    yield from _mapped("config", "config ", here.config, nightly.config)


def _mapped(key: str, prefix: str, here: Mapping[str, Any], nightly: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in {**here, **nightly}:
        place = f"{key}.{name}"
        if name not in nightly:
            yield place, f"{prefix}{name} {here[name]} is given here and not in the nightly comparison"
        elif name not in here:
            yield place, f"{prefix}{name} {nightly[name]} is given in the nightly comparison and not here"
        elif here[name] != nightly[name]:
            yield place, f"{prefix}{name} is {here[name]} here, {nightly[name]} in the nightly comparison"


def _of_case(case: Case) -> _Workload:
    # The engine takes a flag from the config just as well, and `args` go before it.
    in_config = {flag: value for key, value in case.config.items() if (flag := flag_of(key)) is not None}
    values = {**in_config, **case.args}
    return _Workload(
        model=case.model,
        gpus=case.gpus,
        backend=case.runs_on,
        warmup="off" if case.warmup == "off" else "on",
        image="image-path" in case.assets or "image-path" in values,
        flags={flag: _text(value) for flag, value in values.items() if flag not in (*_OURS_ONLY_FLAGS, "image-path")},
        env={variable: value for variable, value in case.env.items() if variable not in _OURS_ONLY_ENV},
        config={key: value for key, value in case.config.items() if flag_of(key) is None},
    )


def _of_entry(entry: Mapping[str, Any], where: str) -> _Workload:
    framework = _framework(entry)
    flags = _parse(framework.get("serve_args", ""), where)
    warmups = {flag: flags.pop(flag) for flag in ("warmup", "warmup-mode", "server-warmup") if flag in flags}
    warm = any(value not in ("false", "off") for value in warmups.values())
    request = {flag: entry[key] for key, flag in _SAMPLING.items() if entry.get(key) is not None}
    config: dict[str, Any] = {}
    for key, value in _mapping(entry.get("sglang_request_extra")).items():
        flag = flag_of(key)
        if flag is None:
            config |= {} if value is None else {key: value}
        elif value is None:
            request.pop(flag, None)
        else:
            request[flag] = value
    sampling = {flag: _text(value) for flag, value in request.items()}
    gpus, backend = flags.pop("num-gpus", None), flags.pop("backend", "sglang")
    return _Workload(
        model=entry["model"],
        gpus=int(gpus) if gpus and re.fullmatch(r"\d{1,9}", gpus) else entry.get("num_gpus", 1),
        backend="sglang" if backend == "auto" else backend,
        warmup="on" if warm else "off",
        image=bool(entry.get("reference_image")),
        flags={**sampling, **{flag: value for flag, value in flags.items() if flag not in _OURS_ONLY_FLAGS}},
        env={key: str(value) for key, value in _mapping(framework.get("extra_env")).items()},
        config=config,
    )


def _framework(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an entry says of SGLang among the frameworks."""
    return _mapping(entry["frameworks"]["sglang"])


def _parse(serve_args: Any, where: str) -> dict[str, str]:
    """Flag -> value of a command line's tail, `true` for a bare flag."""
    if not isinstance(serve_args, str | list | None):
        raise OptionError(f"{where}: 'serve_args' must be a text or a list of words, got {serve_args!r:.60}")
    try:
        words = shlex.split(serve_args) if isinstance(serve_args, str) else [str(word) for word in serve_args or ()]
    except ValueError as error:
        raise OptionError(f"{where}: 'serve_args' cannot be split into words: {error}") from None
    flags: dict[str, list[str]] = {}
    values: list[str] = []
    for word in words:
        if word.startswith("--"):
            flag, equals, value = word[2:].partition("=")
            values = flags[flag] = [value] if equals else []
        else:
            values.append(word)
    return {flag: _text(tuple(given)) if given else "true" for flag, given in flags.items()}


def _text(value: ArgValue | Any) -> str:
    """A value as it is compared: `4` and `4.0` are the same number, `True` and `true` the same switch."""
    if isinstance(value, (tuple, list)) and not any(isinstance(one, (tuple, list)) for one in value):
        return " ".join(_text(one) for one in value)
    text = repr(value) if isinstance(value, (tuple, list)) else str(value)
    if text.lower() in ("true", "false"):
        return text.lower()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else str(number)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
