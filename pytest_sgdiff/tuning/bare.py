"""A case of nothing but a model and a size, with the nearest shipped recipe as its template."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pytest_sgdiff.cases.load import read_cases
from pytest_sgdiff.cases.recipes import recipes
from pytest_sgdiff.cases.written import id_of_model
from pytest_sgdiff.data import ArgValue, Case, Expect, Location, OutputSize, Requires
from pytest_sgdiff.data.pictures import LOSSLESS
from pytest_sgdiff.tuning.presets import recipe_of
from pytest_sgdiff.tuning.variants import SPREAD

PROMPT = "A curious raccoon walks through a field of sunflowers at sunset"
TIMEOUT_S = 2700.0
"""Of the shipped cases of videos: loading, compiling and some minutes of denoising."""

# Cases that are about something else than the model.
_BESIDE = frozenset({"lossy", "low_vram", "diffusers", "upstream_nightly"})
_SNAPSHOT = re.compile(r"models--[^/]+?--([^/]+)/snapshots/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bare:
    """What a user says of a model without a case. None leaves it to the template, or else to the engine."""

    model: str
    gpus: int
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    steps: int | None = None
    prompt: str | None = None


def shipped() -> tuple[Case, ...]:
    """Every shipped case that may be a template."""
    found = (case for file in recipes().values() for case in read_cases(file, file.parent))
    return tuple(case for case in found if not _BESIDE & set(case.marks) and case.engine == "sglang-generate")


def nearest(model: str, templates: Iterable[Case]) -> Case | None:
    """The template of the same family of models whose name is the most alike; None where no family matches."""
    name = _name(model)
    family = recipe_of(name)
    alike = [one for one in templates if _name(one.model) == name or (family and recipe_of(_name(one.model)) == family)]
    # Of several that are equally alike the first one, as files and their cases are ordered.
    return max(alike, key=lambda one: difflib.SequenceMatcher(None, name, _name(one.model)).ratio(), default=None)


def bare_case(said: Bare, templates: Iterable[Case]) -> Case:
    """The case: what the template gives the model, with the size that is asked for, and no topology of its own, so that
    as it is written the engine chooses how to use its GPUs.

    What a launch must show is expected only where the template is of this very model.
    """
    template = nearest(said.model, templates)
    args: dict[str, ArgValue] = {"prompt": PROMPT} if template is None else dict(template.args)
    for flag in (*SPREAD, *(("enable-torch-compile",) if said.gpus == 0 else ())):
        args.pop(flag, None)
    asked: dict[str, ArgValue | None] = {
        "prompt": said.prompt,
        "width": said.width,
        "height": said.height,
        "num-frames": said.frames,
        "num-inference-steps": said.steps,
    }
    args |= {flag: value for flag, value in asked.items() if value is not None}
    args.setdefault("seed", 42)
    place = Location(path=said.model, line=1, column=1)
    if template is None:
        return Case(
            name=id_of_model(said.model),
            location=place,
            model=said.model,
            gpus=said.gpus,
            env={"SGLANG_DIFFUSION_SYNC_STAGE_PROFILING": "1"},
            args=args,
            timeout_s=TIMEOUT_S,
        )
    return replace(
        template,
        name=id_of_model(said.model),
        variant=None,
        summary="",
        location=place,
        locations={},
        written=None,
        model=said.model,
        gpus=said.gpus,
        marks=(),
        args=args,
        expect=_expected(said, template),
        quality=LOSSLESS,
        requires=Requires(engine=template.requires.engine, token=template.requires.token),
        faster_than=None,
        source=f"after {template.id}: {template.source}" if template.source else f"after {template.id}",
    )


def _expected(said: Bare, template: Case) -> Expect:
    if _name(said.model) != _name(template.model):
        return Expect()
    output = template.expect.output
    # A template without a width draws in the proportions of its image.
    return replace(
        template.expect,
        attention=None,
        output=OutputSize(
            width=output.width and (said.width or output.width),
            height=output.height and (said.height or output.height),
            frames=output.frames and (said.frames or output.frames),
        ),
    )


def _name(model: str) -> str:
    """The last part of a model's path, or of its repository where it is a snapshot in the cache of Hugging Face."""
    snapshot = _SNAPSHOT.search(model)
    return (snapshot[1] if snapshot else model.rstrip("/").rpartition("/")[2]).lower()
