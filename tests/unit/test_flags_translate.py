"""Command lines by engine version, and what each version would ignore or reject."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pytest_sgdiff.data import ArgValue, Case, Flag, Location
from pytest_sgdiff.engine_version import engine_version
from pytest_sgdiff.engines.flags import table
from pytest_sgdiff.engines.flags.check import lacks_flags
from pytest_sgdiff.engines.flags.lookup import EngineFlags, kind_of, spans_of
from pytest_sgdiff.engines.flags.translate import NEWEST, complaints, table_flags, translate
from tests.golden import check_golden

VERSIONS = [f"0.5.{release}" for release in range(8, 24)]
NEWEST_FLAGS = table_flags(NEWEST)


def case(args: dict[str, ArgValue] | None = None, **changes: Any) -> Case:
    given: dict[str, Any] = {
        "name": "wan",
        "location": Location(path="cases/wan.yaml", line=3, column=3),
        "model": "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        "args": args or {},
        **changes,
    }
    return Case(**given)


def words(version: str, args: dict[str, ArgValue] | None = None, **changes: Any) -> str:
    return shlex.join(translate(case(args, **changes), table_flags(version)))


def said(version: str, args: dict[str, ArgValue] | None = None, **changes: Any) -> list[tuple[str, str]]:
    return [(found.slug, found.key) for found in complaints(case(args, **changes), table_flags(version))]


# ---------------------------------------------------------------------------------------- the performance guide's words


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            case(
                {
                    "enable-cfg-parallel": True,
                    "ulysses-degree": 4,
                    "enable-torch-compile": True,
                    "text-encoder-cpu-offload": "true",
                    "prompt": "...",
                    "save-output": True,
                },
                gpus=8,
            ),
            (
                "--model-path Wan-AI/Wan2.2-T2V-A14B-Diffusers --num-gpus 8 --enable-cfg-parallel --ulysses-degree 4 "
                "--enable-torch-compile --warmup --text-encoder-cpu-offload true --prompt ... --save-output"
            ),
        ),
        (
            case(
                {
                    "pipeline-class-name": "LTX2TwoStagePipeline",
                    "prompt": "A cat and a dog baking a cake together in a kitchen.",
                    "width": 768,
                    "height": 512,
                    "num-frames": 121,
                    "seed": 42,
                    "enable-cfg-parallel": True,
                    "enable-torch-compile": True,
                    "save-output": True,
                },
                model="Lightricks/LTX-2",
                gpus=2,
            ),
            (
                "--model-path Lightricks/LTX-2 --pipeline-class-name LTX2TwoStagePipeline "
                "--prompt 'A cat and a dog baking a cake together in a kitchen.' --width 768 --height 512 "
                "--num-frames 121 --seed 42 --num-gpus 2 --enable-cfg-parallel --enable-torch-compile --warmup "
                "--save-output"
            ),
        ),
        (
            case(
                {
                    "backend": "sglang",
                    "prompt": "Make the cat wear a red hat",
                    "width": 1024,
                    "height": 1024,
                    "num-inference-steps": 40,
                    "guidance-scale": 4.0,
                    "enable-cfg-parallel": True,
                    "ulysses-degree": 1,
                    "dit-layerwise-offload": False,
                    "dit-cpu-offload": False,
                    "enable-torch-compile": True,
                    "save-output": True,
                },
                model="FireRedTeam/FireRed-Image-Edit-1.1",
                gpus=2,
                assets={"image-path": "cat.png"},
            ),
            (
                "--backend=sglang --model-path FireRedTeam/FireRed-Image-Edit-1.1 "
                "--prompt 'Make the cat wear a red hat' --image-path cat.png --width 1024 --height 1024 "
                "--num-inference-steps 40 --guidance-scale 4.0 --num-gpus 2 --enable-cfg-parallel --ulysses-degree 1 "
                "--dit-layerwise-offload false --dit-cpu-offload false "
                "--enable-torch-compile --warmup --save-output"
            ),
        ),
        (
            case(
                {
                    "cache-dit-config": "config.yaml",
                    "dit-layerwise-offload": False,
                    "prompt": "...",
                    "save-output": True,
                },
                model="org/model",
                backend="diffusers",
                warmup="off",
            ),
            (
                "--backend diffusers --model-path org/model --cache-dit-config config.yaml "
                "--dit-layerwise-offload false --prompt ... --save-output"
            ),
        ),
    ],
)
def test_recipes_of_the_guide_come_out_word_for_word_on_the_version_it_was_written_for(
    made: Case, expected: str
) -> None:
    assert shlex.join(translate(made, table_flags("0.5.13"))) == expected


def test_assets_and_config_follow_the_prompt_with_the_files_of_the_launch() -> None:
    made = case({"prompt": "generate 3d mesh", "guidance-scale": 5.0}, assets={"image-path": "cat.png"}, warmup="off")
    assert shlex.join(translate(made, NEWEST_FLAGS, assets={"image-path": "/a/cat.png"}, config="/w/config.json")) == (
        "--model-path Wan-AI/Wan2.2-T2V-A14B-Diffusers --prompt 'generate 3d mesh' --image-path /a/cat.png "
        "--config /w/config.json --guidance-scale 5.0"
    )


# ------------------------------------------------------------------------------------------------- intent, by version


@pytest.mark.parametrize("version", VERSIONS)
def test_warmup_is_written_in_the_versions_own_words(version: str) -> None:
    release = int(version.split(".")[2])
    expected = "--warmup" if release < 14 else "--warmup-mode request"
    # Else the measured request would find what its warmup has encoded.
    expected += " --disable-conditioning-cache" if release >= 21 else ""
    assert words(version).removeprefix("--model-path Wan-AI/Wan2.2-T2V-A14B-Diffusers ") == expected


@pytest.mark.parametrize(
    ("version", "flag"), [("0.5.13", ""), ("0.5.14", " --warmup-mode off"), ("0.5.23", " --warmup-mode off")]
)
def test_no_warmup_is_said_aloud_where_compilation_would_claim_one(version: str, flag: str) -> None:
    compiled = {"enable-torch-compile": True}
    assert words(version, compiled, warmup="off", model="m") == f"--model-path m --enable-torch-compile{flag}"
    assert words(version, {"seed": 1}, warmup="off", model="m") == "--model-path m --seed 1"


@pytest.mark.parametrize(("version", "expected"), [("0.5.11", ""), ("0.5.12", " --enable-cfg-parallel false")])
def test_a_switch_is_left_out_where_its_false_form_breaks(version: str, expected: str) -> None:
    assert words(version, {"enable-cfg-parallel": False}, warmup="off", model="m") == f"--model-path m{expected}"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"negative-prompt": "-ugly"}, "--negative-prompt=-ugly"),
        ({"guidance-scale": -1}, "--guidance-scale=-1"),
        ({"negative-prompt": ""}, "--negative-prompt ''"),
        ({"bcg-text-buckets": (256, 720)}, "--bcg-text-buckets 256 720"),
        ({"save-output": False}, "--no-save-output"),
        ({"720p": True}, "--720p"),
        ({"num-gpus": 4}, "--num-gpus 4"),
    ],
)
def test_values_are_written_so_that_the_parser_reads_them(args: dict[str, ArgValue], expected: str) -> None:
    assert (
        words(NEWEST, args, warmup="off", model="m", gpus=4 if "num-gpus" in args else 1)
        == f"--model-path m {expected}"
    )


def test_gpus_are_said_where_there_are_several_and_never_on_the_cpu() -> None:
    assert words(NEWEST, warmup="off", model="m", gpus=2) == "--model-path m --num-gpus 2"
    assert words(NEWEST, warmup="off", model="m", gpus=1) == "--model-path m"
    assert words(NEWEST, warmup="off", model="m", gpus=0) == "--model-path m"


def test_explicit_warmup_flags_stand_for_themselves() -> None:
    assert words("0.5.20", {"warmup-mode": "request"}, model="m") == "--model-path m --warmup-mode request"


# ------------------------------------------------------------------------------------------------------------ versions


@pytest.mark.parametrize(
    ("flag", "since", "until"),
    [
        ("warmup", 8, 17),
        ("warmup-mode", 14, 23),
        ("server-warmup", 13, 17),
        ("warmup-resolutions", 8, 23),
        ("warmup-steps", 10, 23),
        ("cfg-parallel-size", 12, 23),
        ("enable-cfg-parallel", 8, 23),
        ("dit-offload-prefetch-size", 9, 23),
        ("performance-mode", 12, 23),
        ("pipeline-class-name", 10, 23),
        ("ltx2-two-stage-device-mode", 11, 23),
        ("cache-dit-config", 9, 23),
        ("quality", 17, 23),
        ("strict-ports", 10, 23),
        ("model-id", 10, 23),
        ("base-gpu-id", 11, 23),
        ("scheduler-rpc-timeout", 18, 23),
        ("dit-layerwise-offload", 8, 23),
        ("perf-dump-path", 8, 23),
    ],
)
def test_the_flag_table_says_when_a_flag_came_and_went(flag: str, since: int, until: int) -> None:
    assert [release for release in range(8, 24) if kind_of(flag, release) is not None] == list(range(since, until + 1))


@pytest.mark.parametrize(
    ("flag", "release", "kind"),
    [
        ("enable-cfg-parallel", 11, "switch"),
        ("enable-cfg-parallel", 12, "boolean"),
        ("prompt", 9, "value"),
        ("prompt", 10, "list"),
        ("seed", 10, "value"),
        ("seed", 11, "list"),
        ("image-path", 8, "list"),
        ("save-output", 23, "switch"),
        ("enable-torch-compile", 23, "boolean"),
        ("no-such-flag", 23, None),
    ],
)
def test_the_flag_table_says_how_a_flag_takes_its_value(flag: str, release: int, kind: str | None) -> None:
    assert kind_of(flag, release) == kind


def test_no_flag_is_listed_twice_for_one_release() -> None:
    for release in range(table.OLDEST, table.NEWEST + 1):
        names = [
            name
            for (since, until, _), flags in table.FLAGS.items()
            if since <= release <= (until or table.NEWEST)
            for name in flags.split()
        ]
        assert len(names) == len(set(names))


# ---------------------------------------------------------------------------------------------------------- complaints


REFUSED: list[tuple[str, dict[str, ArgValue], str]] = [
    ("0.5.18", {"warmup": True}, "flag-ambiguous"),
    ("0.5.13", {"warmup-mode": "request"}, "flag-missing"),
    ("0.5.11", {"cfg-parallel-size": 2}, "flag-missing"),
    ("0.5.12", {"cfg-parallel-size": 2}, "flag-ignored"),
    ("0.5.11", {"enable-cfg-parallel": "true"}, "flag-value"),
    ("0.5.14", {"ltx2-two-stage-device-mode": "snapshot"}, "flag-value"),
    ("0.5.9", {"pipeline-class-name": "LTX2TwoStagePipeline"}, "flag-missing"),
    ("0.5.10", {"pipeline-class-name": "LTX2TwoStageHQPipeline"}, "pipeline-missing"),
    ("0.5.18", {"server-warmup": True}, "flag-missing"),
    ("0.5.16", {"quality": "lossless"}, "flag-missing"),
    ("0.5.17", {"quality": "exact"}, "flag-value"),
    ("0.5.11", {"performance-mode": "speed"}, "flag-missing"),
    ("0.5.23", {"num_frames": 81}, "flag-underscore"),
    ("0.5.23", {"ulysses": 4}, "flag-abbreviated"),
    ("0.5.23", {"perf-dumps-path": "/x"}, "flag-swallowed"),
    ("0.5.23", {"guidence-scale": 4.0}, "flag-unknown"),
    ("0.5.23", {"frobnicate": 1}, "flag-unknown"),
    ("0.5.23", {"transformer-path": "/x"}, "component-path"),
    ("0.5.23", {"enable-torch-compile": 1}, "flag-value"),
    ("0.5.23", {"width": True}, "flag-value"),
    ("0.5.10", {"enable-cfg-parallel": "False"}, "flag-value"),
    ("0.5.23", {"width": "wide"}, "flag-value"),
    ("0.5.8", {"skip-time-steps": 1.5}, "flag-value"),
    ("0.5.8", {"VSA-sparsity": "much"}, "flag-value"),
    ("0.5.8", {"num-frames": 81.0}, "flag-value"),
    ("0.5.17", {"seed": (1, "x")}, "flag-value"),
    ("0.5.17", {"guidance-scale": False}, "flag-value"),
    ("0.5.17", {"text-encoder-precisions": ("fp16", "int8")}, "flag-value"),
    ("0.5.23", {"x264-preset": "quick"}, "flag-value"),
    ("0.5.22", {"output-quality": "best"}, "flag-value"),
    ("0.5.9", {"mask-strategy-file-path": "/m.json"}, "flag-ignored"),
    ("0.5.23", {"moba-config-path": "/m.json"}, "flag-ignored"),
    ("0.5.19", {"attention-backend": "sparge_attn"}, "flag-value"),
    ("0.5.12", {"component-attention-backends": "text_encoder=fa, transformer=laser_attn"}, "flag-value"),
    ("0.5.17", {"transformer-2-attention-backend": "fa"}, "flag-unknown"),
    ("0.5.9", {"prompt": ("a", "b")}, "flag-value"),
    ("0.5.23", {"image-path": ("-x.png", "y.png")}, "flag-value"),
    ("0.5.8", {"attention-backend": "sparge_attn"}, "flag-value"),
]


@pytest.mark.parametrize(("version", "args", "slug"), REFUSED)
def test_what_a_version_would_ignore_or_reject_is_said_at_its_key(
    version: str, args: dict[str, ArgValue], slug: str
) -> None:
    assert said(version, args) == [(slug, f"args.{next(iter(args))}")]


@pytest.mark.parametrize("value", [False, "false"])
def test_cfg_parallel_is_not_left_on_where_its_false_cannot_be_said(value: ArgValue) -> None:
    off = {"enable-cfg-parallel": value}
    assert said("0.5.11", off, gpus=2) == [("flag-ignored", "args.enable-cfg-parallel")]
    assert "flag-ignored" not in [slug for slug, *_ in said("0.5.11", off, gpus=1)]


@pytest.mark.parametrize("version", ["0.5.10", "0.5.11", "0.5.12"])
def test_cfg_parallel_is_off_where_that_is_the_default_a_degree_is_pinned_or_false_can_be_said(version: str) -> None:
    off: dict[str, ArgValue] = {"enable-cfg-parallel": False, **({"ulysses-degree": 2} if version == "0.5.11" else {})}
    assert said(version, off, gpus=2) == []


REFUSED_IN_CONFIG: list[tuple[str, dict[str, Any], str]] = [
    ("0.5.17", {"enable-torch-compile": True}, "flag-ignored"),
    ("0.5.17", {"paint-enable": False}, "flag-ignored"),
    ("0.5.17", {"cfg_parallel_size": 2}, "flag-ignored"),
    ("0.5.9", {"num_outputs_per_prompt": 1}, "flag-ignored"),
    ("0.5.11", {"performance_mode": "speed"}, "flag-missing"),
    ("0.5.23", {"ltx2_two_stage_device_mode": "snapshot"}, "flag-value"),
    ("0.5.17", {"dit_layerwise_offload": "false"}, "flag-value"),
    ("0.5.17", {"num_inference_steps": "8"}, "flag-value"),
    ("0.5.17", {"seed": 1}, "flag-ignored"),
]


@pytest.mark.parametrize(("version", "config", "slug"), REFUSED_IN_CONFIG)
def test_what_a_version_would_ignore_or_reject_of_a_config_is_said_at_its_key(
    version: str, config: dict[str, Any], slug: str
) -> None:
    args: dict[str, ArgValue] = {"seed": 2} if "seed" in config else {}
    assert said(version, args, config=config) == [(slug, f"config.{next(iter(config))}")]


def test_settings_of_a_models_pipeline_and_good_flags_in_a_config_are_left_alone() -> None:
    good = {"paint_enable": False, "num_inference_steps": 4, "cfg_parallel_degree": 1, "dit_layerwise_offload": False}
    assert said("0.5.17", config=good) == []


def test_no_warmup_is_said_aloud_where_the_config_compiles() -> None:
    line = words("0.5.17", warmup="off", model="m", config={"enable_torch_compile": True})
    assert line == "--model-path m --warmup-mode off"


def test_only_a_replaced_component_is_a_mere_warning() -> None:
    found = complaints(case({"transformer-path": "/x", "ulysses": 4}), table_flags("0.5.17"))
    levels = {one.slug: one.level for one in found}
    assert levels == {"component-path": "warning", "flag-abbreviated": "error"}


def test_flags_that_the_plugin_writes_are_left_to_advice() -> None:
    assert said("0.5.17", {"num-gpus": 4, "perf-dump-path": "/x", "strict-ports": True, "warmup": True}) == []


def test_the_native_backend_is_named_where_the_case_names_it() -> None:
    assert words(NEWEST, model="m", warmup="off") == "--model-path m"
    assert words(NEWEST, model="m", warmup="off", backend="sglang") == "--backend=sglang --model-path m"
    assert words(NEWEST, model="m", warmup="off", backend="diffusers") == "--backend diffusers --model-path m"


CAME_LATER = [
    ("Lightricks/LTX-2", "0.5.8"),
    ("Lightricks/LTX-2.3", "0.5.10"),
    ("tencent/Hunyuan3D-2", "0.5.9"),
]


@pytest.mark.parametrize(("model", "version"), CAME_LATER)
def test_a_model_that_came_later_is_refused_on_the_native_backend(model: str, version: str) -> None:
    assert said(version, model=model) == [("model-unsupported", "model")]
    assert said(version, model=model, backend="diffusers") == []


def test_a_model_whose_pipeline_is_older_than_its_registration_is_only_warned_of() -> None:
    (found,) = complaints(case(model="FireRedTeam/FireRed-Image-Edit-1.1"), table_flags("0.5.9"))
    assert (found.level, found.slug) == ("warning", "model-unknown")


@pytest.mark.parametrize("version", ["0.5.24", "0.6.0", "0.5.7", "0.0.0.dev1+g1a2b3c4", "0.1.dev1", "unknown", ""])
def test_an_unknown_version_is_warned_of(version: str) -> None:
    (found,) = complaints(case(), table_flags(version))
    assert (found.level, found.slug, found.key) == ("warning", "engine-unknown", "requires.engine")
    assert found.message == engine_version(version).warning


def test_an_asset_flag_that_the_version_lacks_is_refused_at_its_key() -> None:
    assert [(c.slug, c.key) for c in complaints(case(assets={"video-path": "x.mp4"}), table_flags("0.5.15"))] == [
        ("flag-missing", "assets.video-path")
    ]


def test_numbers_and_choices_that_the_parser_reads_are_left_alone() -> None:
    good: dict[str, ArgValue] = {
        "width": "1024",
        "seed": (1, 2),
        "guidance-scale": 4,
        "true-cfg-scale": "1e1",
        "text-encoder-precisions": ("fp16", "bf16"),
        "dit-offload-prefetch-size": 0.1,
        "fps": -1,
    }
    assert said("0.5.23", good) == []
    assert said("0.5.21", {"output-quality": "best"}) == []


def test_every_flag_with_a_number_or_a_choice_is_one_that_some_release_has() -> None:
    numbers = {*table.INTEGERS.split(), *table.FLOATS.split()}
    assert [name for name in (*numbers, *table.CHOICES, *table.DROPPED, *table.SAMPLING) if not spans_of(name)] == []


def test_nested_settings_and_good_flags_are_left_alone() -> None:
    good: dict[str, ArgValue] = {
        "prompt": "a cat",
        "vae-config.use-parallel-decode": True,
        "component-attention-backends.text_encoder": "torch_sdpa",
        "720p": True,
        "dit-layerwise-offload": False,
        "text-encoder-cpu-offload": "TRUE",
        "num-gpus": 1,
        "backend": "sglang",
    }
    assert said("0.5.23", good) == []


# ------------------------------------------------------------------------------------------ engines beyond the tables

HELP = {
    **{name: Flag(kind="value") for name in ("model-path", "prompt", "width", "seed", "brand-new-flag", "speed")},
    "brand-new-switch": Flag(kind="switch", off="no-brand-new-switch"),
    "no-brand-new-switch": Flag(kind="switch"),
    "brand-new-list": Flag(kind="list"),
    "odd_spelling": Flag(kind="value"),
    "quality": Flag(kind="value", choices=("fine", "coarse")),
    "enable-torch-compile": Flag(kind="switch"),
    "warmup-mode": Flag(kind="value", choices=("off", "request")),
    "trace": Flag(kind="boolean"),
}
NEWER = ("0.5.24", "0.6.0", "0.1.dev1", "0.0.0.dev1+g1a2b3c4", "unknown")


def asked(version: str, told: Mapping[str, Flag] = HELP) -> EngineFlags:
    return EngineFlags(version=engine_version(version), told=told)


def levels(engine: EngineFlags, args: dict[str, ArgValue] | None = None, **changes: Any) -> dict[str, str]:
    found = complaints(case(args, **changes), engine)
    return {one.slug: one.level for one in found if one.slug != "engine-unknown"}


@pytest.mark.parametrize("version", NEWER)
@pytest.mark.parametrize(
    ("args", "slug"),
    [
        ({"brand-new-flag": 1}, "flag-unknown"),
        ({"brand-new-flag": False}, "flag-unknown"),
        ({"no-vae-tiling": True}, "flag-unknown"),
        # It went before the newest known, and may have come back.
        ({"server-warmup": True}, "flag-missing"),
        ({"warmup": True}, "flag-ambiguous"),
        ({"ulysses": 4}, "flag-abbreviated"),
        ({"brand_new_flag": 1}, "flag-underscore"),
        ({"brand-new-path": "x"}, "flag-swallowed"),
        ({"quality": "fine"}, None),
        ({"num-frames": "auto"}, "flag-value"),
        ({"debug": "full"}, "flag-value"),
        ({"enable-torch-compile": "max-autotune"}, "flag-value"),
        ({"mask-strategy-file-path": "x"}, "flag-ignored"),
        ({"pipeline-class-name": "BrandNewPipeline"}, None),
    ],
)
def test_what_the_tables_do_not_know_is_a_warning_beyond_them(
    version: str, args: dict[str, ArgValue], slug: str | None
) -> None:
    expected = {} if slug is None else {slug: "warning"}
    assert levels(table_flags(version), args) == expected
    assert lacks_flags(case(args), table_flags(version)) is (slug not in (None, "flag-value", "flag-ignored"))


@pytest.mark.parametrize("version", NEWER)
def test_assets_and_configs_beyond_the_tables_are_warnings_too(version: str) -> None:
    assert levels(table_flags(version), assets={"brand-new-image": "x.png"}) == {"flag-unknown": "warning"}
    assert levels(table_flags(version), config={"server_warmup": True}) == {}
    assert levels(table_flags(version), config={"decoder_tp": 2}) == {"flag-missing": "warning"}


@pytest.mark.parametrize("version", ["0.5.17", "0.5.23", "0.5.7"])
def test_on_known_releases_and_older_ones_an_unknown_flag_is_an_error(version: str) -> None:
    assert levels(table_flags(version), {"brand-new-flag": 1}) == {"flag-unknown": "error"}


@pytest.mark.parametrize("version", [*NEWER, "0.5.23", "0.5.7"])
@pytest.mark.parametrize(
    ("args", "slug"),
    [
        ({"brand-new-flag": 1}, None),
        ({"odd_spelling": 1}, None),
        ({"brand-new-switch": True}, None),
        ({"brand-new-switch": False}, None),
        ({"no-brand-new-switch": True}, None),
        ({"brand-new-list": (1, 2)}, None),
        ({"trace": "/tmp/x"}, None),
        ({"brand-nwe-flag": 1}, "flag-unknown"),
        ({"brand_new_flag": 1}, "flag-underscore"),
        ({"brand-new": 1}, "flag-abbreviated"),
        # A flag of the tables that this engine lacks.
        ({"num-frames": 17}, "flag-missing"),
        ({"brand-new-flag": (1, 2)}, "flag-value"),
        ({"brand-new-flag": True}, "flag-value"),
        ({"brand-new-switch": "on"}, "flag-value"),
    ],
)
def test_the_engines_own_help_is_the_truth(version: str, args: dict[str, ArgValue], slug: str | None) -> None:
    found = levels(asked(version), args)
    if "trace" in args:
        # Whether it takes any value, or true and false alone, no help shows.
        assert set(found.values()) <= {"warning"}
    else:
        assert found == ({} if slug is None else {slug: "error"})


def test_what_the_help_lacks_is_said_of_this_very_engine_with_what_was_meant() -> None:
    (_, found) = complaints(case({"brand-nwe-flag": 1}), asked("0.5.24"))
    assert "`brand-new-flag`" in found.message
    (_, found) = complaints(case({"num-frames": 17}), asked("0.1.dev1"))
    assert "0.5.23" in found.message


def test_choices_are_those_of_the_help_on_an_engine_beyond_the_tables() -> None:
    assert levels(asked("0.5.24"), {"quality": "fine"}) == {}
    assert levels(asked("0.5.24"), {"quality": "lossless"}) == {"flag-value": "error"}


def test_a_flag_that_a_parser_hides_from_its_help_is_known_of_the_release_that_has_it() -> None:
    assert levels(asked("0.5.9"), {"diffusers-attention-backend": "sage"}) == {}
    assert levels(asked("0.5.24"), {"diffusers-attention-backend": "sage"}) == {"flag-missing": "error"}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"brand-new-switch": True}, "--brand-new-switch"),
        ({"brand-new-switch": False}, "--no-brand-new-switch"),
        ({"no-brand-new-switch": True}, "--no-brand-new-switch"),
        ({"brand-new-list": (1, 2)}, "--brand-new-list 1 2"),
        ({"enable-torch-compile": False}, ""),
        ({"trace": False}, "--trace false"),
        ({"brand-new-flag": -1}, "--brand-new-flag=-1"),
    ],
)
def test_values_are_written_as_the_help_shows_them(args: dict[str, ArgValue], expected: str) -> None:
    made = translate(case(args, warmup="off", model="m"), asked("0.5.24"))
    assert shlex.join(made).removeprefix("--model-path m").strip().removesuffix(" --warmup-mode off") == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("warmup-mode", "disable-conditioning-cache"), "--warmup-mode request --disable-conditioning-cache"),
        (("warmup-mode",), "--warmup-mode request"),
        (("warmup",), "--warmup"),
    ],
)
def test_warmup_is_written_with_the_flags_that_the_engine_has(flags: tuple[str, ...], expected: str) -> None:
    told = {name: Flag(kind="switch") for name in ("model-path", *flags)}
    assert shlex.join(translate(case(model="m"), asked("0.1.dev1", told))) == f"--model-path m {expected}"


def test_a_warmup_that_an_engine_has_no_word_for_is_refused() -> None:
    told = {"model-path": Flag(kind="value")}
    assert [(one.level, one.key) for one in complaints(case(), asked("0.5.24", told))][1:] == [("error", "warmup")]
    assert levels(asked("0.5.24", told), warmup="off") == {}


# --------------------------------------------------------------------------------------------------- conditioning cache

CACHE_OFF = "--disable-conditioning-cache"


@pytest.mark.parametrize("version", ["0.5.21", "0.5.23", "0.5.24", "0.1.dev1", "0.0.0.dev1+gc6416b13d"])
@pytest.mark.parametrize(
    ("changes", "off"),
    [
        ({}, True),
        ({"args": {"disable-conditioning-cache": True}}, True),
        ({"args": {"disable-conditioning-cache": False}}, False),
        ({"args": {"conditioning-cache-max-size-mb": 64}}, False),
        ({"args": {"conditioning-cache-max-size-mb": 0}}, True),
        ({"config": {"disable_conditioning_cache": False}}, False),
        ({"args": {"warmup-mode": "request"}, "warmup": "off"}, True),
        ({"args": {"warmup-mode": "off"}}, False),
        ({"args": {"warmup-resolutions": ("64x64",)}, "warmup": "off"}, True),
        ({"warmup": "off"}, False),
        ({"backend": "diffusers"}, False),
    ],
)
def test_the_cache_is_off_where_a_warmup_would_fill_it(version: str, changes: dict[str, Any], off: bool) -> None:
    made = translate(case(**changes), table_flags(version))
    assert made.count(CACHE_OFF) == off


def test_engines_without_the_cache_are_not_told_of_it() -> None:
    for version in ("0.5.8", "0.5.20"):
        for args in ({}, {"disable-conditioning-cache": False}):
            assert CACHE_OFF not in words(version, args)
            assert said(version, args) == []
        assert [slug for slug, _ in said(version, {"disable-conditioning-cache": True})] == ["flag-missing"]


def lines_of_complaints() -> Iterator[str]:
    def of(engine: EngineFlags, subject: Case) -> Iterator[str]:
        yield from (f"{one.slug}: {one.message}" for one in complaints(subject, engine))

    for version, args, _ in REFUSED:
        yield from of(table_flags(version), case(args))
    for version, config, _ in REFUSED_IN_CONFIG:
        args = {"seed": 2} if "seed" in config else {}
        yield from of(table_flags(version), case(args, config=config))
    for model, version in CAME_LATER:
        yield from of(table_flags(version), case(model=model))
    yield from of(table_flags("0.5.9"), case(model="FireRedTeam/FireRed-Image-Edit-1.1"))
    yield from of(table_flags("0.5.11"), case({"enable-cfg-parallel": False}, gpus=2))
    yield from of(asked("0.5.24"), case({"brand-nwe-flag": 1}))
    yield from of(asked("0.1.dev1"), case({"num-frames": 17}))


def test_the_words_of_what_a_version_would_not_do_are_the_golden_ones() -> None:
    check_golden("complaint", dict.fromkeys(lines_of_complaints()))
