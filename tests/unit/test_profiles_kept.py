"""The profile beside a baseline, the plan of a profiled launch, and what is read of a recording that holds one."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.baselines import profiles
from pytest_sgdiff.baselines.profiles import KeptProfile
from pytest_sgdiff.data import (
    Case,
    CaseResult,
    EngineInfo,
    Finding,
    Launch,
    LaunchFiles,
    Profiled,
    ProfilePlan,
    ProfileRow,
    ProfileSummary,
)
from pytest_sgdiff.engines.profiling import FOLDERS, Profiling, cannot_profile, plan
from pytest_sgdiff.engines.sglang_generate import SglangGenerate
from pytest_sgdiff.engines.sglang_serve import SglangServe
from pytest_sgdiff.errors import BaselineError
from pytest_sgdiff.files.run_folders import prune
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.runner import profile
from tests import factories

ROW = ProfileRow(part="operator", name="aten::gelu", shape="[2]", stage="DenoisingStage", count=2, self_ms=1.5)
SUMMARY = ProfileSummary(reach="stages", clock="cpu", rows=(ROW,), steps=(0, 1), stages_ms={"DenoisingStage": 3.0})
KEPT = KeptProfile(workload="a739cfb1", session="s1", at="2026-11-30T09:00:00+00:00", summary=SUMMARY)
CASE = "firered[cfg]"
INFO = EngineInfo(command=("sglang",), version="0.5.17")


def saved(root: Path) -> Path:
    return profiles.save(root, factories.H100X4, CASE, KEPT)


def test_a_profile_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert path.name == "firered[cfg].profile"
    assert profiles.load(path, below=tmp_path) == KEPT
    profiles.forget(tmp_path, factories.H100X4, CASE)
    assert profiles.load(path, below=tmp_path) is None
    profiles.forget(tmp_path, factories.H100X4, CASE)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("1.5", "1.4"),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"schema": 1', '"schema": 2'),
        lambda text: "[]",
        lambda text: json.dumps(
            {
                "schema": 1,
                "sha256": profiles._hash({}),
            }
        ),
    ],
    ids=["edited", "cut", "newer", "list", "empty"],
)
def test_a_profile_that_is_not_what_was_recorded_is_refused(tmp_path: Path, damage: Callable[[str], str]) -> None:
    path = saved(tmp_path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(BaselineError) as caught:
        profiles.load(path, below=tmp_path)
    assert str(path) in str(caught.value)
    found = profile.kept_beside(
        lambda: (lambda kept: (kept.workload, kept.summary))(profiles.load(path, below=tmp_path)), ""
    )
    assert isinstance(found, Profiled)
    assert found.code == "bad-baseline-profile"


def test_a_link_in_place_of_a_profile_is_not_followed(tmp_path: Path) -> None:
    path = saved(tmp_path / "baselines")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BaselineError):
        profiles.load(path, below=tmp_path / "baselines")


def test_a_profile_of_other_work_is_not_compared_with() -> None:
    assert profile.kept_beside(lambda: ("a", SUMMARY), "a") == SUMMARY
    assert profile.kept_beside(lambda: ("a", SUMMARY), "b") == Profiled(code="other-work")
    assert profile.kept_beside(lambda: None, "b") == Profiled(code="no-baseline-profile")


def test_the_profile_of_a_candidate_follows_it(tmp_path: Path) -> None:
    baseline = factories.baseline()
    tree, candidates = tmp_path / "baselines", tmp_path / "candidates"
    machine, case = baseline.measurement.machine, baseline.measurement.case
    candidate = baselines.load(baselines.save(candidates, baseline))
    profiles.save(candidates, machine, case, KEPT)
    profiles.follow(tree, candidate, folder=candidates)
    assert profiles.load(profiles.path_of(tree, machine, case), below=tree) == KEPT
    profiles.forget(candidates, machine, case)
    profiles.follow(tree, candidate, folder=candidates)
    assert profiles.load(profiles.path_of(tree, machine, case), below=tree) is None


def test_the_check_of_baselines_knows_profiles(tmp_path: Path) -> None:
    baseline = factories.baseline()
    path = baselines.save(tmp_path, baseline)
    machine, case = baseline.measurement.machine, baseline.measurement.case
    beside = profiles.save(tmp_path, machine, case, KEPT)
    codes = {(flaw.code, flaw.path) for flaw in baselines.check(tmp_path, {})}
    assert not {one for one in codes if one[1] == str(beside)}
    beside.write_text("{}")
    assert ("unreadable", str(beside)) in {(flaw.code, flaw.path) for flaw in baselines.check(tmp_path, {})}
    path.unlink()
    assert ("stray", str(beside)) in {(flaw.code, flaw.path) for flaw in baselines.check(tmp_path, {})}


@pytest.mark.parametrize(
    ("steps", "more", "expected"),
    [
        (8, {}, ProfilePlan(reach="stages")),
        (50, {}, ProfilePlan(reach="steps", steps=5)),
        (50, {"until": 15}, ProfilePlan(reach="steps", steps=15)),
        (12, {"until": 30}, ProfilePlan(reach="steps", steps=11)),
        (50, {"other_stage": True}, ProfilePlan(reach="stages")),
        (0, {}, ProfilePlan(reach="stages")),
    ],
)
def test_a_long_request_is_profiled_in_part(steps: int, more: dict[str, Any], expected: ProfilePlan) -> None:
    assert plan(steps, **more) == expected


def of(metric: str, **more: Any) -> CaseResult:
    verdicts = (factories.verdict(metric, outcome="regressed", now=2.0, low=1.1, high=1.2, **more),)
    launches = tuple(replace(factories.record(n), steps_ms=(50.0,) * 40) for n in range(3))
    return factories.regressed(verdicts=verdicts, launches=launches)


def test_what_regressed_decides_what_is_profiled() -> None:
    assert profile.plan_for(of("denoise")) == ProfilePlan(reach="steps", steps=5)
    for metric in ("stage:DecodingStage", "e2e", "pause"):
        assert profile.plan_for(of(metric)) == ProfilePlan(reach="stages")
    assert profile.plan_for(of("peak_memory")) == ProfilePlan(reach="steps", steps=5)
    held = Finding(code="held-up-always", first=13, last=19)
    assert profile.plan_for(of("denoise_excess", finding=held)) == ProfilePlan(reach="steps", steps=15)


def test_the_profilers_flags_and_folder_are_added_to_the_command() -> None:
    files = LaunchFiles(workdir="w", output_dir="o", perf_dump="p", perf_log_dir="l", config="c")
    adapter, case = SglangGenerate(), Case(name="tiny", model="m", location=factories.location())
    plain = adapter.command(case, info=INFO, files=files, ports=None)
    command = Profiling(adapter, ProfilePlan(reach="steps", steps=7), "/t").command(
        case, info=INFO, files=files, ports=None
    )
    assert command.argv == (*plain.argv, "--profile", "--num-profiled-timesteps", "7")
    assert {name: command.env[name] for name in FOLDERS} == dict.fromkeys(FOLDERS, "/t")
    whole = Profiling(adapter, ProfilePlan(reach="stages"), "/t").command(case, info=INFO, files=files, ports=None)
    assert whole.argv == (*plain.argv, "--profile", "--profile-all-stages")


def test_only_an_engine_with_the_flags_can_be_profiled() -> None:
    assert cannot_profile(SglangGenerate()) is None
    assert cannot_profile(SglangServe()) == "unsupported-server"

    class Mine(SglangGenerate):
        name = "mine"

    assert cannot_profile(Mine()) == "unsupported-engine"


def recorded(root: Path, *, content: bytes | None, name: str = "x.trace.json.gz") -> Path:
    out = root / recordings.PROFILE
    argv = ("sglang", "--profile", "--profile-all-stages")
    recordings.write_launch(out, Launch(case="tiny", number=0, argv=argv, session="s1"))
    traces = out / "tiny" / recordings.TRACES
    traces.mkdir()
    if content is not None:
        (traces / name).write_bytes(content)
    return traces


EVENT = {"ph": "X", "cat": "cpu_op", "name": "op", "pid": 1, "tid": 1, "ts": 1, "dur": 2}
WHOLE = json.dumps({"traceEvents": [EVENT]}).encode()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gzip.compress(WHOLE), "alone"),
        (WHOLE, "alone"),
        (WHOLE[:-9], "torn"),
        (b"", "torn"),
        (b'{"traceEvents": []}', "empty"),
        (None, "no-trace"),
    ],
    ids=["gzipped", "plain", "cut", "nothing", "no events", "no file"],
)
def test_a_recording_says_what_became_of_its_trace(tmp_path: Path, content: bytes | None, code: str) -> None:
    recorded(tmp_path, content=content)
    found = profile.replayed(tmp_path, "tiny", sessions={"s1"}, against=False)
    assert found is not None
    assert found.code == code


def test_the_profile_of_another_run_is_none_of_the_launches(tmp_path: Path) -> None:
    recorded(tmp_path, content=WHOLE)
    assert profile.replayed(tmp_path, "tiny", sessions={"s2"}, against=False) is None


def test_what_an_earlier_run_profiled_is_forgotten(tmp_path: Path) -> None:
    traces = recorded(tmp_path, content=WHOLE)
    (traces / "notes.txt").write_text("mine")
    recordings.forget_profile(tmp_path, "tiny")
    assert [path.name for path in traces.iterdir()] == ["notes.txt"]
    assert not (traces.parent / "00").exists()
    recordings.forget_profile(tmp_path, "other")


def test_a_run_with_a_profile_is_one_that_may_be_removed(tmp_path: Path) -> None:
    old, new = "2026-11-29T10-00-00-1", "2026-11-30T10-00-00-1"
    traces = recorded(tmp_path / old, content=WHOLE)
    assert prune(tmp_path, keep=1, but=new) == (old,)
    traces = recorded(tmp_path / old, content=WHOLE)
    (traces / "notes.txt").write_text("mine")
    assert prune(tmp_path, keep=1, but=new) == ()


def test_a_recording_without_a_profile_has_none(tmp_path: Path) -> None:
    assert profile.replayed(tmp_path, "tiny", sessions={"s1"}, against=False) is None


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
def test_what_is_no_file_is_no_trace(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(recorded(tmp_path, content=None) / "x.trace.json.gz")
    found = profile.replayed(tmp_path, "tiny", sessions={"s1"}, against=False)
    assert found is not None
    assert found.code == "no-trace"


def test_a_replay_leaves_a_large_trace_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traces = recorded(tmp_path, content=WHOLE)
    monkeypatch.setattr(profile, "TRACE_KEPT", 10)
    found = profile.replayed(tmp_path, "tiny", sessions={"s1"}, against=False)
    assert found is not None
    assert (found.code, found.dropped_bytes) == ("alone", None)
    assert [path.name for path in traces.iterdir()] == ["x.trace.json.gz"]
