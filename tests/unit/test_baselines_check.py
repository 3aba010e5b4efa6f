"""`sgdiff baselines check`: what a baseline cannot find, and how it differs from its case, without a launch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.cases.load import read_cases
from pytest_sgdiff.cli import main
from pytest_sgdiff.data import Baseline, Case, Environment, LaunchRecord, Machine, Measurement, Recorded
from pytest_sgdiff.judging.workload import workload

CASE = """\
cases:
  tiny:
    model: a/b
    gpus: 1
    env: {SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1", SGLANG_X: "1"}
    args: {seed: 1, width: 832}
    config: {paint: false}
    metrics: {gate: [denoise, e2e, stages, peak_memory]}
"""
H200 = Machine(kind="gpu", product="NVIDIA H200", count=1)
QUIET = (1000.0, 1003.0, 998.0, 1001.0, 999.0)
NOISY = (1000.0, 1240.0, 880.0, 1110.0, 1300.0)
"""A CV of 15 %."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cases").mkdir()
    (tmp_path / "baselines").mkdir()
    write(CASE)
    return tmp_path


def write(text: str) -> Case:
    Path("cases/a.yaml").write_text(text)
    return read_cases(Path("cases/a.yaml"), Path.cwd())[0]


def keep(*times: float, machine: Machine = H200, sync: bool = True, **changes: object) -> Path:
    """Record launches of the case as it stands in its file now."""
    case = read_cases(Path("cases/a.yaml"), Path.cwd())[0]
    launches = tuple(
        LaunchRecord(
            number=i,
            metrics={"denoise": ms, "e2e": ms + 100, "stage:DecodingStage": 200.0 + i, "peak_memory": 30_000.0},
            started_at=f"2026-11-23T17:{i:02d}:00Z",
            session="s1",
            environment=Environment(gpu_uuids=("GPU-1",), sync_stages=sync, engine_version="0.5.17"),
        )
        for i, ms in enumerate(times)
    )
    measured = Measurement(case="tiny", machine=machine, workload=workload(case, asset_hashes={}), launches=launches)
    fresh = Baseline(
        measurement=measured,
        recorded=Recorded(at="2026-11-23T17:25:00Z", command="pytest", sessions=("s1",)),
        engine_version="0.5.17",
    )
    return baselines.save(Path("baselines"), replace(fresh, **changes))


def found(level: str, **options: object) -> list[tuple[str, str]]:
    """Codes and messages of one level, the case files as they are now."""
    cases = {case.id: case for case in read_cases(Path("cases/a.yaml"), Path.cwd())}
    flaws = baselines.check(Path("baselines"), cases, **options)
    return [(flaw.code, flaw.message) for flaw in flaws if flaw.level == level]


