"""Every fault that the stand-in engine can play, through its real process: the launch is judged as it deserves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import Case, EngineInfo, Launch, LaunchFiles, Location, OutputFile, Ports, Reading
from pytest_sgdiff.data.failures import (
    CommandRefused,
    ExceptionRaised,
    OutOfMemory,
    PortTaken,
    RequestFailed,
    UnknownModel,
)
from pytest_sgdiff.engines import ENGINES

pytestmark = pytest.mark.faults

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
    ("scenario", "kind", "code", "figures"),
    [
        ("cold", "invalid", "warmup", {"warmup": "none"}),
        ("claimed", "invalid", "warmup", {"warmup": "server"}),
        ("warmup-failed", "invalid", "warmup", {"warmup": "failed"}),
        ("synthetic", "invalid", "warmup", {"warmup": "synthetic", "found": ("['1024x1024']",)}),
        ("fallback", "invalid", "diffusers-ran", {"asked": False}),
        ("attention", "invalid", "other-attention", {"wanted": ("sage_attn",), "found": ("fa",)}),
        ("component", "invalid", "component-attention", {}),
        ("compile-failed", "invalid", "compile-failed", {}),
        ("moved-port", "launch-failed", "failure-in-log", {"number": 0, "failure": PortTaken(port=31005)}),
        ("request-error", "launch-failed", "failure-in-log", {"number": 0}),
        ("oom", "launch-failed", "failure-in-log", {"number": 0}),
        ("empty-output", "launch-failed", "failure-in-log", {"number": 0}),
        ("load-oom", "launch-failed", "exit-code", {"number": 1, "failure": OutOfMemory(tried="2.50 GiB")}),
        ("port-lost", "launch-failed", "exit-code", {"number": 1, "failure": PortTaken(port=31055)}),
        ("no-model", "launch-failed", "exit-code", {"number": 1}),
        ("killed", "launch-failed", "signal", {"number": 9}),
        ("no-dump", "launch-failed", "no-dump", {"number": 0}),
        ("stale", "launch-failed", "stale-dump", {}),
        ("torn-dump", "invalid", "bad-dump", {}),
        ("zero-dump", "invalid", "bad-dump", {}),
        ("few-steps", "invalid", "step-count", {"number": 4, "wanted": ("8",)}),
        ("no-output", "invalid", "no-output", {}),
        ("empty-file", "invalid", "empty-output", {"found": ("a_cat.mp4",)}),
    ],
)
def test_a_launch_that_went_wrong_has_no_metrics_and_its_reason(
    tmp_path: Path, scenario: str, kind: str, code: str, figures: dict[str, Any]
) -> None:
    reading = read(tmp_path, scenario)
    assert reading.metrics == {}
    first = reading.problems[0]
    assert (first.kind, first.code, {name: getattr(first, name) for name in figures}) == (kind, code, figures)


@pytest.mark.parametrize(
    ("scenario", "failure"),
    [
        ("request-error", ExceptionRaised),
        ("oom", OutOfMemory),
        ("empty-output", RequestFailed),
        ("no-model", UnknownModel),
    ],
)
def test_a_launch_that_failed_says_why(tmp_path: Path, scenario: str, failure: type) -> None:
    assert isinstance(read(tmp_path, scenario).problems[0].failure, failure)


def test_a_command_line_of_another_version_is_refused_by_the_engine(tmp_path: Path) -> None:
    case = Case(
        name="wan",
        location=Location(path="cases/wan.yaml", line=3, column=3),
        model="m",
        args={"warmup": True},
    )
    reading = read(tmp_path, "native", "0.5.23", case)
    (problem, *_) = reading.problems
    message = "ambiguous option: --warmup could match --warmup-mode, --warmup-resolutions, --warmup-steps"
    assert (problem.code, problem.number, problem.failure) == ("exit-code", 2, CommandRefused(message=message))
