"""A case split for a server: what goes to the server, what to its requests, and what no server could be asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_sgdiff.data import (
    Case,
    EngineInfo,
    Expect,
    LaunchFiles,
    LaunchPlan,
    MetricChoice,
    OutputSize,
    Ports,
    RequestPlan,
)
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.engines.flags import table
from pytest_sgdiff.engines.flags.lookup import kind_of
from pytest_sgdiff.engines.flags.translate import complaints, table_flags
from pytest_sgdiff.engines.serving import fields, varied
from pytest_sgdiff.engines.serving.requests import misfits, split, task_of
from tests.serverlife import served_case

PROMPT = "a curious raccoon in a field of sunflowers"
VIDEO = {"num-frames": 81}
FILES = LaunchFiles(
    workdir="/l", output_dir="/l/out", perf_dump="/l/perf.json", perf_log_dir="/l/log", config="/l/config.json"
)
IMAGE = {"image-path": "/assets/cat.png"}


def made(case: Case, version: str = "0.5.23", assets: dict[str, str] | None = None) -> tuple[list[str], Any]:
    """The words of the server, from its subcommand on, and its service."""
    command = ENGINES["sglang-serve"].command(
        case,
        info=EngineInfo(command=("sglang",), version=version),
        files=replace(FILES, assets=assets or {}),
        ports=Ports(http=20000, scheduler=20010, master=20040),
    )
    return list(command.argv[1:]), command.service


def video(**changes: Any) -> Case:
    args = {"prompt": PROMPT, "width": 832, "height": 480, "num-frames": 81, "fps": 16, "num-inference-steps": 50}
    return served_case(**{"args": args, **changes})


def last(case: Case, version: str = "0.5.23", assets: dict[str, str] | None = None) -> RequestPlan:
    plan: RequestPlan = made(case, version, assets)[1].requests[-1]
    return plan


def test_flags_of_the_request_are_sent_and_all_others_start_the_server() -> None:
    args = {
        "backend": "sglang", "tp-size": 2, "prompt": PROMPT, "width": 832, "height": 480, "num-frames": 81, "seed": 42,
        "enable-torch-compile": True, "guidance-scale-2": 3.5, "text-encoder-cpu-offload": True, "save-output": True,
    }  # fmt: skip
    words, service = made(video(args=args, gpus=2))
    assert words[:2] == ["serve", "--backend=sglang"]
    asked = {word for word in words if word.startswith("--")}
    assert {"--tp-size", "--enable-torch-compile", "--text-encoder-cpu-offload", "--num-gpus"} <= asked
    assert not {f"--{flag}" for flag in fields.SAMPLING} & asked
    assert service.requests[-1].fields == {
        "prompt": varied.prompt(PROMPT, 3),
        "width": 832,
        "height": 480,
        "num_frames": 81,
        "seed": 42,
        "guidance_scale_2": 3.5,
        # What servers assume, said.
        "fps": 24,
        "perf_dump_path": "/l/perf_3.json",
    }


def test_every_flag_of_the_engine_is_of_one_side() -> None:
    """Whatever the table calls a parameter is a flag of `generate`, in the release from which on it is sent."""
    known = {name for names in table.FLAGS.values() for name in names.split()}
    assert fields.SAMPLING - known <= {"max-sequence-length"}
    for task in ("image", "edit", "video", "mesh"):
        for release in range(fields.OLDEST_SERVED, table.NEWEST + 1):
            for flag in fields.fields_of(task, release):  # type: ignore[arg-type]
                assert flag in fields.SAMPLING | fields.EITHER, flag
                assert kind_of(flag, release) is not None or flag in ("max-sequence-length", "cfg-renorm-min"), flag


@pytest.mark.parametrize(
    ("args", "more", "task"),
    [
        ({"prompt": PROMPT}, {}, "image"),
        ({"prompt": PROMPT, "width": 64, "height": 64}, {}, "image"),
        ({"prompt": PROMPT}, {"assets": {"image-path": "cat.png"}}, "edit"),
        ({"prompt": PROMPT, "image-path": "cat.png"}, {}, "edit"),
        ({"prompt": PROMPT, "num-frames": 81}, {}, "video"),
        ({"prompt": PROMPT, "num-frames": 1}, {"assets": {"image-path": "cat.png"}}, "video"),
        ({"prompt": PROMPT, "fps": 16}, {}, "video"),
        ({"prompt": PROMPT}, {"config": {"num_frames": 81}}, "video"),
        ({"prompt": PROMPT}, {"expect": Expect(output=OutputSize(frames=81))}, "video"),
        ({"prompt": PROMPT}, {"model": "tencent/Hunyuan3D-2", "assets": {"image-path": "cat.png"}}, "mesh"),
    ],
)
def test_what_a_case_asks_for_says_what_its_requests_make(
    args: dict[str, Any], more: dict[str, Any], task: str
) -> None:
    assert task_of(served_case(args=args, **more)) == task


def test_an_image_without_a_size_gets_that_of_the_model() -> None:
    """Servers take 1024x1024 for a request that says nothing, and `generate` the model's own size."""
    plan = last(served_case(args={"prompt": PROMPT}))
    assert (plan.path, plan.job, plan.form) == ("/v1/images/generations", False, False)
    assert plan.fields["size"] is None
    assert plan.fields["response_format"] == "b64_json"


