"""Every fault that the stand-in engine can play, through its real process: the launch is judged as it deserves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pytest_sgdiff.data import Case, EngineInfo, Launch, LaunchFiles, Location, OutputFile, Ports, Reading
from pytest_sgdiff.engines import ENGINES

FAKE = Path(__file__).parents[1] / "fake_bin" / "sglang"
ENGINE = ENGINES["sglang-generate"]
DAY_S = 86400


def read(tmp_path: Path, scenario: str, version: str = "0.5.17", case: Case | None = None) -> Reading:
    """Launch the stand-in with the command line that the adapter writes, and read what it left."""
    case = case or Case(
        name="wan",
        location=Location(path="cases/wan.yaml", line=3, column=3),
        model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        args={
            "prompt": "a cat",
            "num-inference-steps": 8,
            "attention-backend": "sage_attn",
            "enable-torch-compile": True,
        },
    )
    files = LaunchFiles(
        workdir=str(tmp_path),
        output_dir=str(tmp_path / "out"),
        perf_dump=str(tmp_path / "perf.json"),
        perf_log_dir=str(tmp_path / "log"),
        config=str(tmp_path / "config.json"),
    )
    made = ENGINE.command(
        case,
        info=EngineInfo(command=(str(FAKE),), version=version),
        files=files,
        ports=Ports(http=31000, scheduler=31005, master=31055),
    )
    env = {key: value for key, value in os.environ.items() if key not in ("CI", "GITHUB_ACTIONS")}
    env |= {**made.env, "SGDIFF_FAKE_SCENARIO": scenario, "SGDIFF_FAKE_VERSION": version}
    done = subprocess.run(
        made.argv, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
    )
    dump, out = Path(files.perf_dump), Path(files.output_dir)
    stale = dump.exists() and dump.stat().st_mtime < tmp_path.stat().st_mtime - DAY_S / 2
    return ENGINE.read(
        Launch(
            case=case.id,
            number=0,
            argv=made.argv,
            returncode=done.returncode,
            log=done.stdout.decode(),
            dump=dump.read_text() if dump.exists() and not stale else None,
            stale_dump=stale,
            outputs=tuple(OutputFile(name=p.name, size_bytes=p.stat().st_size) for p in sorted(out.glob("*"))),
        ),
        case,
    )


@pytest.mark.parametrize(
    ("version", "scenario"),
    [
        ("0.5.8", "native"),
        ("0.5.13", "native"),
        ("0.5.17", "slow:1.08+pause:450"),
        ("0.5.19", "worker-dump"),
        ("0.5.23", "native"),
    ],
)
def test_a_launch_that_went_well_counts(tmp_path: Path, version: str, scenario: str) -> None:
    reading = read(tmp_path, scenario, version)
    assert reading.problems == ()
    assert reading.metrics["denoise_steps"] == pytest.approx(8 * 50.8 * (1.08 if "slow" in scenario else 1), rel=0.01)
    assert reading.metrics["denoise_gap"] == pytest.approx(456.5 if "pause" in scenario else 6.5)


@pytest.mark.parametrize(
    ("scenario", "kind", "message"),
    [
        ("cold", "invalid", "warmup is not proven: "),
        ("claimed", "invalid", "warmup is not proven: "),
        ("warmup-failed", "invalid", "warmup is not proven: the warmup failed, so that the measured request ran cold"),
        ("synthetic", "invalid", "warmup is not proven: warmup_resolutions ['1024x1024'] warms up synthetic requests"),
        ("fallback", "invalid", "ran on the diffusers backend instead of the native one"),
        ("attention", "invalid", "ran with the attention backend fa, the case asks for sage_attn"),
        ("component", "invalid", "the transformer runs as a diffusers component"),
        ("compile-failed", "invalid", "torch.compile was asked for and failed"),
        (
            "moved-port",
            "launch-failed",
            "the engine exited with 0, but its log shows a failure: port 31005 was already",
        ),
        (
            "request-error",
            "launch-failed",
            "the engine exited with 0, but its log shows a failure: RuntimeError: The size",
        ),
        (
            "oom",
            "launch-failed",
            "the engine exited with 0, but its log shows a failure: the GPU ran out of memory (tried",
        ),
        (
            "empty-output",
            "launch-failed",
            "the engine exited with 0, but its log shows a failure: Received empty output",
        ),
        (
            "load-oom",
            "launch-failed",
            "the engine exited with 1: the GPU ran out of memory (tried to allocate 2.50 GiB)",
        ),
        ("port-lost", "launch-failed", "the engine exited with 1: port 31055 was already in use"),
        (
            "no-model",
            "launch-failed",
            "the engine exited with 1: the engine cannot resolve the model Wan-AI/Wan2.1-T2V",
        ),
        ("killed", "launch-failed", "the engine was killed by SIGKILL"),
        ("no-dump", "launch-failed", "the engine exited with 0, but wrote no perf dump"),
        (
            "stale",
            "launch-failed",
            "the engine exited with 0, but the perf dump is older than the launch: it wrote none",
        ),
        ("torn-dump", "invalid", "the perf dump is torn: "),
        ("zero-dump", "invalid", "total_duration_ms is 0: nothing was measured"),
        ("few-steps", "invalid", "the perf dump has 4 denoising steps, num-inference-steps asks for 8"),
        ("no-output", "invalid", "the engine left no output file"),
        ("empty-file", "invalid", "the output file a_cat.mp4 is empty"),
    ],
)
def test_a_launch_that_went_wrong_has_no_metrics_and_its_reason(
    tmp_path: Path, scenario: str, kind: str, message: str
) -> None:
    reading = read(tmp_path, scenario)
    assert reading.metrics == {}
    first = reading.problems[0]
    assert (first.kind, first.message[: len(message)]) == (kind, message)


def test_a_command_line_of_another_version_is_refused_by_the_engine(tmp_path: Path) -> None:
    case = Case(
        name="wan",
        location=Location(path="cases/wan.yaml", line=3, column=3),
        model="m",
        args={"warmup": True},
    )
    reading = read(tmp_path, "native", "0.5.23", case)
    assert reading.problems[0].message == (
        "the engine exited with 2: ambiguous option: --warmup could match --warmup-mode, --warmup-resolutions, "
        "--warmup-steps"
    )
