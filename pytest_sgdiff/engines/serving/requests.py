"""A case split by the table: what the server is started with, and what its requests say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_sgdiff.data import ArgValue, Case, LaunchFiles, Load, RequestPlan, ServedTask
from pytest_sgdiff.engines.flags.lookup import flag_of, given
from pytest_sgdiff.engines.serving import fields, varied

_IMAGES = ("image-path", "image-paths")
# Said of a request in another way, or of what a server does by itself.
_IMPLIED = frozenset({"save-output"})
_FRAMES = ("num-frames", "fps")
_MESH = ("hunyuan3d",)
_SHAPE = "target"
"""The field from which a model derives frames and fps itself, and then takes neither (MiniMax-H3, upstream's nightly
comparison)."""
LOAD_FIGURES = ("throughput", "latency_p50", "latency_p95", "latency_p99")
"""What is measured of each load, as `throughput:c4`."""
_SEED = 42
"""The default of `SamplingParams.seed` (0.5.17 to 0.5.23)."""
_FRAMES_A_SECOND = 24
"""Frames a second where a case names none: what servers assume then, whatever the model (0.5.17 to 0.5.23)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A case for a server: `server` is the case with what is the server's, `parameters` are the requests' flags with
    their values, `extras` the model's own fields of them, and `images` and `video` the files that they send."""

    task: ServedTask
    server: Case
    parameters: Mapping[str, ArgValue]
    extras: Mapping[str, Any]
    images: tuple[str, ...]
    video: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """What a server of a release cannot be asked for as the case says; `key` is the dotted key in the case."""

    slug: str
    message: str
    key: str


def task_of(case: Case) -> ServedTask:
    """What the case's requests make: a video where frames are given or expected, or the model derives them; a mesh from
    the models that make one, an edited image from an image, an image otherwise."""
    named = any(_has(case, flag) for flag in (*_FRAMES, "video-path")) or _SHAPE in case.config
    if named or (case.expect.output.frames or 1) > 1:
        return "video"
    name = case.model.lower()
    if any(word in name for word in _MESH):
        return "mesh"
    return "edit" if any(_has(case, flag) for flag in _IMAGES) else "image"


def split(case: Case, *, assets: Mapping[str, str] | None = None) -> Split:
    """The case split for a server; `assets` maps flags to files, where they are known."""
    task = task_of(case)
    files = dict(case.assets if assets is None else assets)
    args = {name: value for name, value in case.args.items() if not _asked(task, name)}
    parameters = {name: value for name, value in case.args.items() if _asked(task, name)}
    config, extras = {}, {}
    for key, value in case.config.items():
        flag = flag_of(key)
        if flag is not None and _asked(task, flag):
            parameters.setdefault(flag, _plain(value))
        elif fields.extra_since(task, key) is not None:
            extras[key] = value
        else:
            config[key] = value
    images: list[str] = []
    for flag in _IMAGES:
        images += _words(parameters.pop(flag, ()))
        images += _words(files.pop(flag, ()))
    video = next(iter((*_words(parameters.pop("video-path", ())), *_words(files.pop("video-path", ())))), None)
    server = replace(case, args=args, config=config, assets=files)
    return Split(task=task, server=server, parameters=parameters, extras=extras, images=tuple(images), video=video)


def requests(parts: Split, case: Case, *, release: int, files: LaunchFiles) -> tuple[RequestPlan, ...]:
    """The requests of one launch: one of the measured shape before them where the case warms up, then those that are
    measured. No two have the same prompt or image where the case's inputs are varied."""
    before = 1 if case.warmup == "request" else 0
    return tuple(
        _request(parts, case, number, warmup=number < before, release=release, files=files)
        for number in range(before + case.served_requests)
    )


def loads_of(case: Case) -> dict[str, tuple[int | None, float | None]]:
    """Names of the loads that the case asks for, with their concurrency or rate: `c4`, `r0.5`."""
    plan = case.launches
    return {
        **{f"c{many}": (many, None) for many in plan.concurrency},
        **{f"r{rate:g}": (None, rate) for rate in plan.rate},
    }


def loads(parts: Split, case: Case, *, release: int, files: LaunchFiles) -> tuple[Load, ...]:
    """The loads that follow the measured requests: without dumps, for which an engine would finish each request before
    it begins the next."""
    number, made = (case.warmup == "request") + case.served_requests, []
    for name, (concurrency, rate) in loads_of(case).items():
        plans = [
            _request(parts, case, number + at, warmup=False, release=release, files=files, dumped=False)
            for at in range(case.launches.load_requests)
        ]
        number += len(plans)
        made.append(Load(name=name, requests=tuple(plans), concurrency=concurrency, rate=rate))
    return tuple(made)