@pytest.mark.parametrize(("version", "dump"), [("0.5.17", None), ("0.5.19", None), ("0.5.20", "/l/perf_3.json")])
def test_an_edit_is_a_form_and_has_a_dump_from_0_5_20_on(version: str, dump: str | None) -> None:
    args = {"prompt": PROMPT, "width": 640, "height": 480}
    plan = last(served_case(args=args, assets={"image-path": "cat.png"}), version, IMAGE)
    assert (plan.path, plan.form, plan.uploads) == ("/v1/images/edits", True, {"image": ("/assets/cat.png",)})
    assert (plan.perf_dump, plan.fields.get("perf_dump_path")) == (dump, dump)
    assert plan.fields["size"] == "640x480"
    assert not {"width", "height"} & set(plan.fields)


def test_a_video_from_an_image_names_it_in_json() -> None:
    """As a form it would lose the path of its dump up to 0.5.19."""
    plan = last(video(assets={"image-path": "cat.png"}), "0.5.17", IMAGE)
    assert (plan.form, plan.job, plan.references) == (False, True, {"input_reference": "/assets/cat.png"})
    assert plan.perf_dump == "/l/perf_3.json"


def test_a_mesh_is_made_from_its_image_and_has_no_dump() -> None:
    case = served_case(
        model="tencent/Hunyuan3D-2",
        args={"prompt": "generate 3d mesh", "guidance-scale": 5.0, "enable-torch-compile": True},
        config={"paint_enable": False},
        assets={"image-path": "cat.png"},
    )
    words, service = made(case, assets=IMAGE)
    plan = service.requests[-1]
    assert (plan.path, plan.form, plan.job, plan.perf_dump) == ("/v1/meshes", True, True, None)
    assert plan.fields == {"prompt": varied.prompt("generate 3d mesh", 3), "guidance_scale": 5.0, "seed": 42}
    # A setting of the pipeline is the server's.
    assert words[words.index("--config") + 1] == "/l/config.json"


def test_a_config_is_split_too() -> None:
    config = {"task": "fl2va", "audio_flow_shift": 4.0, "num_inference_steps": 8, "guidance_scale": 1.0, "unknown": 1}
    args = {"prompt": PROMPT, "num-frames": 121, "guidance-scale": 2.0}
    parts = split(video(args=args, config=config))
    assert parts.extras == {"task": "fl2va", "audio_flow_shift": 4.0}
    assert parts.server.config == {"unknown": 1}
    # As for `generate`, what is under `args` wins.
    assert (parts.parameters["num-inference-steps"], parts.parameters["guidance-scale"]) == (8, 2.0)


def test_values_go_as_json_has_them() -> None:
    args = {
        "prompt": PROMPT, "num-frames": 81, "seed": (1, 2), "diffusers-kwargs": '{"a": 1}', "enable-teacache": True,
        "num-outputs-per-prompt": 2,
    }  # fmt: skip
    body = last(video(args=args)).fields
    assert (body["seed"], body["diffusers_kwargs"], body["enable_teacache"], body["n"]) == ([1, 2], {"a": 1}, True, 2)
    json.dumps(body)


def test_a_flag_of_both_sides_goes_to_the_server_where_requests_lack_it() -> None:
    shift = {"prompt": PROMPT, "flow-shift": 3.0}
    assert last(video(args={**shift, "num-frames": 81})).fields["flow_shift"] == 3.0
    words, service = made(served_case(args=shift, assets={"image-path": "cat.png"}), assets=IMAGE)
    assert words[words.index("--flow-shift") + 1] == "3.0"
    assert "flow_shift" not in service.requests[-1].fields


def test_one_request_warms_up_and_no_two_have_the_same_inputs() -> None:
    requests = made(video(assets={"image-path": "cat.png"}), assets=IMAGE)[1].requests
    assert [plan.warmup for plan in requests] == [True, False, False, False]
    prompts = [plan.fields["prompt"] for plan in requests]
    assert len(set(prompts)) == 4
    assert {len(prompt) for prompt in prompts} == {len(PROMPT)}
    assert [plan.shift for plan in requests] == [0, 1, 2, 3]
    assert requests == made(video(assets={"image-path": "cat.png"}), assets=IMAGE)[1].requests


