"""What the gate learned from real launches of each family: logs and dumps of 0.5.17 on a CPU (tests/data/families)."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import (
    Case,
    CouldStay,
    Expect,
    Launch,
    LaunchRecord,
    Location,
    OutputFile,
    OutputSize,
    Reading,
)
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.engines.inspect import inspect
from pytest_sgdiff.engines.log import LogEvidence, examine
from pytest_sgdiff.engines.perf_dump import parse
from pytest_sgdiff.launch.picture_size import picture_size
from pytest_sgdiff.metrics import is_stage, pause_ms
from tests.realproject import write_picture

DATA = Path(__file__).parents[1] / "data" / "families"
PIPELINES = {
    "firered": "QwenImageEditPlusPipeline",
    "flux": "FluxPipeline",
    "hunyuan3d": "Hunyuan3D2Pipeline",
    "ltx2-one-stage": "LTX2Pipeline",
    "ltx2-two-stage": "LTX2TwoStagePipeline",
    "ltx2-larger-refinement": "LTX2TwoStagePipeline",
    "ltx23-two-stage": "LTX2TwoStagePipeline",
    "ltx23-resident": "LTX2TwoStagePipeline",
    "qwen-image": "QwenImagePipeline",
    "sd3": "StableDiffusion3Pipeline",
    "wan22-t2v": "WanPipeline",
    "wan22-t2v-slow-expert": "WanPipeline",
    "wan22-ti2v": "WanPipeline",
    "wan22-ti2v-image": "WanPipeline",
}


def log(name: str) -> LogEvidence:
    return examine((DATA / f"{name}.log").read_text())


def case(**changes: Any) -> Case:
    given: dict[str, Any] = {"name": "a", "location": Location(path="cases/a.yaml", line=2, column=3), "model": "m/m"}
    return Case(**{**given, **changes})


def launch(name: str, *, suffix: str = "mp4", **changes: Any) -> Launch:
    dump = DATA / f"{name}.json"
    given: dict[str, Any] = {
        "case": "a",
        "number": 0,
        "argv": ("sglang", "generate"),
        "returncode": 0,
        "wall_s": 20.0,
        "log": (DATA / f"{name}.log").read_text(),
        "dump": dump.read_text() if dump.exists() else None,
        "outputs": (OutputFile(name=f"a.{suffix}", size_bytes=1000),),
    }
    return Launch(**{**given, **changes})


def read(name: str, case_: Case | None = None, **changes: Any) -> Reading:
    return ENGINES["sglang-generate"].read(launch(name, **changes), case_ or case())


def codes(reading: Reading) -> list[str]:
    return [problem.code for problem in reading.problems]


@pytest.mark.parametrize("name", PIPELINES)
def test_a_native_launch_of_each_family_counts(name: str) -> None:
    reading = read(name, case(expect=Expect(pipeline=PIPELINES[name])))
    assert reading.problems == ()
    assert (reading.backend, reading.pipeline, reading.warmup) == ("sglang", PIPELINES[name], "proven")
    assert reading.metrics["denoise"] > 0
    assert inspect(launch(name).dump, launch(name).log).problems == ()


# ------------------------------------------------------------------------------------------ components that fell back


@pytest.mark.parametrize("name", ["flux-fell-back", "ltx2-fell-back"])
def test_a_component_that_did_not_load_as_the_engines_own_class_is_invalid(name: str) -> None:
    reading = read(name)
    assert codes(reading) == ["component-fell-back"]
    (problem,) = reading.problems
    assert (problem.kind, problem.cause, problem.about) == ("invalid", "component", "component")
    assert problem.found == ("text_encoder",)
    assert "falling back to native version" in problem.evidence[0]
    assert reading.metrics == {}


def test_a_case_may_accept_a_component_that_fell_back() -> None:
    assert read("flux-fell-back", case(expect=Expect(fallback=("text_encoder",)))).problems == ()
    assert codes(read("flux-fell-back", case(expect=Expect(fallback=("transformer",))))) == ["component-fell-back"]


def test_a_component_that_the_engine_has_no_class_for_is_no_fallback() -> None:
    text = launch("flux").log + (
        "\n[11-29 15:00:00] Component: text_encoder doesn't have a customized version yet, using native version"
        "\n[11-29 15:00:00] Native component text_encoder: X is loaded, performance may be sub-optimal"
    )
    assert read("flux", log=text).problems == ()


# --------------------------------------------------------------------------------------------------- the output's size

TI2V = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"
ASKED = Expect(output=OutputSize(width=128, height=128))


def pictured(width: int | None, height: int | None) -> tuple[OutputFile, ...]:
    return (OutputFile(name="a.mp4", size_bytes=1000, width=width, height=height),)


def test_the_log_does_not_prove_a_size_that_the_model_takes_from_its_image() -> None:
    reading = read("wan22-ti2v-image", case(model=TI2V, expect=ASKED, assets={"image-path": "cat.png"}))
    assert [(problem.code, problem.about) for problem in reading.problems] == [
        ("size-of-image", "width"),
        ("size-of-image", "height"),
    ]


def test_the_log_itself_names_the_model_and_the_image() -> None:
    assert codes(read("wan22-ti2v-image", case(model="/checkpoints/5b", expect=ASKED))) == ["size-of-image"] * 2


def test_without_an_image_the_same_model_draws_what_was_asked_for() -> None:
    assert read("wan22-ti2v", case(model=TI2V, expect=ASKED)).problems == ()


@pytest.mark.parametrize("name", ["wan22-ti2v-image", "wan22-ti2v", "firered"])
def test_the_file_itself_decides(name: str) -> None:
    asked = case(model=TI2V, expect=ASKED)
    assert read(name, asked, outputs=pictured(128, 128)).problems == ()
    reading = read(name, asked, outputs=pictured(960, 928))
    assert [(one.code, one.about, one.found) for one in reading.problems] == [
        ("other-size", "width", ("960",)),
        ("other-size", "height", ("928",)),
    ]


def test_the_real_size_may_be_expected_and_frames_are_still_proved_by_the_log() -> None:
    real = Expect(output=OutputSize(width=960, height=928, frames=1))
    assert read("wan22-ti2v-image", case(model=TI2V, expect=real), outputs=pictured(960, 928)).problems == ()
    other = replace(real, output=replace(real.output, frames=5))
    assert codes(read("wan22-ti2v-image", case(model=TI2V, expect=other), outputs=pictured(960, 928))) == ["other-size"]


def test_a_video_is_scaled_up_to_blocks_of_16() -> None:
    log_ = launch("wan22-ti2v").log.replace("height: 128", "height: 120")
    asked = case(model=TI2V, expect=Expect(output=OutputSize(width=128, height=120)))
    assert read("wan22-ti2v", asked, log=log_, outputs=pictured(128, 128)).problems == ()
    assert codes(read("wan22-ti2v", asked, log=log_, outputs=pictured(128, 144))) == ["other-size"]


# ------------------------------------------------------------------------- work that the engine times as denoising

ENCODING = "stage:ImageEncodingBeforeSteps"


def test_the_encoding_of_an_image_within_denoising_is_a_stage_and_no_pause() -> None:
    dump = parse(launch("wan22-ti2v-image").dump or "")
    steps = math.fsum(dump.steps_ms)
    (denoising,) = (stage.duration_ms for stage in dump.stages if stage.name == "DenoisingStage")
    assert denoising > 2 * steps
    metrics = read("wan22-ti2v-image").metrics
    assert metrics[ENCODING] == pytest.approx(denoising - steps)
    assert metrics["denoise"] == metrics["denoise_steps"] == pytest.approx(steps)
    assert metrics["denoise_gap"] == pytest.approx(0)
    assert math.fsum(value for name, value in metrics.items() if name.startswith("stage:")) == pytest.approx(
        math.fsum(stage.duration_ms for stage in dump.stages if is_stage(stage.name))
    )
    assert inspect(launch("wan22-ti2v-image").dump, launch("wan22-ti2v-image").log).metrics == metrics
    record = LaunchRecord(number=0, metrics=metrics)
    assert pause_ms(record) == pytest.approx(
        metrics["e2e"] - math.fsum(v for n, v in metrics.items() if n.startswith("stage:"))
    )


@pytest.mark.parametrize("name", ["wan22-ti2v", "wan22-t2v", "firered", "ltx23-two-stage"])
def test_no_other_launch_has_that_stage(name: str) -> None:
    assert ENCODING not in read(name).metrics


# ------------------------------------------------------------------------------------------------- outputs of a warmup


def written(at: str | None) -> tuple[OutputFile, ...]:
    return (OutputFile(name="a.obj", size_bytes=1000, modified_at=at),)


def test_a_file_that_only_the_warmup_wrote_is_none() -> None:
    began = log("hunyuan3d").request_began
    assert began is not None
    day, _, time = began.partition(" ")
    hour, minute, second = map(int, time.split(":"))
    assert second >= 3
    at = "2026-{}T{:02}:{:02}:{:02}.900+00:00"
    reading = read("hunyuan3d", outputs=written(at.format(day, hour, minute, second - 1)))
    assert [(one.code, one.found) for one in reading.problems] == [("output-of-warmup", ("a.obj",))]
    for later in (second, second + 1):
        assert read("hunyuan3d", outputs=written(at.format(day, hour, minute, later))).problems == ()
    # Clocks of two zones: nothing follows.
    assert read("hunyuan3d", outputs=written(at.format(day, hour - 2, minute, second))).problems == ()
    assert read("hunyuan3d", outputs=written(None)).problems == ()


def test_a_request_without_a_surface_fails_beside_the_file_of_its_warmup() -> None:
    reading = read("hunyuan3d-no-surface", suffix="obj")
    assert codes(reading) == ["failure-in-log", "no-dump"]
    assert reading.metrics == {}


# ------------------------------------------------------------------------------------------------ what the engine says


@pytest.mark.parametrize("name", ["ltx2-one-stage", "ltx2-two-stage", "ltx23-two-stage"])
def test_what_is_said_of_a_model_everywhere_is_no_choice_of_the_engine(name: str) -> None:
    assert "preserve LTX2 official attention semantics" in (DATA / f"{name}.log").read_text()
    assert not any("semantics" in line for line in log(name).auto_tuned)


CONSTANTS = (
    "Automatically set torch_sdpa backend for component text_encoder to preserve LTX2 official attention semantics",
    "Automatically set attention_backend=fa for LTX-2.3 one-stage on 1 GPU to preserve precision",
    "Automatically set torch_sdpa backend for the MiniMax H3 text encoder; laser_attn applies to the transformer",
)
CHOICES = (
    "Automatically set ltx2_two_stage_device_mode=resident for high-memory CUDA GPU (H200, 139.80 GiB)",
    "Disabling component offload for LTX2PipelineConfig because minimum available memory on selected GPUs is 9 GiB: x",
)


def test_choices_that_a_machine_could_change_are_told_from_constants() -> None:
    lines = [f"[11-29 15:00:00] {line}" for line in (*CONSTANTS, *CHOICES)]
    assert examine("\n".join(lines)).auto_tuned == CHOICES


STAY = (
    "[11-29 15:00:00] Peak GPU memory: 30.10 GB, Peak allocated: 29.00 GB, Memory pool overhead: 1.10 GB (3.7%), "
    "Remaining GPU memory at peak: 109.60 GB. Components that could stay resident (based on the last request "
    "workload): {}. Related offload server args to disable: {}"
)


def test_components_that_could_stay_resident_are_read_with_their_flags() -> None:
    line = STAY.format("['vae', 'text_encoder']", "--vae-cpu-offload, --text-encoder-cpu-offload")
    found = CouldStay(components=("vae", "text_encoder"), flags=("--vae-cpu-offload", "--text-encoder-cpu-offload"))
    assert examine(line).could_stay == found
    # The warmup's request comes first.
    assert examine(f"{STAY.format(['vae'], '--vae-cpu-offload')}\n{line}").could_stay == found
    assert examine(STAY.format("[]", "None")).could_stay is None
    assert read("flux", log=launch("flux").log + "\n" + line).could_stay == found


def test_the_device_mode_of_ltx2_stands_in_the_engines_arguments() -> None:
    assert log("ltx23-resident").server_args["ltx2_two_stage_device_mode"] == "resident"
    assert log("ltx23-two-stage").server_args["ltx2_two_stage_device_mode"] is None


RESIDENT = ("sglang", "generate", "--ltx2-two-stage-device-mode", "resident")
ASKS = "ltx2-two-stage-device-mode"


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, ()),
        ({"args": {ASKS: "original"}}, ("original",)),
        ({"env": {"SGLANG_LTX2_TWO_STAGE_DEVICE_MODE": "original"}}, ("original",)),
    ],
)
def test_a_launch_in_another_device_mode_did_other_work(changes: dict[str, Any], wanted: tuple[str, ...]) -> None:
    (problem,) = read("ltx23-resident", case(**changes), argv=RESIDENT).problems
    assert (problem.code, problem.cause, problem.about) == ("other-device-mode", "contradicted", "device-mode")
    assert (problem.wanted, problem.found) == (wanted, ("resident",))


@pytest.mark.parametrize(
    ("name", "changes", "argv"),
    [
        ("ltx23-resident", {"args": {ASKS: "resident"}}, RESIDENT),
        ("ltx23-resident", {"env": {"SGLANG_LTX2_TWO_STAGE_DEVICE_MODE": "resident"}}, RESIDENT[:2]),
        # The engine's own choice, and a log that names none.
        ("ltx23-resident", {}, RESIDENT[:2]),
        ("ltx23-two-stage", {"args": {ASKS: "original"}}, RESIDENT[:2]),
    ],
)
def test_the_device_mode_that_was_asked_for_counts(name: str, changes: dict[str, Any], argv: tuple[str, ...]) -> None:
    assert read(name, case(**changes), argv=argv).problems == ()


def test_a_folder_of_another_name_ran_on_the_other_backend() -> None:
    reading = read("firered-misnamed", returncode=1, outputs=())
    assert codes(reading) == ["exit-code"]
    assert log("firered-misnamed").pipeline == "DiffusersPipeline"
    assert inspect(None, launch("firered-misnamed").log).backend == "diffusers"


# --------------------------------------------------------------------------------------------------- sizes of pictures


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data


def track(width: int, height: int) -> bytes:
    return box(b"trak", box(b"tkhd", b"\0" * 76 + struct.pack(">II", width << 16, height << 16)))


VIDEO = box(b"ftyp", b"isom" * 4) + box(b"mdat", b"\0" * 1000)
SOUND, SIGHT = track(0, 0), track(960, 928)
JPEG = (
    b"\xff\xd8"
    b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    b"\xff\xc4\x00\x04\0\0"
    b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", 480, 832) + b"\x01\x01\x11\0"
)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (VIDEO + box(b"moov", box(b"mvhd", b"\0" * 100) + SOUND + SIGHT), (960, 928)),
        (box(b"ftyp", b"isom" * 4) + box(b"moov", SIGHT) + box(b"mdat", b""), (960, 928)),
        (VIDEO + box(b"moov", SOUND), None),
        (VIDEO, None),
        (VIDEO + struct.pack(">I4s", 3, b"moov"), None),
        (JPEG, (832, 480)),
        (JPEG[:30], None),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x03\0\xff\x01\0", (1024, 512)),
        (b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0" + b"\0" * 6 + struct.pack("<HH", 640, 360), (640, 360)),
        (b"o mesh\nv 0 0 0\n", None),
        (b"", None),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 4, None),
    ],
)
def test_a_picture_says_its_size(tmp_path: Path, data: bytes, size: tuple[int, int] | None) -> None:
    file = tmp_path / "a"
    file.write_bytes(data)
    assert picture_size(file) == size


def test_a_png_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", size=64)
    assert picture_size(tmp_path / "a.png") == (64, 64)
    assert picture_size(tmp_path / "b.png") is None