def _request(
    parts: Split, case: Case, number: int, *, warmup: bool, release: int, files: LaunchFiles, dumped: bool = True
) -> RequestPlan:
    task = parts.task
    body: dict[str, Any] = {}
    for flag, value in parts.parameters.items():
        if flag in _IMPLIED or (first := fields.since(task, flag)) is None or first > release:
            continue
        body[fields.RENAMED.get(flag, flag.replace("-", "_"))] = _value(flag, value)
    body |= {key: value for key, value in parts.extras.items() if (fields.extra_since(task, key) or 0) <= release}
    text = body.get("prompt")
    if isinstance(text, list | tuple):
        text = next(iter(text), "")
    if text is not None:
        body["prompt"] = (varied.prompt(str(text), number) if case.varied else None) or str(text)
    negative = body.get("negative_prompt")
    if case.varied and isinstance(negative, str) and negative:
        body["negative_prompt"] = varied.prompt(negative, number) or negative
    named = f"{files.perf_dump.removesuffix('.json')}_{number}.json"
    dump = named if dumped and fields.dumps(task, release) else None
    if dump is not None:
        body["perf_dump_path"] = dump
    shift = number if case.varied else 0
    common: dict[str, Any] = {"warmup": warmup, "perf_dump": dump, "shift": shift}
    if task == "image":
        # Else servers take 1024x1024 for what was not said, and not the model's own size.
        body |= {"size": None, "response_format": "b64_json"}
        return RequestPlan(path="/v1/images/generations", fields=body, **common)
    if task == "edit":
        body |= _size(body) | {"response_format": "b64_json"}
        uploads = {"image": parts.images}
        return RequestPlan(path="/v1/images/edits", fields=body, uploads=uploads, form=True, **common)
    if task == "mesh":
        # Else 0.5.17 fails: it passes on that there is none, where others take the default of all models.
        body.setdefault("seed", _SEED)
        uploads = {"image": parts.images[:1]}
        return RequestPlan(path="/v1/meshes", fields=body, uploads=uploads, form=True, job=True, **common)
    if _SHAPE not in body:
        body.setdefault("fps", _FRAMES_A_SECOND)
    references = {"input_reference": parts.images[0]} if parts.images else {}
    if parts.video is not None:
        body["video_path"] = parts.video
    return RequestPlan(path="/v1/videos", fields=body, references=references, job=True, **common)


def misfits(case: Case, release: int, name: str) -> Iterator[Misfit]:
    """Everything that the case asks for and no server of that release, which is called `name`, can be asked for."""
    if release < fields.OLDEST_SERVED:
        message = f"{name} is too old for the engine sglang-serve, which knows 0.5.{fields.OLDEST_SERVED} and newer"
        yield Misfit(slug="serve-version", message=message, key="engine")
        return
    parts = split(case)
    for flag in parts.parameters:
        key = f"args.{flag}" if flag in case.args else f"config.{flag.replace('-', '_')}"
        if flag not in _IMPLIED:
            yield from _unasked(parts.task, flag, release, name, key)
        elif given(case, flag) is False:
            message = "a server keeps what it generates, or it could not be fetched: drop `save-output: false`"
            yield Misfit(slug="serve-field", message=message, key=key)
    for key in parts.extras:
        first = fields.extra_since(parts.task, key)
        if first is not None and first > release:
            message = f"{name} reads no `{key}` from a request: it came with 0.5.{first}"
            yield Misfit(slug="serve-field", message=message, key=f"config.{key}")
    for key in parts.server.config:
        if key in fields.CLIENTS:
            message = f"a client writes `{key}` of a request itself, and no server reads it from a file: drop it"
            yield Misfit(slug="serve-field", message=message, key=f"config.{key}")
        elif fields.is_extra(key):
            message = f"a request for {_A[parts.task]} has no `{key}`: it would be lost"
            yield Misfit(slug="serve-field", message=message, key=f"config.{key}")
    yield from _inputs(parts, case)
    yield from _loads(case)


def _unasked(task: ServedTask, flag: str, release: int, name: str, key: str) -> Iterator[Misfit]:
    first = fields.since(task, flag)
    if first is None:
        message = f"a request for {_A[task]} has no field for `{flag}`: a server would not do it"
        yield Misfit(slug="serve-field", message=message, key=key)
    elif first > release:
        message = f"requests of {name} for {_A[task]} have no field for `{flag}`: it came with 0.5.{first}"
        yield Misfit(slug="serve-field", message=message, key=key)