@pytest.mark.parametrize(
    ("changes", "varies", "off"),
    [
        ({}, True, False),
        ({"launches": LaunchPlan(inputs="same")}, False, True),
        ({"args": {"prompt": PROMPT, "num-frames": 5, "disable-conditioning-cache": True}}, False, True),
        # The case insists on the cache: nobody turns it off.
        (
            {
                "launches": LaunchPlan(inputs="same"),
                "args": {"prompt": PROMPT, "num-frames": 5, "disable-conditioning-cache": False},
            },
            False,
            False,
        ),
    ],
)
def test_inputs_are_varied_or_the_cache_of_encodings_is_off(changes: dict[str, Any], varies: bool, off: bool) -> None:
    words, service = made(video(**changes))
    assert (len({plan.fields["prompt"] for plan in service.requests}) > 1) is varies
    assert ("--disable-conditioning-cache" in words) is off
    # An engine without the cache has no such flag.
    if not off or "args" not in changes:
        assert "--disable-conditioning-cache" not in made(video(**changes), "0.5.20")[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"warmup": "off"}, "off"),
        ({"args": {"prompt": PROMPT, "num-frames": 5, "warmup-mode": "server"}}, "server"),
        ({"warmup": "off", "args": {"prompt": PROMPT, "num-frames": 5, "warmup-mode": "server"}}, "server"),
    ],
)
def test_a_server_warms_up_as_it_does_by_itself_unless_the_case_says_otherwise(
    changes: dict[str, Any], words: str | None
) -> None:
    argv, service = made(video(**changes))
    found = argv[argv.index("--warmup-mode") + 1] if "--warmup-mode" in argv else None
    assert found == words
    assert service.requests[0].warmup is ("warmup" not in changes)


@pytest.mark.parametrize(
    ("changes", "release", "slug", "key"),
    [
        ({}, 16, "serve-version", "engine"),
        ({"args": {"prompt": PROMPT, "fps": 16}}, 23, "serve-frames", "args"),
        ({"launches": LaunchPlan(rate=(1.0000001, 1.0), load_requests=2)}, 23, "serve-load", "launches.rate"),
        ({"launches": LaunchPlan(rate=(0.5, 2.0)), "timeout_s": 79.0}, 23, "serve-load", "launches.rate"),
        ({"metrics": MetricChoice(gate=("throughput:c4",))}, 23, "serve-load", "metrics.gate"),
        ({"args": {"num-frames": 81}}, 23, "serve-input", "args"),
        ({"args": {"prompt": (PROMPT, "another"), "num-frames": 81}}, 23, "serve-input", "args.prompt"),
        ({"args": {"prompt": "cat", **VIDEO}, "launches": LaunchPlan(requests=9)}, 23, "serve-input", "args.prompt"),
        # In the engine's `generate`, and in no request.
        ({"args": {"prompt": PROMPT, **VIDEO, "boundary-ratio": 0.9}}, 23, "serve-field", "args.boundary-ratio"),
        ({"args": {"prompt": PROMPT, "num-frames": 81, "720p": True}}, 23, "serve-field", "args.720p"),
        ({"args": {"prompt": PROMPT, "num-frames": 81, "save-output": False}}, 23, "serve-field", "args.save-output"),
        ({"args": {"prompt": PROMPT, "guidance-scale-2": 3.0}}, 23, "serve-field", "args.guidance-scale-2"),
        ({"args": {"prompt": PROMPT, "quality": "high"}}, 17, "serve-field", "args.quality"),
        ({"args": {"prompt": PROMPT, "num-frames": 81, "x264-preset": "fast"}}, 21, "serve-field", "args.x264-preset"),
        ({"config": {"enable_audio": True}}, 21, "serve-field", "config.enable_audio"),
        ({"args": {"prompt": PROMPT}, "config": {"size": "64x64"}}, 23, "serve-field", "config.size"),
        ({"args": {"prompt": PROMPT}, "config": {"task": "fl2va"}}, 23, "serve-field", "config.task"),
        (
            {"args": {"prompt": PROMPT, "enable-cache-dit": True}, "assets": {"image-path": "cat.png"}},
            22,
            "serve-field",
            "args.enable-cache-dit",
        ),
        ({"args": {"prompt": PROMPT, "width": 64}, "assets": {"image-path": "c.png"}}, 23, "serve-input", "args.width"),
        ({"model": "tencent/Hunyuan3D-2", "args": {"prompt": "a mesh of it all"}}, 23, "serve-input", "assets"),
    ],
)  # fmt: skip
def test_what_no_request_can_ask_for_is_an_error_at_its_key(
    changes: dict[str, Any], release: int, slug: str, key: str
) -> None:
    found = [(one.slug, one.key) for one in misfits(video(**changes), release, f"sglang 0.5.{release}")]
    assert found == [(slug, key)]
    told = complaints(video(**changes), table_flags(f"0.5.{release}"))
    assert (slug, key, "error") in [(one.slug, one.key, one.level) for one in told]


@pytest.mark.parametrize("release", range(17, 24))
def test_a_case_that_fits_is_not_complained_of(release: int) -> None:
    assert complaints(video(), table_flags(f"0.5.{release}")) == ()
    assert complaints(replace(video(), engine="sglang-generate"), table_flags(f"0.5.{release}")) == ()


def test_the_variants_of_a_prompt_are_all_different_and_as_long() -> None:
    for text, most in (("a cat", 3), ("cats", 4), ("a  curious\nraccoon", 12), ("the the the", 3)):
        variants = [varied.prompt(text, number) for number in range(most)]
        assert len(set(variants)) == most, variants
        assert variants[0] == text
        assert {len(one or "") for one in variants} == {len(text)}
        assert {len((one or "").split()) for one in variants} == {len(text.split())}
    assert varied.prompt("aa", 1) is None
