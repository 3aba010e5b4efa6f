"""`sgdiff baselines check`: what a baseline cannot find, and how it differs from its case, without a launch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.baselines.flaws import Flaw
from pytest_sgdiff.cases.load import read_cases
from pytest_sgdiff.cli import main
from pytest_sgdiff.data import Baseline, Case, Difference, Environment, LaunchRecord, Machine, Measurement, Recorded
from pytest_sgdiff.judging.workload import workload
from pytest_sgdiff.reports import flaw_text

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


def found(level: str, **options: object) -> list[Flaw]:
    """The flaws of one level, the case files as they are now."""
    cases = {case.id: case for case in read_cases(Path("cases/a.yaml"), Path.cwd())}
    flaws = baselines.check(Path("baselines"), cases, **options)
    return [flaw for flaw in flaws if flaw.level == level]


def codes(level: str, **options: object) -> list[str]:
    return [flaw.code for flaw in found(level, **options)]


def sizes(flaw: Flaw) -> dict[str, float | None]:
    """What is found of each metric, a fraction."""
    return {p.metric: None if p.detectable is None else round(p.detectable, 3) for p in flaw.powers}


def test_a_good_baseline_says_what_it_finds_and_has_no_warning(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = keep(*QUIET)
    assert found("error") == found("warning") == []
    (note,) = found("note")
    assert (note.code, note.of) == ("finds", 5)
    seen = sizes(note)
    assert (seen["denoise"], seen["e2e"], seen["peak_memory"]) == pytest.approx((0.031, 0.031, 0.021), abs=0.001)
    assert main(["baselines", "check", "--strict"]) == 0
    assert capsys.readouterr().out == f"{flaw_text.line(note)}\n1 baseline, nothing wrong\n"
    assert note.path == str(path)


def test_a_noisy_baseline_is_told_by_what_it_misses(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(*NOISY)
    (weak,) = found("warning")
    assert (weak.code, [p.metric for p in weak.powers]) == ("weak", ["denoise", "e2e"])
    assert min(p.detectable for p in weak.powers) > 1
    assert [p.allow for p in weak.powers] == [0.012, 0.012]
    assert [p.spread for p in weak.powers] == pytest.approx([0.159, 0.145], abs=0.0005)
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
    assert codes("warning") == (["weak"] if weak else [])


def test_what_is_too_few_launches_finds_nothing(here: Path) -> None:
    write(CASE + "    launches: {baseline: 3}\n")
    keep(1000.0, 1001.0)
    weak, *_ = found("warning")
    assert (weak.code, sizes(weak)["denoise"]) == ("weak", None)
    assert [(flaw.code, flaw.number, flaw.of) for flaw in found("error")] == [("few-launches", 2, 3)]


def test_looks_of_a_case_that_are_too_few_are_named(here: Path) -> None:
    write(CASE + "    launches: {checkpoints: [1, 2]}\n")
    keep(*QUIET)
    (weak,) = found("warning")
    assert (weak.code, weak.of) == ("weak", 2)


@pytest.mark.parametrize(
    ("old", "new", "key", "then", "now"),
    [
        ("width: 832", "width: 640", "args.width", 832, 640),
        ("width: 832", "width: 832, height: 480", "args.height", None, 480),
        (", width: 832", "", "args.width", 832, None),
        ("a/b", "a/c", "model", "a/b", "a/c"),
        ("gpus: 1", "gpus: 2", "gpus", 1, 2),
        ('SGLANG_X: "1"', 'SGLANG_X: "2"', "env.SGLANG_X", "1", "2"),
        ("paint: false", "paint: true", "config.paint", False, True),
        ("gpus: 1", "gpus: 1\n    warmup: 'off'", "warmup", "request", "off"),
    ],
)
def test_what_the_case_asks_for_now_is_compared(here: Path, old: str, new: str, key: str, then: Any, now: Any) -> None:
    keep(*QUIET)
    assert old in CASE
    write(CASE.replace(old, new))
    (flaw,) = found("error")
    assert flaw.code == "other-work"
    assert flaw.differences == (Difference(code="field", key=key, then=then, now=now),)
    assert main(["baselines", "check"]) == 1


@pytest.mark.parametrize(
    ("old", "new", "code", "figures"),
    [
        ("gpus: 1", "gpus: 1\n    assets: {image-path: cat.png}", "assets", {"new": ("image-path",)}),
        (
            'PROFILING: "1"',
            'PROFILING: "0"',
            "timers",
            {"name": "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING", "names": ("0",)},
        ),
        ("gate: [denoise,", "primary: 'stage:No', gate: [denoise,", "unknown-primary", {}),
    ],
)
def test_whatever_else_the_case_asks_for_is_held_against_the_baseline(
    here: Path, old: str, new: str, code: str, figures: dict[str, Any]
) -> None:
    keep(*QUIET)
    assert old in CASE
    write(CASE.replace(old, new))
    (flaw,) = found("error")
    assert (flaw.code, {name: getattr(flaw, name) for name in figures}) == (code, figures)
    if code == "unknown-primary":
        assert (str(flaw.location), flaw.stage and flaw.stage.key) == ("cases/a.yaml:8:15", "metrics.primary")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("    requires: {engine: '>=0.5.20'}\n", [("engine", "0.5.17", (">=0.5.20",))]),
        ("    requires: {gpu: [H100, H20]}\n", [("gpu", "NVIDIA H200", ("H100", "H20"))]),
        ("    requires: {gpu: [H200], engine: '>=0.5.11'}\n", []),
    ],
)
def test_where_the_case_would_not_run_is_a_warning(here: Path, new: str, expected: list[tuple[Any, ...]]) -> None:
    keep(*QUIET)
    write(CASE + new)
    assert [(flaw.code, flaw.name, flaw.names) for flaw in found("warning")] == expected
    assert found("error") == []


def test_a_stage_that_the_case_gates_and_the_baseline_lacks_is_named(here: Path) -> None:
    keep(*QUIET)
    write(CASE.replace("gate: [denoise, e2e, stages,", "gate: [denoise, 'stage:DecodeStage',"))
    (flaw,) = found("warning")
    assert flaw.stage is not None
    assert (flaw.code, flaw.stage.name, flaw.stage.near) == ("unknown-stage", "DecodeStage", "DecodingStage")


def test_a_metric_that_the_case_names_and_the_baseline_lacks_is_named(here: Path) -> None:
    kept = baselines.load(keep(*QUIET))
    without = [
        replace(launch, metrics={name: ms for name, ms in launch.metrics.items() if name != "peak_memory"})
        for launch in kept.measurement.launches
    ]
    measured = replace(kept.measurement, launches=tuple(without))
    baselines.save(Path("baselines"), replace(kept, best={}, measurement=measured))
    write(CASE.replace("stages, ", ""))
    assert [(flaw.code, flaw.name) for flaw in found("warning")] == [("no-metric", "peak_memory")]
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
    capsys.readouterr()
    assert main(["baselines", "check", "--assets", "assets"]) == 1
    flaw = Flaw(level="error", code="assets", path=str(path), other=("image-path",))
    assert flaw_text.line(flaw) in capsys.readouterr().out.splitlines()


def test_a_machine_that_nobody_knows_is_a_warning(here: Path) -> None:
    keep(*QUIET, machine=Machine(kind="gpu", product="unknown", count=1))
    assert codes("warning") == ["unknown-machine"]


def test_a_reference_is_held_to_its_machine_alone(here: Path) -> None:
    path = keep(*QUIET[:1])
    kept = baselines.load(path)
    bare = replace(kept.measurement, workload=replace(kept.measurement.workload, digest="", fields={}))
    baselines.save(Path("baselines"), replace(kept, kind="reference", source="a guide", measurement=bare))
    assert found("error") == found("warning") == found("note") == []
    write(CASE.replace("gpus: 1", "gpus: 2"))
    assert [(flaw.code, flaw.number, flaw.of) for flaw in found("error")] == [("other-count", 1, 2)]


def test_a_case_that_is_gone_is_still_told_what_its_baseline_finds(here: Path) -> None:
    keep(*QUIET)
    write(CASE.replace("tiny:", "other:"))
    assert (codes("error"), codes("note")) == (["no-case"], ["finds"])


def test_the_installed_command_fails_where_the_case_changed(here: Path) -> None:
    path = keep(*QUIET)
    write(CASE.replace("width: 832", "width: 640"))
    command = str(Path(sys.executable).with_name("sgdiff"))
    done = subprocess.run([command, "baselines", "check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    width = Difference(code="field", key="args.width", then=832, now=640)
    flaw = Flaw(level="error", code="other-work", path=str(path), differences=(width,))
    assert done.stdout.startswith(flaw_text.line(flaw))
