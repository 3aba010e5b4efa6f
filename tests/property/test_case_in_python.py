"""A case that is built in Python behaves as the same case in YAML: what was set is a value, not a place in a file."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.data import Advice, Case, EngineInfo, Expect, LaunchPlan, Location, MetricChoice, OutputSize
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.engines.flags.translate import VERSIONS, complaints, table_flags
from pytest_sgdiff.judging.power import recorded_at_most
from pytest_sgdiff.judging.workload import workload
from pytest_sgdiff.lint import advise, together
from pytest_sgdiff.metrics import gated
from pytest_sgdiff.runner import command_line
from pytest_sgdiff.upstream.nightly import check_nightly
from tests.examples import examples

HERE = Location(path="test_x.py", line=3, column=1)
ARGS = {
    "prompt": "a cat",
    "width": 832,
    "height": 480,
    "num-frames": 17,
    "seed": 42,
    "enable-torch-compile": True,
    "port": 3000,
    "ulysses-degree": 2,
    "no-such-flag": 1,
    "num-outputs-per-prompt": 2,
    "lora-weight": "x",
}
ENV = {"HF_TOKEN": "hf_x", "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING": "1", "CUDA_VISIBLE_DEVICES": "0", "OTHER": "1"}
CHOICES: dict[str, list[Any]] = {
    "gpus": [0, 1, 2],
    "backend": ["sglang", "diffusers"],
    "warmup": ["request", "off"],
    "marks": [["nightly"], ["lossy"]],
    "metrics": [{"gate": ["denoise"]}, {"gate": ["denoise", "e2e", "stages", "peak_memory"]}, {"allow": {"e2e": 0.1}}],
    "launches": [{"baseline": 5}, {"baseline": 10}, {"looks": [1, 3]}],
    "expect": [{"output": {"width": 832}}, {"pipeline": "WanPipeline"}],
    "source": ["comparison_configs.json"],
}


def some(values: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.sets(st.sampled_from(sorted(values))).map(lambda names: {name: values[name] for name in sorted(names)})


stated = st.fixed_dictionaries(
    {"args": some(ARGS), "env": some(ENV)},
    optional={key: st.sampled_from(values) for key, values in CHOICES.items()},
)


def in_yaml(keys: dict[str, Any]) -> Case:
    # JSON is YAML.
    (case,) = load_cases("cases/x.yaml", json.dumps({"cases": {"tiny": {"model": "Wan-AI/Wan2.1", **keys}}}))
    return case


def in_python(keys: dict[str, Any]) -> Case:
    """As somebody writes it: only what the keys state."""
    parts = {key: tuple(value) if isinstance(value, list) else value for key, value in keys.items()}
    for key, kind in (("metrics", MetricChoice), ("launches", LaunchPlan), ("expect", Expect)):
        if key in parts:
            given_ = {name: tuple(value) if isinstance(value, list) else value for name, value in keys[key].items()}
            given_ |= {"output": OutputSize(**given_["output"])} if "output" in given_ else {}
            parts[key] = kind(**given_)
    return Case(name="tiny", location=HERE, model="Wan-AI/Wan2.1", **parts)


def behaviour(case: Case) -> dict[str, Any]:
    told = [together(_refused(case, version), advise(case, engine=table_flags(version))) for version in VERSIONS[-2:]]
    return {
        "recorded": (case.recorded_launches, recorded_at_most(case.launches.baseline, case.recorded_launches)),
        "command": command_line.text(
            case, ENGINES["sglang-generate"], EngineInfo(command=("sglang",), version="0.5.23"), None
        ),
        "workload": workload(case, asset_hashes={}),
        "gated": gated(case.metrics),
        "advice": [sorted((one.level, one.slug, one.message) for one in found) for found in told],
        "nightly": len(check_nightly([case], {"cases": []})),
    }


def _refused(case: Case, version: str) -> list[Advice]:
    return [
        Advice(level=one.level, slug=one.slug, message=one.message, location=case.at(one.key), key=one.key)
        for one in complaints(case, table_flags(version))
    ]


@examples(100)
@given(stated)
@example({"args": {}, "env": {}, "backend": "sglang", "launches": {"baseline": 5}})
@example({"args": {"port": 3000}, "env": {}})
@example({"args": {}, "env": {"HF_TOKEN": "hf_x"}})
def test_a_case_in_python_behaves_as_the_same_case_in_yaml(keys: dict[str, Any]) -> None:
    yaml, python = in_yaml(keys), in_python(keys)
    apart = ("location", "locations", "written")
    for field in fields(Case):
        assert field.name in apart or getattr(yaml, field.name) == getattr(python, field.name), field.name
    assert behaviour(yaml) == behaviour(python)


@examples(50)
@given(stated)
def test_where_keys_stand_is_of_no_other_meaning(keys: dict[str, Any]) -> None:
    yaml = in_yaml(keys)
    assert behaviour(yaml) == behaviour(replace(yaml, locations={}))


def test_what_a_fixture_adds_to_a_case_of_a_file_stands_in_no_file() -> None:
    case = in_yaml({"args": {}, "env": {"OTHER": "1"}})
    added = replace(case, env={**case.env, "HF_TOKEN": "hf_x"})
    for one in (added, replace(added, locations={})):
        assert "secret-in-case" not in {advice.slug for advice in advise(one)}
