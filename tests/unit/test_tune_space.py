"""The variants of a case that `sgdiff tune` tries, and why others are left out."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any, get_args

import pytest

from pytest_sgdiff.cases.load import load_cases, read_cases
from pytest_sgdiff.data import Case
from pytest_sgdiff.data.tuning import PruneCode, Setting, Space, Variant
from pytest_sgdiff.engines.flags.translate import table_flags
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files import data_files
from pytest_sgdiff.tuning.presets import PRESETS, RECIPES
from pytest_sgdiff.tuning.settings import AXES, Ground, choices
from pytest_sgdiff.tuning.space import limited, matrix_space, space
from pytest_sgdiff.tuning.variants import degrees, variant_of, work

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tune.md"
H100 = ("NVIDIA H100 80GB HBM3",)
WAN = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
WAN_14B = "Wan-AI/Wan2.1-T2V-14B-Diffusers"
RESIDENT = "dit-layerwise-offload: false, dit-cpu-offload: false"


def case_of(*lines: str, model: str = WAN, gpus: int = 1) -> Case:
    body = "\n".join(f"    {line}" for line in lines)
    return load_cases("c.yaml", f"cases:\n  one:\n{body}\n    model: {model}\n    gpus: {gpus}\n")[0]


def spaced(case: Case, *, gpus: int | None = None, version: str | None = "0.5.17", **asked: Any) -> Space:
    engine = None if version is None else table_flags(version)
    return space(case, gpus=case.gpus if gpus is None else gpus, engine=engine, products=H100, **asked)


def names(found: Space) -> list[str]:
    return [one.name for one in found.variants]


def named(found: Space, name: str) -> Variant:
    return next(one for one in found.variants if one.name == name)


def reasons(found: Space) -> dict[str, str]:
    """Why each variant that is left out is: its code, and the slugs of what is known against it or what it is."""
    return {
        one.name: " ".join(filter(None, (one.code, *(each.slug for each in one.advice), one.same)))
        for one in found.pruned
    }


def setting(axis: str, name: str, case: Case, *, gpus: int = 1, version: str = "0.5.17") -> Setting:
    ground = Ground(case=case, gpus=gpus, engine=table_flags(version))
    return next(one.setting for one in choices(axis, ground) if one.setting.name == name)  # type: ignore[arg-type]


def test_the_case_as_it_is_written_comes_first_under_an_id_of_its_own():
    firered = next(one for one in read_cases(ROOT / "cases/firered.yaml", ROOT) if one.id == "firered_1_1[cfg]")
    first = spaced(firered).variants[0]
    assert (first.name, first.settings, first.lossy) == ("as-written", (), False)
    assert first.case.id == "firered_1_1[cfg.as-written]"
    assert firered.faster_than is not None
    assert first.case.faster_than is None
    assert (first.case.args, first.case.expect, first.case.launches) == (firered.args, firered.expect, firered.launches)


def test_a_setting_that_the_case_has_anyway_is_the_case_itself():
    case = case_of(f"args: {{enable-cfg-parallel: true, ulysses-degree: 1, {RESIDENT}}}", gpus=2)
    assert {"cfg2": "same as-written", "resident": "same as-written", "eager": "same as-written"}.items() <= reasons(
        spaced(case)
    ).items()


@pytest.mark.parametrize(
    ("gpus", "main", "side"),
    [
        (2, ["cfg2", "ulysses2"], ["ring2", "tp2", "1gpu"]),
        (3, ["ulysses3"], ["tp3"]),
        (
            4,
            ["cfg2-ulysses2", "ulysses4"],
            ["ulysses2-ring2", "cfg2-tp2", "tp2-ulysses2", "tp4", "cfg2", "ulysses2"],
        ),
        (
            8,
            ["cfg2-ulysses4", "ulysses8"],
            ["ulysses4-ring2", "cfg2-tp4", "tp2-ulysses4", "tp8", "cfg2-ulysses2", "ulysses4"],
        ),
    ],
)
def test_topologies_fill_the_gpus_or_half_of_them(gpus: int, main: list[str], side: list[str]):
    ground = Ground(case=case_of(gpus=gpus), gpus=gpus)
    found = choices("topology", ground)
    assert [one.setting.name for one in found if one.role == "main"] == main
    assert [one.setting.name for one in found if one.role == "side"] == side
    for one in found:
        spread = degrees(variant_of(ground.case, [one.setting]).case)
        assert spread is not None
        assert one.setting.gpus in (gpus, gpus // 2)


def test_asked_for_by_name_the_topologies_are_all_that_multiply_to_the_gpus():
    found = spaced(case_of("args: {ulysses-degree: 8}", model=WAN_14B, gpus=8), axes=["topology"])
    full = {degrees(one.case) for one in found.variants if one.case.gpus == 8}
    assert len(full) == 16
    assert all(cfg * ulysses * ring * tp == 8 for cfg, ulysses, ring, tp in full)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("model", "gpus", "first"),
    [
        ("Tongyi-MAI/Z-Image-Turbo", 4, "ulysses2-ring2"),
        ("Tongyi-MAI/Z-Image-Turbo", 8, "ulysses2-ring4"),
        ("Tongyi-MAI/Z-Image", 4, "cfg2-ulysses2"),
        ("Tongyi-MAI/Z-Image", 8, "cfg2-ulysses2-ring2"),
        ("FastVideo/FastWan2.1-T2V-1.3B-Diffusers", 8, "ulysses4-ring2"),
    ],
)
def test_where_the_heads_of_a_model_allow_no_usual_topology_others_that_fill_the_gpus_are_tried(
    model: str, gpus: int, first: str
):
    found = spaced(case_of("args: {seed: 1}", model=model), gpus=gpus, version="0.5.18")
    tried = names(found)
    assert f"{first}+fa" in tried
    assert f"{first}+compile+resident" in tried
    refused = {name for name, why in reasons(found).items() if "attention-heads" in why}
    assert f"ulysses{gpus}" in refused
    assert not any(re.match(rf"(cfg2-)?(ulysses|tp){gpus}\b", name) for name in tried)


def test_topology_compilation_and_offload_are_crossed():
    found = names(spaced(case_of("args: {ulysses-degree: 2}", gpus=2)))
    for topology in ("cfg2+", ""):
        for compiled in ("compile+", ""):
            for offload in ("resident", "fsdp", "layerwise"):
                assert f"{topology}{compiled}{offload}" in found


def test_what_advice_refuses_is_left_out_once_and_not_again_with_others():
    found = reasons(spaced(case_of(model="black-forest-labs/FLUX.1-dev", gpus=4)))
    refused = {name for name, reason in found.items() if reason == "advice cfg-parallel-without-cfg"}
    assert refused == {"cfg2-ulysses2", "cfg2-tp2", "cfg2"}


def test_a_topology_that_cannot_split_the_heads_is_left_out():
    found = spaced(case_of(gpus=8))
    refused = {name for name, reason in reasons(found).items() if reason == "advice attention-heads"}
    assert refused == {"ulysses8", "tp2-ulysses4", "tp8"}
    assert {"cfg2-ulysses4", "ulysses4-ring2", "cfg2-tp4", "cfg2-ulysses4+resident"} <= set(names(found))
    assert not [one.name for one in found.variants if (degrees(one.case) or (1, 1, 1, 1))[1:] in ((8, 1, 1), (4, 1, 2))]


def test_of_a_model_on_this_machine_the_heads_are_read_once(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[pathlib.Path] = []
    read = data_files.read_named
    monkeypatch.setattr(data_files, "read_named", lambda path, **asked: opened.append(path) or read(path, **asked))
    (tmp_path / "transformer").mkdir()
    config = {"_class_name": "WanTransformer3DModel", "num_attention_heads": 2}
    (tmp_path / "transformer" / "config.json").write_text(json.dumps(config))
    found = reasons(spaced(case_of(model=str(tmp_path), gpus=4)))
    refused = {name for name, reason in found.items() if reason == "advice attention-heads"}
    assert refused == {"ulysses4", "tp2-ulysses2", "tp4"}
    assert opened.count(tmp_path / "transformer" / "config.json") == 1


def test_where_nothing_fills_the_gpus_half_of_them_are_the_ground():
    # Without a ring nothing splits 30 heads over 4 GPUs.
    turbo = spaced(case_of(model="Tongyi-MAI/Z-Image-Turbo"), gpus=4, version="0.5.17")
    assert {"ulysses2+compile", "ulysses2+compile+layerwise"} <= set(names(turbo))
    assert {one.case.gpus for one in turbo.variants if "compile" in one.name} == {2}


def test_what_the_engine_lacks_is_left_out():
    found = reasons(spaced(case_of(), version="0.5.11"))
    assert found["compile-regional"] == found["layerwise-half"] == "flag flag-missing"
    assert found["cudnn-sdpa"] == "flag flag-value"
    assert {"compile-regional", "layerwise-half", "cudnn-sdpa"} <= set(names(spaced(case_of(), version="0.5.17")))


def test_of_an_unknown_engine_no_flag_is_missed():
    assert not [one for one in spaced(case_of(), version=None).pruned if one.code == "flag"]


def test_lossy_settings_are_left_out_unless_they_are_allowed():
    case = case_of("quality: off")
    without, with_them = spaced(case), spaced(case, allow_lossy="yes")
    assert not any(one.lossy for one in without.variants)
    left_out = [name for name, reason in reasons(without).items() if reason == "lossy"]
    assert {"sage", "cache-dit", "dit-fp16", "vae-bf16", "teacache"} <= set(left_out)
    assert not any("+" in name for name in left_out)
    sage = named(with_them, "sage").case
    assert (sage.marks, sage.quality.mode, sage.expect.attention) == (("lossy",), "lossy", "sage_attn")
    assert named(with_them, "compile").case.quality.mode == "off"


def test_the_backend_that_is_asked_for_is_expected():
    case = case_of(
        "args: {attention-backend: fa, component-attention-backends.transformer: fa}", "expect: {attention: fa}"
    )
    found = spaced(case)
    assert named(found, "sdpa").case.expect.attention == "torch_sdpa"
    assert named(found, "compile").case.expect.attention == "fa"


def test_settings_of_another_backend_go_with_it():
    case = case_of(
        "args: {attention-backend: video_sparse_attn, attention-backend-config: VSA_sparsity=0.8}", "marks: [lossy]"
    )
    assert "attention-backend-config" not in named(spaced(case), "sdpa").case.args


def test_a_case_that_needs_more_gpus_is_left_out_and_spread_over_those_that_there_are():
    found = spaced(case_of("args: {ulysses-degree: 4}", gpus=4), gpus=2)
    assert reasons(found)["as-written"] == "gpus"
    assert "cfg2+compile" in names(found)
    assert {one.case.gpus for one in found.variants} == {1, 2}


def test_settings_are_tried_on_all_gpus_where_the_case_uses_fewer():
    found = spaced(case_of(), gpus=4)
    assert named(found, "as-written").case.gpus == 1
    assert named(found, "cfg2-ulysses2+sdpa").case.gpus == 4
    assert "sdpa" not in names(found)


def test_the_gpus_that_are_given_are_used_whatever_axis_is_asked_about():
    found = spaced(case_of("args: {ulysses-degree: 4}", gpus=4), gpus=2, axes=["compile"])
    assert names(found) == ["cfg2", "cfg2+compile", "cfg2+compile-regional"]
    assert reasons(found)["as-written"] == "gpus"


def test_weights_are_split_only_over_several_gpus():
    assert reasons(spaced(case_of()))["fsdp"] == "gpus"
    assert "fsdp" in names(spaced(case_of("args: {ulysses-degree: 2}", gpus=2)))


def test_cache_dit_is_switched_on_as_the_engine_and_the_case_do_it():
    image = "Qwen/Qwen-Image"
    by_variable = setting("cache", "cache-dit-medium", case_of(model=image))
    assert {k: v for k, v in by_variable.env.items() if v} == {
        "SGLANG_CACHE_DIT_ENABLED": "true",
        "SGLANG_CACHE_DIT_SCM_PRESET": "medium",
    }
    by_flag = setting("cache", "cache-dit-medium", case_of(model=image), version="0.5.23")
    assert by_flag.args["enable-cache-dit"] is True
    assert by_flag.args["cache-dit-params"] == '{"scm_preset": "medium"}'
    assert not any(by_flag.env.values())
    has_variables = case_of('env: {SGLANG_CACHE_DIT_RDT: "0.1"}', model=image)
    assert setting("cache", "cache-dit", has_variables, version="0.5.23").env["SGLANG_CACHE_DIT_ENABLED"] == "true"


def test_a_cache_that_offload_forbids_is_tried_with_everything_on_the_gpu():
    found = spaced(case_of("args: {enable-torch-compile: true}"), allow_lossy="yes")
    for name in ("cache-dit", "cache-dit-slow", "cache-dit-taylor"):
        assert reasons(found)[name] == "advice cache-dit-with-layerwise-offload"
        assert f"resident+{name}" in names(found)


def test_a_flag_of_the_config_gives_way_to_a_setting():
    case = case_of("config: {enable_torch_compile: true, vae_cpu_offload: true}")
    eager = named(spaced(case), "eager").case
    assert (eager.config, eager.args) == ({"vae_cpu_offload": True}, {"enable-torch-compile": False})


def test_a_flag_keeps_its_place_on_the_command_line():
    case = case_of("args: {ulysses-degree: 2, prompt: x, enable-torch-compile: true}", gpus=2)
    assert next(iter(named(spaced(case), "ring2").case.args)) == "ulysses-degree"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (["args: {vae-cpu-offload: true}"], ['args: {vae-cpu-offload: "true"}'], True),
        (["args: {enable-cfg-parallel: true, ulysses-degree: 2}"], ["args: {cfg-parallel-size: 2}"], True),
        (["args: {ulysses-degree: 4}"], ["args: {ulysses-degree: 4, ring-degree: 1, tp-size: 1}"], True),
        (["args: {sp-degree: 4}"], ["args: {ulysses-degree: 4}"], True),
        (["args: {ulysses-degree: 4}"], ["args: {ring-degree: 4}"], False),
        (["args: {ulysses-degree: 4}"], [], False),
        (["args: {enable-torch-compile: false}"], [], True),
        (["args: {enable-torch-compile: false, performance-mode: speed}"], ["args: {performance-mode: speed}"], False),
        (["args: {dit-cpu-offload: false}"], [], False),
        (["args: {pin-cpu-memory: true, save-output: true}"], [], True),
        (["args: {pin-cpu-memory: false}"], [], False),
        (["config: {vae_cpu_offload: true}"], ["args: {vae-cpu-offload: true}"], True),
        (["args: {dit-offload-prefetch-size: 0.10}"], ["args: {dit-offload-prefetch-size: 0.1}"], True),
        (['env: {X: "1"}'], [], False),
        (["args: {a: 1, b: 2}"], ["args: {b: 2, a: 1}"], True),
        (["assets: {image-path: a.png}"], ["assets: {image-path: b.png}"], False),
        (["fixtures: [warm]"], [], False),
        (["engine: sglang-serve"], ["engine: sglang-serve", "launches: {requests: 9}"], False),
        (["engine: sglang-serve"], ["engine: sglang-serve", "launches: {inputs: same}"], False),
        (["launches: {baseline: 9}"], [], True),
    ],
)
def test_two_spellings_of_one_work_are_known(one: Sequence[str], other: Sequence[str], same: bool):
    assert (work(case_of(*one, gpus=4)) == work(case_of(*other, gpus=4))) is same


def test_a_model_of_two_transformers_is_warmed_up_with_both_where_it_is_compiled():
    a14b = "Wan-AI/Wan2.2-T2V-A14B-Diffusers"
    assert setting("compile", "compile", case_of(model=a14b)).args["warmup-steps"] == 4
    assert setting("compile", "compile", case_of("args: {warmup-steps: 9}", model=a14b)).args["warmup-steps"] == 9
    assert "warmup-steps" not in setting("compile", "compile", case_of()).args


@pytest.mark.parametrize(
    ("given", "name", "args"),
    [
        ("org/wan-fp8", "transformer-wan-fp8", {"transformer-path": "org/wan-fp8"}),
        ("/x/a b.safetensors", "transformer-a-b", {"transformer-weights-path": "/x/a b.safetensors"}),
        (
            "nunchaku-tech/q/svdq-int4_r32.safetensors",
            "transformer-svdq-int4_r32",
            {"enable-svdquant": True, "transformer-weights-path": "nunchaku-tech/q/svdq-int4_r32.safetensors"},
        ),
        ("/x/high, /x/low", "transformer-high", {"transformer-path": "/x/high", "transformer-2-path": "/x/low"}),
    ],
)
def test_a_quantised_transformer_is_given_by_the_flag_of_its_kind(given: str, name: str, args: dict[str, Any]):
    first = choices("quantised", Ground(case=case_of(), gpus=1, transformers=(given,)))[0].setting
    assert (first.name, {flag: value for flag, value in first.args.items() if value is not None}) == (name, args)


@pytest.mark.parametrize("given", ["", " ", ",/x/low", "/x/high,"])
def test_a_transformer_without_a_path_is_an_error(given: str):
    with pytest.raises(OptionError):
        choices("quantised", Ground(case=case_of(), gpus=1, transformers=(given,)))


def test_transformers_of_one_name_and_of_a_settings_name_are_kept_apart():
    found = spaced(
        case_of(), allow_lossy="yes", transformers=["/a/resident", "/b/resident"], axes=["quantised", "offload"]
    )
    assert {"resident", "transformer-resident", "transformer-resident-2"} <= set(names(found))


def test_rare_settings_are_tried_where_their_axis_is_asked_for():
    assert "layerwise-p0.5" not in names(spaced(case_of()))
    found = spaced(case_of(), axes=["offload"])
    assert "layerwise-p0.5" in names(found)
    assert {one.axis for variant in found.variants for one in variant.settings} == {"offload"}


def test_low_vram_keeps_no_transformer_on_the_gpu_and_tries_the_rest_on_the_recipe():
    found = spaced(case_of(), preset="low-vram")
    assert {"compile+low-vram", "compile+low-vram+sdpa", "layerwise-p0.05", "cpu-offload"} <= set(names(found))
    assert not [name for name in names(found) if "resident" in name]


def test_the_lossy_preset_allows_what_it_is_about():
    found = spaced(case_of(f"args: {{{RESIDENT}}}"), preset="lossy")
    assert named(found, "compile+sage+cache-dit").lossy


def test_a_preset_that_is_none_is_an_error():
    with pytest.raises(KeyError):
        spaced(case_of(), preset="fast")


def test_the_family_s_recipe_is_one_of_the_variants():
    found = spaced(case_of(model="hunyuanvideo-community/HunyuanVideo"))
    assert "compile+text-encoder-cpu" in names(found)


@pytest.mark.parametrize(
    ("name", "encoder", "prefetch", "layers"),
    [
        ("resident", True, None, False),
        ("all-resident", False, None, False),
        ("components-cpu", True, None, False),
        ("low-vram", True, 0.1, True),
        ("layerwise", True, None, True),
        ("layerwise-p2", True, 2, True),
    ],
)
def test_an_offload_decides_all_about_the_transformer_and_some_about_the_rest(
    name: str, encoder: bool, prefetch: float | None, layers: bool
):
    given = "{text-encoder-cpu-offload: true, dit-offload-prefetch-size: 0.3, component-residency: [dit=resident]}"
    args = named(spaced(case_of(f"args: {given}"), version="0.5.18"), name).case.args
    assert args.get("text-encoder-cpu-offload") is encoder
    assert args.get("vae-cpu-offload") is {"all-resident": False, "components-cpu": True, "low-vram": True}.get(name)
    assert (args.get("dit-offload-prefetch-size"), args["dit-layerwise-offload"]) == (prefetch, layers)
    assert "component-residency" not in args


def test_device_modes_are_those_of_the_version_and_go_with_the_offload():
    case = case_of(
        "args: {pipeline-class-name: LTX2TwoStagePipeline, dit-layerwise-offload: true}", model="Lightricks/LTX-2.3"
    )
    found = spaced(case, version="0.5.18")
    assert reasons(found)["stages-snapshot"] == "flag flag-value"
    assert reasons(found)["stages-resident"] == "advice resident-with-offload"
    assert "compile+resident+stages-resident" in names(found)
    assert not choices("device-mode", Ground(case=case_of(), gpus=1))


def test_on_the_cpu_nothing_is_offloaded_or_spread():
    found = spaced(case_of(gpus=0), allow_lossy="yes")
    assert {one.axis for variant in found.variants for one in variant.settings} == {"compile", "cache", "precision"}
    assert len(found.variants) >= 8


def test_the_diffusers_backend_has_settings_of_its_own():
    found = spaced(case_of("backend: diffusers", model="Qwen/Qwen-Image"), gpus=2)
    assert names(found) == ["as-written", "compile", "all-resident", "cpu-offload", "native", "cudnn", "flash"]
    assert named(found, "flash").case.expect.attention is None


def test_an_engine_of_a_plugin_is_launched_as_it_is_written():
    assert names(spaced(case_of("engine: mine"))) == ["as-written"]


def test_a_server_under_load_keeps_its_replicas():
    case = case_of("engine: sglang-serve", "args: {dp-size: 2}", "launches: {concurrency: [4]}", gpus=2)
    assert not choices("topology", Ground(case=case, gpus=2))
    assert choices("topology", Ground(case=case_of(gpus=2), gpus=2))


def test_what_is_wrong_with_the_case_itself_is_said_once():
    found = spaced(case_of("args: {profile: true}"))
    assert found.variants == ()
    assert [name for name, reason in reasons(found).items() if reason == "advice profiler-on"] == ["as-written"]


MATRIX = """
cases:
  one:
    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    gpus: 2
    matrix:
      try:
        plain: {args: {ulysses-degree: 2}}
        ring: {args: {ring-degree: 2}, faster_than: {case: "one[plain]"}}
        again: {args: {ulysses-degree: 2, ring-degree: 1}}
        odd: {args: {ulysses-degree: 3}}
        large: {gpus: 4, args: {ulysses-degree: 4}}
        sage: {args: {ulysses-degree: 2, attention-backend: sage_attn}, marks: [lossy]}
