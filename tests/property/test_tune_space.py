"""Laws of the variants that `sgdiff tune` tries, for the shipped cases on any number of GPUs and any engine."""

from __future__ import annotations

import pathlib
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sgdiff.cases.load import load_cases, read_cases
from pytest_sgdiff.cases.transformers import transformers
from pytest_sgdiff.data import Case, Location
from pytest_sgdiff.data.tuning import Setting, Space, Standing, Tuned
from pytest_sgdiff.engines.flags.lookup import config_key
from pytest_sgdiff.engines.flags.translate import VERSIONS, complaints, table_flags
from pytest_sgdiff.lint import advise
from pytest_sgdiff.tuning.presets import PRESETS
from pytest_sgdiff.tuning.settings import AXES, Ground, choices
from pytest_sgdiff.tuning.space import Lossy, space
from pytest_sgdiff.tuning.variants import with_settings, work
from pytest_sgdiff.tuning.written import case_file

ROOT = pathlib.Path(__file__).parents[2]
CASES = [case for file in sorted((ROOT / "cases").glob("*.yaml")) for case in read_cases(file, ROOT)]
PRODUCTS = ("NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA A100-SXM4-80GB", "NVIDIA B200", "NVIDIA GeForce RTX 4090")
LOSSY: tuple[Lossy, Lossy] = ("no", "yes")
ASKED = {
    "gpus": st.sampled_from([0, 1, 2, 3, 4, 6, 8]),
    "version": st.sampled_from([None, *VERSIONS, "0.0.0.dev1+g1a2b3c4"]),
    "product": st.sampled_from([(), *((one,) for one in PRODUCTS)]),
    "lossy": st.sampled_from(LOSSY),
}


def sound(found: Space, case: Case, *, gpus: int, version: str | None, product: tuple[str, ...], lossy: str) -> None:
    engine = None if version is None else table_flags(version)
    names = [one.name for one in found.variants]
    assert len({*names, *(one.name for one in found.pruned)}) == len(names) + len(found.pruned)
    assert len({one.case.id for one in found.variants}) == len(names)
    assert len({work(one.case) for one in found.variants}) == len(names)
    for one in found.variants:
        told = advise(one.case, engine=engine, gpu_products=product, transformers=transformers(one.case))
        assert [each for each in told if each.level == "error"] == []
        assert engine is None or [each for each in complaints(one.case, engine) if each.level == "error"] == []
        assert one.case.gpus <= gpus
        assert len({each.axis for each in one.settings}) == len(one.settings)
        assert re.fullmatch(r"[\w.-]+\[[\w.+-]+\]", one.case.id)
        assert len(one.case.id) <= 200
        assert one.case.faster_than is None
        assert (one.case.launches, one.case.timeout_s) == (case.launches, case.timeout_s)
        assert one.case.quality.mode == "lossy" if one.lossy else one.case.quality == case.quality
    assert lossy == "yes" or not any(one.lossy for one in found.variants)
    for left in found.pruned:
        assert bool(left.advice) is (left.code in ("advice", "flag"))
        assert (left.same in names) is (left.code == "same")


def test_every_shipped_model_has_a_space_of_a_size_that_can_be_measured() -> None:
    shipped = {(case.model, case.runs_on, "lossy" in case.marks): case for case in CASES}
    for number, case in enumerate(shipped.values()):
        # Each with other GPUs and another engine than its neighbours.
        engine = table_flags(VERSIONS[number % len(VERSIONS)])
        gpus, lossy = (1, 2, 4, 8)[number % 4], LOSSY[number % 3 == 0]
        found = space(case, gpus=gpus, engine=engine, products=PRODUCTS[:1], allow_lossy=lossy)
        assert len(found.variants) + len(found.pruned) >= 1
        assert len(found.variants) <= 60


FLAGS = {
    "enable-torch-compile": st.sampled_from([True, False, "true"]),
    "enable-cfg-parallel": st.booleans(),
    "cfg-parallel-size": st.sampled_from([1, 2]),
    "ulysses-degree": st.sampled_from([1, 2, 4]),
    "ring-degree": st.sampled_from([1, 2]),
    "sp-degree": st.sampled_from([2, 4]),
    "tp-size": st.sampled_from([1, 2]),
    "dit-layerwise-offload": st.booleans(),
    "dit-cpu-offload": st.booleans(),
    "dit-offload-prefetch-size": st.sampled_from([0.1, 0.5, 2]),
    "component-residency": st.just(("dit=resident",)),
    "layerwise-offload-components": st.just(("dit",)),
    "cpu-offload-components": st.just(("text_encoder",)),
    "use-fsdp-inference": st.booleans(),
    "vae-cpu-offload": st.booleans(),
    "attention-backend": st.sampled_from(["fa", "torch_sdpa", "sage_attn"]),
    "component-attention-backends": st.sampled_from(["transformer=fa", "text_encoder=torch_sdpa"]),
    "enable-cache-dit": st.booleans(),
    "enable-teacache": st.booleans(),
    "transformer-path": st.just("x/y"),
    "quantization": st.just("fp8"),
    "ltx2-two-stage-device-mode": st.sampled_from(["original", "resident"]),
}
MODELS = (
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
    "Qwen/Qwen-Image",
    "Lightricks/LTX-2.3",
)