def _loads(case: Case) -> Iterator[Misfit]:
    """Loads that cannot come about as the case says, and figures of loads that it does not ask for."""
    plan, names = case.launches, loads_of(case)
    if len(names) < len(plan.concurrency) + len(plan.rate):
        message = "two of these rates are the same in six digits, by which a load is named: drop one"
        yield Misfit(slug="serve-load", message=message, key="launches.rate")
    least_s = sum(plan.load_requests / rate for rate in plan.rate)
    if least_s > case.timeout_s:
        message = (
            f"{plan.load_requests} requests at each of these rates take {least_s:g} s, and the server's life may take "
            f"{case.timeout_s:g} s: raise `timeout`, or lower `load_requests`"
        )
        yield Misfit(slug="serve-load", message=message, key="launches.rate")
    for metric in case.metrics.gate or ():
        figure, _, load = metric.partition(":")
        if figure in LOAD_FIGURES and load not in names:
            message = f"{metric}: the case asks for no load {load}, only for {', '.join(names) or 'none'}"
            yield Misfit(slug="serve-load", message=message, key="metrics.gate")


def _inputs(parts: Split, case: Case) -> Iterator[Misfit]:
    """Inputs that a request of the kind must have, and can have."""
    prompt = parts.parameters.get("prompt")
    if prompt is None and parts.task != "mesh":
        yield Misfit(slug="serve-input", message="a request needs a `prompt`", key="args")
    if isinstance(prompt, tuple) and len(prompt) > 1:
        message = f"a request has one prompt, this case {len(prompt)}: make one case of each"
        yield Misfit(slug="serve-input", message=message, key="args.prompt")
    if parts.task == "video" and "num-frames" not in parts.parameters and _SHAPE not in parts.extras:
        message = "a server makes 96 frames of a video whose request names none: add `num-frames` (and `fps`)"
        yield Misfit(slug="serve-frames", message=message, key="args")
    if parts.task == "edit" and ("width" in parts.parameters) != ("height" in parts.parameters):
        lone = "width" if "width" in parts.parameters else "height"
        message = "a request for an edited image has both sizes or none: give `width` and `height`"
        yield Misfit(slug="serve-input", message=message, key=f"args.{lone}")
    if parts.task == "mesh" and not parts.images:
        yield Misfit(slug="serve-input", message="a mesh is made from an image: add `image-path`", key="assets")
    if parts.task in ("video", "mesh") and len(parts.images) > 1:
        message = f"a server takes the first image of a request for {_A[parts.task]} alone: name one"
        yield Misfit(slug="serve-input", message=message, key=_key_of_images(case))
    if parts.task == "image" and parts.images:
        yield Misfit(slug="serve-input", message="no such request takes an image", key=_key_of_images(case))
    count = case.served_requests + (case.warmup == "request") + len(loads_of(case)) * case.launches.load_requests
    text = prompt[0] if isinstance(prompt, tuple) and prompt else prompt
    if case.varied and isinstance(text, str) and not parts.images and varied.prompt(text, count - 1) is None:
        message = (
            f"the prompt has too few words for {count} variants of it: make it longer, or repeat it with "
            "`launches: {inputs: same}`, which turns the cache of encodings off"
        )
        yield Misfit(slug="serve-input", message=message, key="args.prompt")


_A: Mapping[ServedTask, str] = {
    "image": "an image",
    "edit": "an edited image",
    "video": "a video",
    "mesh": "a mesh",
}


def _asked(task: ServedTask, flag: str) -> bool:
    """Whether a flag is a parameter of this case's requests, not of its server."""
    if flag in fields.EITHER:
        return fields.since(task, flag) is not None
    return flag in fields.SAMPLING


def _has(case: Case, flag: str) -> bool:
    return flag in case.assets or given(case, flag) is not None


def _key_of_images(case: Case) -> str:
    keys = (f"{part}.{flag}" for flag in _IMAGES for part in ("args", "assets") if flag in getattr(case, part))
    return next(keys, "args")


def _size(body: dict[str, Any]) -> dict[str, Any]:
    """Width and height as the one field that a form has for both; the two are taken out of the body."""
    width, height = body.pop("width", None), body.pop("height", None)
    return {} if width is None or height is None else {"size": f"{width}x{height}"}


def _value(flag: str, value: ArgValue) -> Any:
    """A value as JSON has it."""
    if flag in fields.JSON_VALUED and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else list(value)
    return value


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _words(value: ArgValue | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, tuple | list) else (str(value),)