"""


def test_settings_that_are_named_come_with_what_they_are_tried_on_top_of():
    def named_of(case: Case, *settings: str, **asked: Any) -> list[str]:
        return names(limited(spaced(case, **asked), settings))

    assert named_of(case_of(), "compile", "fa") == ["as-written", "compile", "fa"]
    assert named_of(case_of(), "compile", "resident") == ["as-written", "compile", "resident", "compile+resident"]
    # Of a case of one GPU all is tried on those that there are.
    assert named_of(case_of(), "fa", gpus=2) == ["as-written", "cfg2", "cfg2+fa"]
    assert named_of(case_of(), "cfg2", "fa", gpus=2) == ["as-written", "cfg2", "cfg2+fa"]
    assert named_of(case_of(), "ulysses2", gpus=2) == ["as-written", "ulysses2"]
    # A case that is refused as it is written is tried with another value.
    refused = case_of("args: {attention-backend: nope}")
    assert named_of(refused, "compile") == ["fa", "compile+fa"]
    # A preset has a ground of its own.
    assert named_of(case_of(), "sage", preset="lossy") == ["as-written", "compile+resident+sage", "compile+resident"]


def test_what_nobody_named_is_not_left_out():
    def left_out(case: Case, *settings: str) -> list[tuple[str, str]]:
        return [(one.name, one.code) for one in limited(spaced(case), settings).pruned]

    assert "sage" in [one.name for one in spaced(case_of()).pruned]
    assert left_out(case_of(), "compile") == []
    # What keeps the case itself from being launched is said in any case.
    assert left_out(case_of("args: {attention-backend: nope}"), "compile") == [("as-written", "advice")]


def test_a_matrix_of_a_case_file_is_a_space():
    cases = load_cases("c.yaml", MATRIX)
    engine = table_flags("0.5.17")
    found = matrix_space(cases, gpus=2, engine=engine)
    assert [(one.name, one.case.id, one.case.faster_than) for one in found.variants] == [
        ("plain", "one[plain]", None),
        ("ring", "one[ring]", None),
    ]
    assert reasons(found) == {"again": "same plain", "odd": "advice parallel-degrees", "large": "gpus", "sage": "lossy"}
    assert named(matrix_space(cases, gpus=2, engine=engine, allow_lossy="yes"), "sage").lossy


def test_a_matrix_of_several_cases_names_them_whole():
    cases = [*load_cases("c.yaml", MATRIX)[:1], *load_cases("d.yaml", MATRIX.replace("  one:", "  two:"))[1:2]]
    assert names(matrix_space(cases, gpus=2, engine=None)) == ["one[plain]", "two[ring]"]


OF_EVERY_KIND = (
    case_of(),
    case_of(model="Qwen/Qwen-Image", gpus=8),
    case_of("backend: diffusers"),
    case_of("args: {pipeline-class-name: LTX2TwoStagePipeline}", model="Lightricks/LTX-2.3"),
    case_of(model="IPostYellow/TurboWan2.1-T2V-1.3B-Diffusers"),
)


def test_every_setting_has_a_name_of_its_own_and_a_source():
    for case in OF_EVERY_KIND:
        ground = Ground(case=case, gpus=8, transformers=("a/b",))
        found = [one.setting for axis in AXES for one in choices(axis, ground)]
        assert len({one.name for one in found}) == len(found)
        assert [one.name for one in found if not one.source or not re.fullmatch(r"[\w.-]+", one.name)] == []


def test_the_page_names_every_setting_of_an_axis_and_no_other():
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (topology|[\w-]+)(?: \(lossy\))? \| (.*) \|$", page, re.MULTILINE)
    shown = {axis: set(re.findall(r"`([^`]+)`", text)) for axis, text in rows if axis in AXES}
    there: dict[str, set[str]] = {axis: set() for axis in AXES}
    for case in OF_EVERY_KIND:
        for axis in AXES:
            there[axis] |= {one.setting.name for one in choices(axis, Ground(case=case, gpus=1))}
    # Topologies are made for the number of GPUs, transformers are named by the user.
    assert shown["quantised"] == {"transformer-NAME", *there["quantised"]}
    assert {axis: names for axis, names in shown.items() if axis not in ("topology", "quantised")} == {
        axis: names for axis, names in there.items() if axis not in ("topology", "quantised")
    }
    assert set(re.findall(r"^\| `([\w-]+)` \| `[\w+-]+` \|", page, re.MULTILINE)) == set(PRESETS)
    reasons_shown = page.partition("| reason | what it means |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", reasons_shown, re.MULTILINE)) == set(get_args(PruneCode))


def test_presets_and_recipes_name_settings_that_there_are():
    ground = Ground(
        case=case_of("args: {pipeline-class-name: LTX2TwoStagePipeline}", model="Lightricks/LTX-2.3"), gpus=2
    )
    there = {axis: {one.setting.name for one in choices(axis, ground)} for axis in AXES}
    for one in (*PRESETS.values(), *RECIPES):
        assert [name for axis, name in one.settings.items() if name not in there[axis]] == []
    for preset in PRESETS.values():
        assert [name for axis, offered in preset.offered.items() for name in offered if name not in there[axis]] == []


HQ = ("args: {pipeline-class-name: LTX2TwoStageHQPipeline, ltx2-two-stage-device-mode: snapshot}",)


def test_a_case_that_is_refused_for_one_flag_is_searched_with_another_value_of_it() -> None:
    """0.5.23 has no such device mode. Else every setting would be refused with the case, and not even be listed."""
    found = spaced(case_of(*HQ, model="Lightricks/LTX-2.3"), version="0.5.23")
    assert reasons(found)["as-written"].startswith("flag")
    assert {"stages-original", "compile+stages-original", "fa+stages-original", "stages-resident"} <= set(names(found))
    assert reasons(found)["fsdp+stages-original"] == "gpus"
    # Nothing is added where the case can be launched.
    older = names(spaced(case_of(*HQ, model="Lightricks/LTX-2.3"), version="0.5.13"))
    assert {"as-written", "compile", "stages-original"} <= set(older)
    assert "fa+stages-original" not in older


def test_it_is_searched_on_other_gpus_and_on_axes_that_have_no_such_setting_too() -> None:
    case = case_of(*HQ, model="Lightricks/LTX-2.3")
    assert {"cfg2+stages-original", "cfg2+fa+stages-original"} <= set(names(spaced(case, gpus=2, version="0.5.23")))
    only = spaced(case, version="0.5.23", axes=("compile",))
    assert {"stages-original", "compile+stages-original"} <= set(names(only))


def test_a_case_that_no_setting_can_mend_has_no_variants() -> None:
    found = spaced(case_of("args: {no-such-flag: true}"))
    assert (found.variants, set(reasons(found)) >= {"as-written"}) == ((), True)