@st.composite
def odd_cases(draw):
    """A case that says something of every axis, under `args`, in its config, or in both."""
    given = {where: draw(st.fixed_dictionaries({}, optional=FLAGS)) for where in ("args", "config")}
    two_stage = {"pipeline-class-name": "LTX2TwoStagePipeline"} if draw(st.booleans()) else {}
    variables = st.fixed_dictionaries({}, optional={"SGLANG_CACHE_DIT_ENABLED": st.sampled_from(["true", "false"])})
    return Case(
        name="odd",
        location=Location(path="c.yaml", line=1, column=1),
        model=draw(st.sampled_from(MODELS)),
        gpus=draw(st.sampled_from([0, 1, 2, 4])),
        args={**two_stage, **given["args"]},
        config={config_key(flag): value for flag, value in given["config"].items()},
        env=draw(variables),
    )


@settings(max_examples=10)
@given(case=odd_cases(), **ASKED)
def test_whatever_the_case_says_itself_a_variant_can_be_launched(case, gpus, version, product, lossy):
    engine = None if version is None else table_flags(version)
    found = space(case, gpus=gpus, engine=engine, products=product, allow_lossy=lossy, transformers=["a/b"])
    sound(found, case, gpus=gpus, version=version, product=product, lossy=lossy)


@settings(max_examples=30)
@given(case=odd_cases(), gpus=st.sampled_from([0, 1, 2, 4]), data=st.data())
def test_a_setting_decides_all_of_its_axis(case, gpus, data):
    ground = Ground(case=case, gpus=gpus, transformers=("a/b",))
    # Of a precision each setting is about one component, and one offload is about the text encoder alone.
    axis = data.draw(st.sampled_from([one for one in AXES if one != "precision" and choices(one, ground)]))
    found = [one.setting for one in choices(axis, ground) if one.setting.name != "text-encoder-cpu"]
    first, second = data.draw(st.sampled_from(found)), data.draw(st.sampled_from(found))
    then = with_settings(with_settings(case, [first], name="x"), [second], name="y")
    alone = with_settings(case, [second], name="z")
    encoders = {flag for flag in first.args if flag not in second.args}
    assert work(without(then, encoders)) == work(without(alone, encoders))
    assert work(with_settings(alone, [second], name="w")) == work(alone)


def without(case: Case, flags: set[str]) -> Case:
    return with_settings(case, [Setting(axis="matrix", name="", args=dict.fromkeys(flags))], name="")


@settings(max_examples=20)
@given(
    case=st.sampled_from(CASES),
    axes=st.none() | st.lists(st.sampled_from(AXES), unique=True),
    preset=st.none() | st.sampled_from(sorted(PRESETS)),
    transformers=st.lists(st.sampled_from(["a/b-fp8", "/x/svdq-int4.safetensors", "/x/a,/x/b", "a/b-fp8"]), max_size=2),
    **ASKED,
)
def test_every_variant_can_be_launched_and_every_other_has_its_reason(
    case, axes, preset, transformers, gpus, version, product, lossy
):
    found = space(
        case,
        gpus=gpus,
        engine=None if version is None else table_flags(version),
        products=product,
        allow_lossy=lossy,
        axes=axes,
        transformers=transformers,
        preset=preset,
    )
    allowed = "yes" if preset is not None and PRESETS[preset].allow_lossy else lossy
    sound(found, case, gpus=gpus, version=version, product=product, lossy=allowed)


@settings(max_examples=10)
@given(case=st.sampled_from(CASES), data=st.data(), **ASKED)
def test_whoever_wins_is_written_as_a_case_of_the_same_work(case, data, gpus, version, product, lossy):
    engine = None if version is None else table_flags(version)
    found = space(case, gpus=gpus, engine=engine, products=product, allow_lossy=lossy)
    if not found.variants:
        return
    ranked = data.draw(
        st.lists(st.sampled_from(found.variants), min_size=1, max_size=4, unique_by=lambda one: one.name)
    )
    spread = data.draw(st.sampled_from([0.001, 0.05, 0.5]))
    times = [
        Standing(variant=one.name, launches=3, ms=ms, low=ms * (1 - spread), high=ms * (1 + spread))
        for one, ms in zip(ranked, (1000.0, 1010.0, 1200.0, 2000.0), strict=False)
    ]
    tuned = Tuned(code="decided", standings=tuple(times), confidence=0.95, within=0.02)
    text = case_file(found, tuned, ranked[0].name, named="wan[a.b]", schema="x.json", products=product)
    cases = load_cases("mine.yaml", text)
    works = {work(one.case) for one in ranked}
    assert work(cases[0]) == work(ranked[0].case)
    assert {work(one) for one in cases} <= works
    assert [one.faster_than is not None for one in cases] == [True] * (len(cases) - 1) + [False]
