"""Which variants ask for something else than the case as it is written: a matrix may vary the request as well, and then
times compare requests, and not settings."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from pytest_sgdiff.data import Case
from pytest_sgdiff.data.tuning import OtherRequest, RequestPart, Variant
from pytest_sgdiff.engines.flags.lookup import given
from pytest_sgdiff.tuning.variants import comparable

_FLAGS: Mapping[RequestPart, tuple[str, ...]] = {
    "prompt": ("prompt", "prompt-path", "negative-prompt", "system-prompt", "enable-prompt-rewrite"),
    "inputs": ("image-path", "image-paths", "video-path", "task-type"),
    "size": (
        "width",
        "height",
        "720p",
        "1080p",
        "2k",
        "4k",
        "upscaling-scale",
        "enable-upscaling",
        "sr-resolution-scale",
        "sr-target-resolution",
    ),
    "frames": ("num-frames", "fps", "sound-duration", "frame-interpolation-exp", "enable-frame-interpolation"),
    "steps": ("num-inference-steps", "sr-num-steps"),
    "outputs": ("num-outputs", "num-outputs-per-prompt"),
    "guidance": ("guidance-scale", "guidance-scale-2", "true-cfg-scale", "guidance-rescale", "flow-shift"),
    "seed": ("seed", "generator-device"),
}
"""The flags that say what is asked for, and not how it is done."""


def other_requests(written: Case, variants: Iterable[Variant]) -> tuple[OtherRequest, ...]:
    """The variants that are not the same request as the case as it is `written`, with what they ask for otherwise."""
    asked = _request(written)
    found = []
    for variant in variants:
        now = _request(variant.case)
        if parts := tuple(part for part, value in now.items() if value != asked[part]):
            found.append(OtherRequest(variant=variant.name, parts=parts))
    return tuple(found)


def _request(case: Case) -> Mapping[RequestPart, Hashable]:
    parts: dict[RequestPart, Hashable] = {"model": case.model}
    for part, flags in _FLAGS.items():
        parts[part] = tuple(
            None if (value := case.assets.get(flag, given(case, flag))) is None else comparable(value) for flag in flags
        )
    return parts