def test_a_good_baseline_says_what_it_finds_and_has_no_warning(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = keep(*QUIET)
    assert found("error") == found("warning") == []
    ((code, told),) = found("note")
    assert code == "finds"
    assert told.startswith("finds slowdowns from denoise 3.1 %, e2e 3.1 %, DecodingStage ")
    assert told.endswith("peak memory 2.1 % in 5 launches")
    assert main(["baselines", "check", "--strict"]) == 0
    assert capsys.readouterr().out == f"{path}: {told}\n1 baseline, nothing wrong\n"


def test_a_noisy_baseline_is_told_by_what_it_misses(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(*NOISY)
    ((code, told),) = found("warning")
    assert code == "weak"
    assert "denoise > 100 % (1.2 % allowed, launches vary by 15.9 %)" in told
    assert "e2e > 100 % (1.2 % allowed, launches vary by 14.5 %)" in told
    assert "DecodingStage" not in told.partition(";")[0]
    assert main(["baselines", "check"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 baseline, nothing wrong, 1 warning"
    assert main(["baselines", "check", "--strict"]) == 1


@pytest.mark.parametrize(
    ("metrics", "weak"),
    [
        ("{gate: [denoise], allow: {denoise: 0.5%}, detect: {denoise: 1%}}", True),
        ("{gate: [denoise], allow: {denoise: 4%}}", False),
        ("{gate: [e2e], primary: e2e, allow: {e2e: 10%}}", False),
    ],
)
def test_a_limit_of_the_case_is_what_counts(here: Path, metrics: str, weak: bool) -> None:
    """Launches that vary by 0.7 % find more than 1.5 % in five launches, whatever the case would like."""
    text = CASE.replace("{gate: [denoise, e2e, stages, peak_memory]}", metrics)
    write(text)
    keep(*(1.006 * QUIET[0], *QUIET[1:4], 0.99 * QUIET[4]))
    assert [code for code, _ in found("warning")] == (["weak"] if weak else [])


def test_what_is_too_few_launches_finds_nothing(here: Path) -> None:
    write(CASE + "    launches: {baseline: 3}\n")
    keep(1000.0, 1001.0)
    (code, told), *_ = found("warning")
    assert code == "weak"
    assert "denoise none (1.2 % allowed" in told
    assert found("error") == [("file", "has 2 of 3 launches: extend it with --sgdiff-update=extend")]


def test_looks_of_a_case_that_are_too_few_are_named(here: Path) -> None:
    write(CASE + "    launches: {looks: [1, 2]}\n")
    keep(*QUIET)
    ((code, told),) = found("warning")
    assert code == "weak"
    assert told.endswith("let the case take more launches (launches.looks)")


@pytest.mark.parametrize(
    ("old", "new", "code", "told"),
    [
        ("width: 832", "width: 640", "other-work", "args.width was 832, the case asks for 640"),
        ("width: 832", "width: 832, height: 480", "other-work", "args.height was not set, the case asks for 480"),
        (", width: 832", "", "other-work", "args.width was 832, the case does not ask for it"),
        ("a/b", "a/c", "other-work", "model was a/b, the case asks for a/c"),
        ("gpus: 1", "gpus: 2", "other-work", "gpus was 1, the case asks for 2"),
        ('SGLANG_X: "1"', 'SGLANG_X: "2"', "other-work", "env.SGLANG_X was 1, the case asks for 2"),
        ("paint: false", "paint: true", "other-work", "config.paint was off, the case asks for set"),
        ("gpus: 1", "gpus: 1\n    warmup: 'off'", "other-work", "warmup was request, the case asks for off"),
        ("gpus: 1", "gpus: 1\n    assets: {image-path: cat.png}", "assets", "image-path is new"),
        ('PROFILING: "1"', 'PROFILING: "0"', "timers", "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING to 0"),
        (
            "gate: [denoise,",
            "primary: 'stage:No', gate: [denoise,",
            "no-primary",
            "cases/a.yaml:8:15: metrics.primary",
        ),
    ],
)
def test_what_the_case_asks_for_now_is_compared(here: Path, old: str, new: str, code: str, told: str) -> None:
    keep(*QUIET)
    assert old in CASE
    write(CASE.replace(old, new))
    ((seen, message),) = found("error")
    assert (seen, told in message) == (code, True), message
    assert main(["baselines", "check"]) == 1


@pytest.mark.parametrize(
    ("new", "code", "told"),
    [
        ("    requires: {engine: '>=0.5.20'}\n", "engine", "of sglang 0.5.17, and the case requires >=0.5.20"),
        ("    requires: {gpu: [H100, H20]}\n", "gpu", "of NVIDIA H200, and the case runs on H100, H20 only"),
        ("    requires: {gpu: [H200], engine: '>=0.5.11'}\n", None, ""),
    ],
)
def test_where_the_case_would_not_run_is_a_warning(here: Path, new: str, code: str | None, told: str) -> None:
    keep(*QUIET)
    write(CASE + new)
    seen = found("warning")
    assert [one for one, _ in seen] == ([] if code is None else [code])
    assert all(told in message for _, message in seen)
    assert found("error") == []


def test_a_stage_that_the_case_gates_and_the_baseline_lacks_is_named(here: Path) -> None:
    keep(*QUIET)
    write(CASE.replace("gate: [denoise, e2e, stages,", "gate: [denoise, 'stage:DecodeStage',"))
    ((code, told),) = found("warning")
    assert (code, told.endswith("DecodeStage, which no launch has, did you mean DecodingStage?")) == ("no-metric", True)


def test_a_metric_that_the_case_names_and_the_baseline_lacks_is_named(here: Path) -> None:
    kept = baselines.load(keep(*QUIET))
    without = [
        replace(launch, metrics={name: ms for name, ms in launch.metrics.items() if name != "peak_memory"})
        for launch in kept.measurement.launches
    ]
    measured = replace(kept.measurement, launches=tuple(without))
    baselines.save(Path("baselines"), replace(kept, best={}, measurement=measured))
    write(CASE.replace("stages, ", ""))
    assert found("warning") == [
        ("no-metric", "holds no peak memory, which the case gates; record it anew with --sgdiff-update")
    ]
    write(CASE.replace("    metrics: {gate: [denoise, e2e, stages, peak_memory]}\n", ""))
    assert found("warning") == []


def test_input_files_are_compared_where_they_are_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = write(CASE.replace("gpus: 1", "gpus: 1\n    assets: {image-path: cat.png}"))
    path = keep(*QUIET)
    kept = baselines.load(path)
    work = workload(case, asset_hashes={"image-path": "0" * 64})
    baselines.save(Path("baselines"), replace(kept, measurement=replace(kept.measurement, workload=work)))
    assert found("error") == []
    assert found("error", assets=lambda case: {"image-path": "0" * 64}) == []
    (here / "assets").mkdir()
    assert main(["baselines", "check", "--assets", "assets"]) == 0
    (here / "assets" / "cat.png").write_bytes(b"another cat")
    assert main(["baselines", "check", "--assets", "assets"]) == 1
    assert "the case has other input files now: image-path is another file" in capsys.readouterr().out


def test_a_machine_that_nobody_knows_is_a_warning(here: Path) -> None:
    keep(*QUIET, machine=Machine(kind="gpu", product="unknown", count=1))
    assert [code for code, _ in found("warning")] == ["machine"]


def test_a_reference_is_held_to_its_machine_alone(here: Path) -> None:
    path = keep(*QUIET[:1])
    kept = baselines.load(path)
    bare = replace(kept.measurement, workload=replace(kept.measurement.workload, digest="", fields={}))
    baselines.save(Path("baselines"), replace(kept, kind="reference", source="a guide", measurement=bare))
    assert found("error") == found("warning") == found("note") == []
    write(CASE.replace("gpus: 1", "gpus: 2"))
    assert found("error") == [("machine", "of 1 GPUs, the case uses 2: nothing is compared with it")]


def test_a_case_that_is_gone_is_still_told_what_its_baseline_finds(here: Path) -> None:
    keep(*QUIET)
    write(CASE.replace("tiny:", "other:"))
    assert [code for code, _ in found("error")] == ["file"]
    assert [code for code, _ in found("note")] == ["finds"]


def test_the_installed_command_fails_where_the_case_changed(here: Path) -> None:
    path = keep(*QUIET)
    write(CASE.replace("width: 832", "width: 640"))
    command = str(Path(sys.executable).with_name("sgdiff"))
    done = subprocess.run([command, "baselines", "check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(
        f"{path}: the case asks for a different workload now: args.width was 832, the case asks for 640; record it anew"
    )
