"""The words of every problem, disturbance, difference, reason, next step, warning and flaw, in one golden file each: a
better sentence costs one edit there.

`UPDATE_GOLDEN=1 pytest tests/unit/test_wording.py` writes them anew, for review.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, get_args

import pytest

from pytest_sgdiff.baselines.flaws import Code, Flaw
from pytest_sgdiff.cluster.nodes import Node
from pytest_sgdiff.compare.compare import Way
from pytest_sgdiff.compare.sides import Note, NoteCode
from pytest_sgdiff.data import (
    Acceptance,
    AcceptanceState,
    AcceptanceUse,
    Advice,
    Attribution,
    Beside,
    BesideCode,
    BisectCode,
    Bisected,
    BisectStep,
    Blank,
    Cause,
    Changed,
    CommitsLack,
    Conflict,
    ConflictCode,
    Difference,
    Disturbance,
    DisturbanceCode,
    Doubt,
    EngineCommits,
    Gpu,
    GpuEvent,
    GpuProcess,
    Judged,
    LaunchRecord,
    Location,
    LongPause,
    Loss,
    LossCode,
    LostShard,
    LostTest,
    Merged,
    NextCode,
    NextStep,
    NodeTrouble,
    NoisePrior,
    OutputSample,
    Pairs,
    PartChange,
    Problem,
    ProblemCode,
    ProfileChange,
    ProfileCode,
    Profiled,
    ProfileRow,
    ProfileSummary,
    Quality,
    QualityCode,
    Reason,
    ReasonCode,
    Reference,
    ReferenceOutput,
    RequestFailure,
    RowChange,
    SampleFlaw,
    SelectedTest,
    Shard,
    ShardGap,
    Similarity,
    SkipCode,
    StageChange,
    StepFinding,
    StepsChange,
    TroubleCode,
    UnknownStage,
    Unmeasured,
    VersionChange,
    Warned,
    WarningCode,
)
from pytest_sgdiff.data.failures import (
    CollectiveTimeout,
    CommandRefused,
    Crashed,
    ExceptionRaised,
    Failure,
    NoRoom,
    OutOfMemory,
    PortTaken,
    RequestFailed,
    UnknownModel,
    WorkerDied,
)
from pytest_sgdiff.data.measurements import WarmupCode
from pytest_sgdiff.engines.inspection import FlawCode, LaunchFlaw
from pytest_sgdiff.errors import ClusterError
from pytest_sgdiff.gpus.devices import Use
from pytest_sgdiff.gpus.wait_reasons import Before, Wait, WaitReason
from pytest_sgdiff.gpus.wait_reasons import Code as WaitCode
from pytest_sgdiff.gpus.wait_reasons import in_words as in_words_of_waits
from pytest_sgdiff.judging.power import Power
from pytest_sgdiff.plugin.skips import Lack
from pytest_sgdiff.plugin.skips import in_words as lack_in_words
from pytest_sgdiff.reports import (
    accept_text,
    attribution_text,
    bisect_text,
    cluster_text,
    comparison,
    difference_text,
    disturbance_text,
    failure_text,
    flaw_text,
    inspect_text,
    merge_text,
    next_text,
    noise_text,
    problem_text,
    profile_text,
    quality_text,
    reason_text,
    warning_text,
)
from tests import factories
from tests.golden import check_golden

UUID = "GPU-5d1e8f00"
CHANGED = (
    Changed(name="NCCL_DEBUG", then="INFO", now=None),
    Changed(name="SGLANG_X", then=None, now="1"),
    Changed(name="SGLANG_Y", then="1", now="2"),
)
DOUBT = Doubt(code="varies", metric="denoise", unit="ms", of=5, size=0.015, limit=0.012, needed=10)
STAGE = UnknownStage(key="metrics.gate", name="DecodeStage", near="DecodingStage", known=("DecodingStage",))
ODD = Quality(code="odd-launch", launches=5, launch=3, measure="psnr", found=17.5, limit=38.1)
OTHER_PICTURE = Quality(
    code="changed",
    launches=1,
    launch=0,
    similarity=Similarity(ssim=0.31, mse=1156.3, difference=24.5),
    measure="psnr",
    found=17.5,
    limit=48.1,
)
PLACE = Location(path="cases/wan.yaml", line=9, column=5)


def difference_lines() -> Iterator[str]:
    cpu = replace(factories.H100X4, kind="cpu", product="AMD EPYC 9654", count=64)
    slice_ = replace(factories.H100X4, mig_profile="1g.10gb")
    found = [
        Difference(code="machine", machines=(cpu, slice_)),
        Difference(code="field", key="args.width", then=832, now=None),
        Difference(code="field", key="args.sizes", then=[1, 2], now=True),
        Difference(code="field", key="config.paint", then=False, now="on"),
        Difference(code="field", key="env.SGLANG_A", then="1", now=None, inherited=True),
        Difference(code="digest", then="", now="a739cfb1"),
        Difference(code="timers", then=True, now=False),
        Difference(code="timers", then=None, now=True),
        Difference(code="conditioning-cache", then=True, now=False),
        Difference(code="engine", then="0.5.17", now="0.5.20"),
    ]
    for one in found:
        yield f"{one.code}: {difference_text.of_baseline(one)}"
    for one in found:
        yield f"{one.code} (two launches): {difference_text.of_two(one)}"
    for one in found[1:4]:
        yield f"{one.code} (a case): {difference_text.of_case(one)}"


FAILURES: tuple[Failure, ...] = (
    PortTaken(),
    PortTaken(port=30005),
    OutOfMemory(),
    OutOfMemory(where="host", tried="2.00 GiB"),
    NoRoom(),
    NoRoom(path="/tmp/torchinductor/x.so"),
    CollectiveTimeout(by="NCCL", operation="ALLREDUCE", rank=1, seconds=600),
    CollectiveTimeout(by="gloo", operation="recv", seconds=30.5),
    CollectiveTimeout(by="store"),
    ExceptionRaised(type="KeyError", message="'width'", more="while loading"),
    ExceptionRaised(type="AssertionError"),
    UnknownModel(model="m/x"),
    CommandRefused(message="unrecognized arguments: --with"),
    RequestFailed(message="bad shape"),
    Crashed(what="Segmentation fault"),
    WorkerDied(rank=1, exit_code=-9),
    WorkerDied(rank=1),
)


def failure_lines() -> Iterator[str]:
    yield from (f"{one.code}: {failure_text.in_words(one)}" for one in FAILURES)
    yield from (f"warmup {code}: {failure_text.warmup_unproved(code, '832x480')}" for code in get_args(WarmupCode))


def problem_lines() -> Iterator[str]:
    figures: dict[str, Any] = {
        "message": "as an engine of a plugin says it",
        "about": "width",
        "wanted": ("1280",),
        "found": ("832", "640"),
        "number": 9,
        "seconds": 1800.0,
        "took_ms": 900.5,
        "steps_ms": 1000.0,
        "warmup": "claimed",
        "launches": (1, 4),
        "differences": (Difference(code="field", key="args.width", then=832, now=640),),
    }
    for code in get_args(ProblemCode):
        yield f"{code}: {problem_text.message(Problem(kind='invalid', code=code, **figures))}"
    others: list[tuple[ProblemCode, dict[str, Any]]] = [
        ("timeout", {"failure": OutOfMemory()}),
        ("exit-code", {"failure": PortTaken(port=30005)}),
        ("signal", {"number": 250}),
        ("failure-in-log", {"number": 0, "failure": RequestFailed(message="bad shape")}),
        ("no-dump", {"number": 0}),
        ("diffusers-ran", {"asked": True}),
        ("size-unproved", {"about": "frames"}),
        ("size-unproved", {"logged": False}),
        ("stages-missing", {"wanted": ("AStage", "BStage")}),
        ("step-count", {"request": 2}),
        ("bad-dump", {"request": 2}),
        ("server-not-ready", {"phase": "readiness", "found": ("/health",), "status": 503}),
        ("server-ended", {"phase": "request", "request": 2, "failure": OutOfMemory()}),
        ("server-unhealthy", {"phase": "after", "said": "Scheduler worker exited"}),
        ("request-failed", {"phase": "warmup", "request": 0, "how": "status", "status": 500, "said": "CUDA error"}),
        *(
            ("request-failed", {"phase": "request", "request": 2, "how": how, "state": "failed", "status": 200})
            for how in get_args(RequestFailure)
        ),
        ("request-timeout", {"phase": "request", "request": 2}),
        ("no-request-dump", {"request": 2}),
        ("other-request", {"request": 2, "wanted": ("8ad1",), "found": ("9bc2",)}),
        ("other-task", {"said": "T2V"}),
    ]
    for code, more in others:
        yield f"{code}: {problem_text.message(Problem(kind='invalid', code=code, **{**figures, **more}))}"


def disturbance_lines() -> Iterator[str]:
    first = GpuProcess(gpu_uuid=UUID, pid=5138, name=None, used_mb=584, when="start")
    again = replace(first, name="/opt/contend.py", used_mb=714, when="end")
    events = {
        "xid": GpuEvent(kind="xid", gpu_uuid=UUID, number=79),
        "heat": GpuEvent(kind="heat", gpu_uuid=UUID, ms=250),
    }
    for code in get_args(DisturbanceCode):
        one = Disturbance(
            code=code,
            gpu_uuid=UUID,
            processes=(first, again),
            reason=0x08,
            count=1,
            of=2,
            temperature_c=87,
            mhz=1545,
            usual_mhz=1845,
            cases=("wan22", "ltx2"),
            memory_mb=900,
            event=events.get(code, GpuEvent(kind="other", text="as an older recording says it")),
        )
        yield f"{code}: {disturbance_text.words(one)}"
    stranger = Disturbance(code="foreign-process", gpu_uuid=UUID, processes=(replace(first, used_mb=None),))
    yield f"foreign-process: {disturbance_text.words(stranger)}"
    throttled = Disturbance(code="power-brake", gpu_uuid=UUID, reason=0x80, count=1, of=2)
    yield f"power-brake: {disturbance_text.words(throttled)}"
    yield f"xid: {disturbance_text.event(GpuEvent(kind='xid', number=79))}"


def reason_lines() -> Iterator[str]:
    problem = Problem(kind="invalid", message="as an engine of a plugin says it")
    strange = Disturbance(code="other-event", event=GpuEvent(kind="other", text="a foreign process"))
    twice = Reason(code="environment", disturbed=2, disturbances=(strange, strange))
    seed = (Difference(code="field", key="args.seed", then=7, now=42),)
    reasons = [
        Reason(),
        Reason(launches=2, of=5),
        Reason(code="problem"),
        Reason(code="problem", side="base"),
        Reason(code="problem", side="current"),
        twice,
        replace(twice, disturbed=1, recording=True),
        Reason(code="environment", error="2 GPUs busy for 60 s"),
        Reason(code="cluster", losses=(Loss(code="node-died", node="a"), Loss(code="no-node"))),
        Reason(code="no-machine"),
        Reason(code="no-machine", side="base"),
        Reason(code="no-baseline", machine="nvidia-h200-x1"),
        Reason(code="no-baseline", machine="nvidia-h200-x1", others=("nvidia-h100-x1", "nvidia-b200-x1")),
        Reason(code="not-comparable", differences=seed),
        Reason(code="empty-recording"),
        Reason(code="short-recording", launches=3, of=5),
        Reason(code="no-more-launches"),
        Reason(code="shard-unreported", shard="3/4"),
        Reason(code="shard-killed", shard="3/4"),
        Reason(code="shard-unmeasured", shard="3/4", error="its worker died"),
        Reason(code="shard-incomplete", shard="3/4", launches=2, of=5),
        Reason(code="picture-changed"),
        Reason(code="odd-picture"),
        Reason(code="recorded", launches=1),
        Reason(code="recorded", launches=5, others=("nvidia-h100-x1",)),
        Reason(code="recorded", launches=5, added_to=5),
        Reason(code="recorded", launches=5, replaces=True),
        Reason(code="recorded", launches=5, replaces=True, differences=seed),
    ]
    assert {one.code for one in reasons} == set(get_args(ReasonCode))
    for one in reasons:
        quality = ODD if one.code == "odd-picture" else OTHER_PICTURE
        result = factories.regressed(reason=one, problems=(problem,), quality=quality)
        yield f"{one.code}: {reason_text.reason(result)}"
    pairs = factories.regressed(reason=Reason(pairs=5), baseline_path=None)
    yield f"verdicts (A/B): {reason_text.reason(pairs)}"
    lacking = factories.regressed(outcome="no-baseline")
    yield f"verdicts (no baseline): {reason_text.reason(lacking)}"
    yield f"verdicts (no baseline, A/B): {reason_text.reason(replace(lacking, baseline_path=None))}"
    yield f"verdicts (none): {reason_text.reason(replace(lacking, decided_by=()))}"
    yield f"a launch: {reason_text.discarded(LaunchRecord(number=0, disturbances=(strange, strange)))}"
    yield f"a launch: {reason_text.discarded(LaunchRecord(number=0, problem=problem))}"


def next_lines() -> Iterator[str]:
    given: dict[str, Any] = {
        "command": "pytest --sgdiff-update x",
        "metrics": ("denoise_core", "stage:DecodingStage"),
        "changed": (*CHANGED[:2], Changed(name="NCCL_ALGO", then="a b")),
        "launches": 5,
        "fix": "as the error says it",
    }
    for code in get_args(NextCode):
        cause = "memory" if code == "fix" else None
        yield f"{code}: {next_text.words(NextStep(code=code, cause=cause, **given))}"
    for cause in get_args(Cause):
        yield f"fix ({cause}): {next_text.words(NextStep(code='fix', cause=cause))}"
    short = NextStep(code="record", command="pytest --sgdiff-update x", launches=5, have=3)
    yield f"record (a short recording): {next_text.words(short)}"
    yield f"record-more (fewer): {next_text.words(replace(short, code='record-more', fewer=3))}"
    yield f"accept-removal (one): {next_text.words(NextStep(code='accept-removal', metrics=('e2e',), command='x'))}"
    back = NextStep(code="restore-environment", changed=CHANGED[1:2], command="x")
    yield f"restore-environment (unset): {next_text.words(back)}"
    assert next_text.words(None) == ""


def merge_lines() -> Iterator[str]:
    first, second = Shard(number=1, of=4), Shard(number=2, of=4)
    reports = ("a/shard-1-of-4.json", "b/shard-2-of-4.json")
    conflicts = [
        Conflict(
            code="shard-count",
            paths=(reports[0], "b/shard-2-of-8.json"),
            shards=(first, Shard(number=2, of=8)),
        ),
        Conflict(code="selection", paths=reports, case="cases/a.yaml::tiny", said=("selected", "")),
        Conflict(code="definition", paths=reports, case="cases/a.yaml::tiny"),
        Conflict(code="assignment", paths=reports, case="cases/a.yaml::tiny", shards=(first, second)),
        Conflict(code="job", paths=reports, said=("GITHUB_RUN_ID=17", "GITHUB_RUN_ID=18")),
        Conflict(
            code="shard-twice",
            paths=(reports[0], "b/shard-1-of-4.json"),
            shards=(first,),
            said=("2026-11-29T02-00-11-41@5bce98f73f3e", "2026-11-30T02-00-11-41@5bce98f73f3e"),
        ),
        Conflict(
            code="selection-file",
            paths=reports,
            shards=(first, second),
            said=("selection-0123456789abcdef.json", "selection-fedcba9876543210.json"),
        ),
        Conflict(
            code="other-run",
            paths=("a/tiny/00", reports[0]),
            case="tiny",
            shards=(first,),
            said=("monday", "tuesday@5bce98f73f3e"),
        ),
        Conflict(code="other-shard", paths=("a/tiny", reports[0]), case="tiny", shards=(second,)),
        Conflict(code="launch", paths=("a/tiny/00", "b/tiny/00"), case="tiny"),
        Conflict(code="renumbered", paths=("a/tiny/00", "b/tiny/01"), case="tiny"),
        Conflict(code="two-runs", paths=("a/tiny/00", "b/tiny/01"), case="tiny", said=("monday", "tuesday")),
    ]
    assert {one.code for one in conflicts} == set(get_args(ConflictCode))
    yield from (f"{one.code}: {merge_text.conflict(one)}" for one in conflicts)
    yield f"selection (of the other): {merge_text.conflict(replace(conflicts[1], said=('', 'selected')))}"
    (other_run,) = (one for one in conflicts if one.code == "other-run")
    yield f"other-run (none): {merge_text.conflict(replace(other_run, said=('', other_run.said[1])))}"
    tests = tuple(SelectedTest(test=f"cases/a.yaml::c{n}", case=f"c{n}", shard=2) for n in range(12))
    why = Unmeasured(node_id="cases/a.yaml::tiny", why="its worker died", gap="worker-died")
    lacking = Merged(
        cases=5,
        launches=9,
        profiled=2,
        of=4,
        reported=(1, 4),
        unreported=(LostShard(shard=second, tests=tests), LostShard(shard=Shard(number=3, of=4), tests=())),
        unfinished=(first,),
        gaps=(
            LostTest(test="cases/a.yaml::tiny", gap=ShardGap(shard=first, began=True, unmeasured=why)),
            LostTest(test="big", gap=ShardGap(shard=first, began=True, launches=2, of=5)),
        ),
        absent=("c",),
        plain=("d",),
        damaged=("a/tiny/00/launch.json",),
        strays=("a/old/00",),
        left_out=("a/report.html",),
    )
    yield from (f"(lacking) {line}" for line in merge_text.lines(lacking, "merged"))
    nobody = tuple(LostShard(shard=Shard(number=number, of=900), tests=()) for number in range(2, 900))
    many = Merged(cases=1, launches=1, of=900, reported=(1, 900), unreported=nobody)
    yield from (f"(of 900) {line}" for line in merge_text.lines(many, "merged"))
    plain = Merged(cases=1, launches=1, plain=("a",), there_already=True)
    yield from (f"(of no shards) {line}" for line in merge_text.lines(plain, "merged"))
    yield f"(killed) {merge_text.gap(ShardGap(shard=first, began=True))}"
    yield f"(unreported) {merge_text.gap(ShardGap(shard=first, began=False))}"
    yield f"(idle) {merge_text.idle(Shard(number=4, of=4), 3)}"


def noise_lines() -> Iterator[str]:
    default = NoisePrior(metric_class="primary", cv=0.008, fitted=False, weight=8.0, baselines=3, session_cv=0.0025)
    stage = replace(default, metric_class="stage", cv=0.03)
    fitted = replace(default, cv=0.00412, fitted=True, weight=21.04, baselines=12)
    unfitted = replace(default, metric_class="memory", cv=0.002, baselines=0)
    suites = {
        "default": (default, stage),
        "default, nobody counted": (replace(default, baselines=None),),
        "default, nights": (replace(default, nights=9), stage),
        "default, pairs": tuple(replace(one, session_cv=None) for one in (default, stage)),
        "fitted": (fitted, replace(fitted, metric_class="stage"), unfitted),
        "fitted, nights": (replace(fitted, nights=9),),
        "fitted, pairs": (replace(fitted, session_cv=None),),
    }
    yield from (f"{name}: {noise_text.words(noise)}" for name, noise in suites.items())
    assert noise_text.words(()) == ""


def warning_lines() -> Iterator[str]:
    step = StepFinding(code="spike", stage="", first=7, last=7, launches=3, now_ms=90.0, then_ms=50.0)
    known = Advice(level="warning", slug="no-seed", message="as the advice says it", location=PLACE)
    warnings = {
        "auto-tuned": Warned(code="auto-tuned", names=("offload: on", "tp: 2")),
        "could-stay": Warned(
            code="could-stay",
            names=("vae", "text_encoder"),
            flags=("--vae-cpu-offload", "--text-encoder-cpu-offload"),
        ),
        "behind-rate": Warned(code="behind-rate", names=("r0.5", "r2")),
        "inherited-otherwise": Warned(code="inherited-otherwise", changed=CHANGED),
        "inherited-unrecorded": Warned(code="inherited-unrecorded", changed=CHANGED[1:]),
        "inherited-work": Warned(code="inherited-work", changed=CHANGED[1:]),
        "pauses": Warned(code="pauses", metric="denoise"),
        "long-pause": Warned(
            code="long-pause",
            pause=LongPause(launches=3, of=5, then_launches=1, then_of=5, longest_ms=552.7),
        ),
        "not-judged": Warned(code="not-judged", metric="denoise"),
        "new-stages": Warned(code="new-stages", names=("AStage", "BStage")),
        "steps": Warned(code="steps", step=step),
        "baseline-doubt": Warned(code="baseline-doubt", doubts=(DOUBT,)),
        "recording-doubt": Warned(code="recording-doubt", doubts=(DOUBT,)),
        "more-launches": Warned(code="more-launches", launches=5, usual=5, doubts=(DOUBT,)),
        "unknown-machine": Warned(code="unknown-machine", machine="unknown-x4"),
        "unknown-stage": Warned(code="unknown-stage", stage=STAGE, location=PLACE),
        "lost-launches": Warned(code="lost-launches", losses=(Loss(code="preempted", node="a"),)),
        "not-compared": Warned(code="not-compared", quality=Quality(code="no-reference")),
        "noisy-pictures": Warned(
            code="noisy-pictures",
            quality=Quality(code="same", noise=Similarity(ssim=0.31, mse=5200.0, difference=55.0)),
        ),
        "blank-frames": Warned(code="blank-frames", names=("a.mp4",), frames=3, of=81),
        "advice": Warned(code="advice", advice=known),
    }
    assert list(warnings) == list(get_args(WarningCode))
    ours = factories.regressed()
    yield from (f"{code}: {warning_text.words(one, ours)}" for code, one in warnings.items())
    yield f"more-launches: {warning_text.words(replace(warnings['more-launches'], launches=1), ours)}"
    two = Quality(code="same", noise=Similarity(ssim=0.91, mse=52.0, difference=5.0), results=2)
    yield f"noisy-pictures: {warning_text.words(Warned(code='noisy-pictures', quality=two), ours)}"
    paired = replace(ours, baseline_path=None)
    yield from (f"{code} (A/B): {warning_text.words(warnings[code], paired)}" for code in ("new-stages", "steps"))


def attribution_lines() -> Iterator[str]:
    found = Attribution(
        total_then_ms=1112.0,
        total_now_ms=1189.0,
        stage=StageChange(stage="DenoisingStage", then_ms=1022.0, now_ms=1098.0),
        parts=(
            PartChange(part="core", then_ms=1022.0, now_ms=1098.0),
            PartChange(part="excess", then_ms=3.64, now_ms=3.01),
            PartChange(part="pause", then_ms=9.8, now_ms=475.0),
        ),
        steps=StepsChange(first=13, last=19, of=20, then_ms=357.0, now_ms=461.0),
        beside=tuple(
            Beside(code=code, then=then, now=now)
            for code, (then, now) in zip(
                get_args(BesideCode), ((1845.0, 1790.0), (3010.0, 3165.0), (700.0, 400.0)), strict=True
            )
        ),
        versions=(
            VersionChange(name="torch", then=("2.11.0",), now=("2.12.0",)),
            VersionChange(name="sgl-kernel", now=("0.3.1",)),
        ),
    )
    ours = replace(factories.regressed(), attribution=found)
    yield f"all: {attribution_text.line(ours)}"
    yield f"nothing: {attribution_text.line(replace(ours, attribution=Attribution()))}"
    one = replace(found, stage=None, parts=(), beside=(), versions=(), steps=replace(found.steps, last=13))
    yield f"one step: {attribution_text.line(replace(ours, attribution=one))}"
    sides = EngineCommits(then="1a2b3c4d5e6f", now="5e6f7a8b9c0d")
    titles = tuple(f"{number:08x} Change number {number}" for number in range(5))
    yield f"commits: {attribution_text.commits(replace(sides, titles=titles, count=24))}"
    yield f"one commit: {attribution_text.commits(replace(sides, titles=titles[:1], count=1))}"
    yield f"commits, back: {attribution_text.commits(replace(sides, count=0, back=True))}"
    for lack in get_args(CommitsLack):
        yield f"{lack}: {attribution_text.commits(replace(sides, lack=lack))}"


def profile_lines() -> Iterator[str]:
    rows = tuple(
        RowChange(part=part, name=name, shape=shape, stage="DenoisingStage", then_ms=then, now_ms=now, **more)
        for part, name, shape, then, now, more in (
            ("operator", "aten::addmm", "[256] [128, 256]", 65.9, 132.3, {"then_count": 56, "now_count": 56}),
            ("operator", "aten::mul", "[2]", None, 3.0, {"now_count": 4, "first": 7, "last": 7}),
            ("kernel", "x" * 90, "", 5.0, 1.5, {"then_count": 9, "now_count": 3, "first": 0, "last": 7}),
            ("python", f"sglang/{'models/' * 12}wan.py: forward", "", 2.0, 4.0, {"then_count": 1, "now_count": 1}),
        )
    )
    change = ProfileChange(
        clock="device", rows=rows, then_ms=613.6, now_ms=1312.9, typical=1.031, stage="DenoisingStage"
    )
    row = ProfileRow(part="operator", name="aten::addmm", shape="[2]", stage="DenoisingStage", count=3, self_ms=4.5)
    alone = ProfileSummary(reach="stages", clock="cpu", rows=(row,))
    for code in get_args(ProfileCode):
        yield f"{code}: {profile_text.head(Profiled(code=code))}"
    told = Profiled(code="compared", change=change, dropped_bytes=300 << 20)
    yield f"compared: {profile_text.head(told)}"
    bare = replace(change, clock="cpu", rows=rows[3:], typical=None, stage="")
    yield f"compared, nothing: {profile_text.head(Profiled(code='compared', change=bare))}"
    failed = Profiled(code="launch-failed", problem=Problem(kind="timeout", code="timeout", seconds=60.0))
    yield f"launch-failed: {profile_text.head(failed)}"
    yield f"torn, why: {profile_text.head(Profiled(code='torn', why='it ends inside an event'))}"
    for line in profile_text.rows(told, base="baseline"):
        yield f"row: {' | '.join(line)}"
    for line in profile_text.rows(Profiled(code="no-baseline-profile", now=alone), base="baseline"):
        yield f"row: {' | '.join(line)}"


def inspect_lines() -> Iterator[str]:
    flaw = LaunchFlaw(code="failure", line="as the log says it", number=3, warmup="claimed")
    for code in get_args(FlawCode):
        if code != "problem":
            yield f"{code}: {inspect_text.words(replace(flaw, code=code))}"
    lost = Problem(kind="invalid", code="request-failed", message="", request=2, how="job", state="failed", status=200)
    for one in (lost, replace(lost, code="warmup", warmup="claimed"), replace(lost, code="cut-off", request=None)):
        yield f"problem ({one.code}): {inspect_text.words(LaunchFlaw(code='problem', problem=one))}"
    yield f"failure (known): {inspect_text.words(replace(flaw, failure=PortTaken(port=30005)))}"
    yield f"diffusers-ran (dump): {inspect_text.words(LaunchFlaw(code='diffusers-ran'))}"
    yield f"warmup (synthetic): {inspect_text.words(LaunchFlaw(code='warmup', warmup='synthetic', asked='832x480'))}"
    slow = Disturbance(code="slow-clock", gpu_uuid=UUID, mhz=1545, usual_mhz=1845)
    yield f"disturbed: {inspect_text.disturbed(slow)}"
    for kind in get_args(NoteCode):
        one = Note(code=kind, launch=2, flaw=flaw, ending="timeout", number=3, pids=(42, 43))
        yield f"note, {kind}: {comparison.note(one)}"
    yield f"note, discarded: {comparison.note(Note(code='no-dump', launch=2, discarded=True))}"
    yield f"note, of the side: {comparison.note(Note(code='published'))}"
    yield f"way, flag: {comparison.way(Way(kind='flag', name='enable-x', old=None, new=''))}"
    yield f"way, variable: {comparison.way(Way(kind='variable', name='NCCL_ALGO', old='Ring', new=None))}"


def flaw_lines() -> Iterator[str]:
    def power(metric: str, detectable: float | None, spread: float | None = 0.159, **more: Any) -> Power:
        given = {"metric_class": "primary", "unit": "ms", "allow": 0.012, "detect": 0.042, "centre": 200.0, **more}
        return Power(metric=metric, detectable=detectable, spread=spread, **given)

    powers = (power("denoise", 0.3), power("stage:DecodingStage", 0.25, None, metric_class="stage"), power("e2e", None))
    for code in get_args(Code):
        one = Flaw(
            level="error",
            code=code,
            path="baselines/nvidia-h200-x1/wan.json",
            name="denoise",
            names=("0", "2"),
            number=2,
            of=5,
            value=-1.5,
            expected=990.5,
            new=("image-path",),
            gone=("audio-path",),
            other=("mask-path",),
            differences=(Difference(code="field", key="args.width", then=832, now=640),),
            powers=powers,
            stage=STAGE,
            location=PLACE,
            why="as the reader of the file says it",
        )
        yield f"{code}: {flaw_text.words(one)}"
    few = Flaw(level="warning", code="weak", path="a.json", powers=powers, of=2)
    yield f"weak (warning): {flaw_text.line(few)}"
    unreadable = Flaw(level="error", code="unreadable", path="a.json", line=12, why="as its reader says it")
    yield f"unreadable (line): {flaw_text.line(unreadable)}"


def quality_lines() -> Iterator[str]:
    seen = Similarity(ssim=0.886, mse=1164.2, difference=24.5, frame=12)
    common: dict[str, Any] = {"launches": 3, "launch": 1, "similarity": seen, "noise": Similarity(ssim=1.0, mse=0.0)}
    mesh = Similarity(chamfer=0.0312, box=0.004, spacing=0.0124)
    worse = replace(mesh, area=0.2, uncovered=0.94, turned=1.0, colour=31.0)
    found = [
        Quality(code="same", **common),
        Quality(code="same", launches=1, similarity=Similarity(ssim=1.0, mse=0.0, difference=0.0)),
        Quality(code="same", launches=1, similarity=mesh),
        Quality(code="allowed", **common),
        Quality(code="lossy", **common),
        OTHER_PICTURE,
        Quality(code="changed", measure="ssim", found=0.886, limit=0.9954, **common),
        Quality(code="changed", measure="block", found=24.1, limit=36.1, **common),
        Quality(code="changed", launch=0, output=2, measure="chamfer", found=0.0312, limit=0.0186, similarity=mesh),
        Quality(code="changed", launch=0, measure="box", found=0.004, limit=0.001, similarity=mesh),
        Quality(code="changed", launch=0, measure="area", found=0.2, limit=0.01, similarity=worse),
        Quality(code="changed", launch=0, measure="uncovered", found=0.94, limit=0.5, similarity=worse),
        Quality(code="changed", launch=0, measure="turned", found=1.0, limit=0.5, similarity=worse),
        Quality(code="changed", launch=0, measure="colour", found=31.0, limit=8.0, similarity=worse),
        Quality(code="same", launches=1, similarity=worse),
        Quality(code="beyond-allowed", measure="difference", found=24.5, limit=8.0, **common),
        Quality(code="other-size", launch=0, then="832x480", now="640x480"),
        Quality(code="other-frames", launch=0, then="81", now="77"),
        Quality(code="other-kind", launch=0, then="video", now="image"),
        Quality(code="other-kind", launch=0, then="image", name="a.gif"),
        Quality(code="other-count", launch=0, then="1", now="2"),
        Quality(code="rounding", launches=1, similarity=worse),
        Quality(code="other-request"),
        Quality(code="blank-frames", launch=0, then="0", now="12"),
        ODD,
        replace(ODD, output=2, measure=None, found=None, limit=None, then="image 832x480", now="image 640x480"),
        Quality(code="off"),
        Quality(code="no-output"),
        Quality(code="no-library", missing=("av", "scikit-image")),
        Quality(code="no-samples"),
        Quality(code="no-reference"),
        *(
            Quality(code="flawed", flaw=flaw, name="a.png", said="as its reader says it")
            for flaw in get_args(SampleFlaw)
        ),
        Quality(code="flawed", flaw="unreadable"),
        Quality(code="flawed", flaw="left-out", name="a.png", launch=0, uncompared=44),
    ]
    kept = Reference(outputs=(ReferenceOutput(sample=OutputSample(), noise=seen),), launches=5)
    less = Similarity(ssim=0.99, mse=20.0)
    wider = Reference(outputs=(ReferenceOutput(sample=OutputSample(), noise=seen, first_noise=less),), launches=8)
    found += [Quality(code="no-reference", reference=kept), Quality(code="same", reference=kept, **common)]
    found += [Quality(code="same", reference=wider, **common)]
    assert {one.code for one in found} == set(get_args(QualityCode))
    yield from (f"{one.code}: {quality_text.words(one)}" for one in found)
    yield f"changed (A/B): {quality_text.words(OTHER_PICTURE, paired=True)}"
    yield from (f"blank, {blank}: {quality_text.BLANK[blank]}" for blank in get_args(Blank))


def wait_lines() -> Iterator[str]:
    held = WaitReason(code="held", gpus=(0, 1), tag="ltx2", pid=42)
    process = Use(kind="process", processes=(GpuProcess(gpu_uuid=UUID, pid=77, name="python3", used_mb=1002),))
    outlived = WaitReason(code="outlived", gpus=(2,), tag="wan22", pid=42, child=43, owner=1001)
    reasons = [
        held,
        replace(held, tag=""),
        outlived,
        replace(outlived, child=None, reapable=True),
        WaitReason(code="busy", gpus=(3,), mark="as whoever found it says"),
        WaitReason(code="busy", gpus=(3,), uses=(process,)),
        WaitReason(code="in-use", gpus=(3,), uses=(process,)),
        WaitReason(code="locked", gpus=(3,)),
        WaitReason(code="queue", before=(Before(tag="wan22", count=2), Before(tag="", count=1, stalled=True))),
        WaitReason(code="promised"),
        WaitReason(code="launches", cases=("wan22", "ltx2")),
        WaitReason(code="launches"),
    ]
    assert {one.code for one in reasons} == set(get_args(WaitCode))
    yield from (f"{one.code}: {in_words_of_waits([one])}" for one in reasons)
    yield f"GPUs: {Wait(aim='gpus', count=2, reasons=(held, reasons[7]))}"
    yield f"free: {Wait(aim='free', reasons=(reasons[6], reasons[6]))}"
    yield from (f"{aim}: {Wait(aim=aim, reasons=(reasons[10],))}" for aim in get_args(Literal["alone", "shared"]))


def cluster_lines() -> Iterator[str]:
    for loss in get_args(LossCode):
        yield f"loss {loss}: {cluster_text.lost([Loss(code=loss, node='a')])}"
    yield f"loss connection: {cluster_text.lost([Loss(code='connection')])}"
    other = NodeTrouble(code="other-plugin", node="a", found="1.0", wanted="1.1")
    yield f"loss unusable (why): {cluster_text.lost([Loss(code='unusable', node='a', trouble=other)])}"
    for code in get_args(TroubleCode):
        trouble = NodeTrouble(code=code, node="a", found="0.1", wanted="0.2", error="as the node says it")
        yield f"trouble {code}: {cluster_text.message(ClusterError((trouble,)))}"
    yield f"no node: {cluster_text.message(ClusterError(()))}"
    yield f"no cluster: {cluster_text.message(ClusterError((), 'no Ray cluster at auto: as Ray says it'))}"
    gpu = Gpu(index=0, uuid=UUID, name="NVIDIA H200")
    nodes = [Node(id="1", name="a", gpus=(gpu, gpu)), Node(id="2", name="b", note="the driver does not answer")]
    yield f"header: {cluster_text.header('auto', nodes)}"
    yield f"header (no GPU): {cluster_text.header('auto', nodes[1:])}"


def lack_lines() -> Iterator[str]:
    engine = Lack(gap="engine-version", wanted=(">=0.5.11",), version="0.5.9")
    gpus = Lack(gap="gpus", wanted=("H100", "H20"), count=2, have=1, there=("NVIDIA H200", "NVIDIA L40S"), spec="all")
    lacks = [
        engine,
        replace(engine, base=True),
        replace(engine, wanted=("<0.5.11",), version="0.1.dev1", newest=True),
        gpus,
        replace(gpus, have=0),
        replace(gpus, have=0, place="this cluster"),
        replace(gpus, place="this cluster", spec=""),
        Lack(gap="gpus", refusal="as the pool says it"),
    ]
    yield from (f"{one.gap}: {lack_in_words(one)}" for one in lacks)


def accept_lines() -> Iterator[str]:
    one = Acceptance(
        case="wan22",
        metric="denoise",
        size=0.055,
        until="2027-01-31",
        because="the sampler needs two more passes",
        path="sgdiff-accept.txt",
        line=3,
    )
    for state in get_args(AcceptanceState):
        yield f"{state}: {accept_text.words(AcceptanceUse(acceptance=one, state=state))}"
    near = AcceptanceUse(acceptance=one, state="unknown-case", near="wan22_t2v")
    yield f"unknown-case (near): {accept_text.words(near)}"


def bisect_lines() -> Iterator[str]:
    figures = Pairs(ratio=1.052, low=1.041, high=1.063, allow=0.01, detect=0.03, pairs=5, checkpoints=2)
    slow = Judged(commit="3f2a" * 10, title="Add two passes", verdict="bad", evidence=(figures,))
    fast = replace(slow, verdict="good", evidence=(replace(figures, ratio=1.001, low=0.99, high=1.012, pairs=3),))
    for code in get_args(SkipCode):
        skipped = replace(slow, verdict="skip", skip=code, evidence=(), why="as whoever noticed says")
        yield f"skip {code}: {bisect_text.judged(skipped)}"
    tried = replace(slow, verdict="skip", skip="undecided", evidence=(figures, figures))
    yield f"skip undecided (pairs): {bisect_text.judged(tried)}"
    base = replace(slow, verdict="skip", skip="invalid", evidence=(), blame="base")
    yield f"skip invalid (base): {bisect_text.judged(base)}"
    yield f"bad: {bisect_text.judged(slow)}"
    yield f"good: {bisect_text.judged(fast)}"
    yield f"bad (pause): {bisect_text.judged(replace(slow, evidence=(Pairs(pairs=5),)))}"
    step = BisectStep(commit=slow.commit, title=slow.title, base="9c1b" * 10, base_title="Good", left=7)
    yield f"step: {bisect_text.step(step)}"
    yield f"step (last): {bisect_text.step(replace(step, left=0))}"
    yield f"step (judged): {bisect_text.step(replace(step, judged=slow))}"
    for code in get_args(BisectCode):
        end = Bisected(code=code, case="wan22", good="9c1b" * 10, bad="77aa" * 10, first=slow, suspects=(slow, slow))
        yield f"end {code}: {bisect_text.summary(end)[0]}"
    whole = Bisected(
        code="found",
        case="wan22",
        good="9c1b" * 10,
        bad="77aa" * 10,
        metric="denoise_core",
        first=slow,
        whole=replace(slow, commit="77aa" * 10),
        path=(fast, slow),
        parent=slow,
        partial=True,
        error=0.0204,
        parent_error=0.0002,
        folder=".sgdiff/bisect/wan22",
    )
    yield from (f"found, {line.strip()}" for line in bisect_text.summary(whole)[1:])
    alone = replace(whole, code="unconfirmed", parent=base, parent_error=None)
    yield f"end unconfirmed (no parent): {bisect_text.summary(alone)[0]}"
    yield from (f"unconfirmed (no parent), {line.strip()}" for line in bisect_text.summary(alone) if "sure" in line)


KINDS = {
    "bisect": bisect_lines,
    "accept": accept_lines,
    "difference": difference_lines,
    "disturbance": disturbance_lines,
    "failure": failure_lines,
    "flaw": flaw_lines,
    "inspect": inspect_lines,
    "cluster": cluster_lines,
    "lack": lack_lines,
    "next": next_lines,
    "merge": merge_lines,
    "noise": noise_lines,
    "problem": problem_lines,
    "quality": quality_lines,
    "reason": reason_lines,
    "wait": wait_lines,
    "warning": warning_lines,
    "attribution": attribution_lines,
    "profile": profile_lines,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_has_its_words(kind: str) -> None:
    check_golden(kind, KINDS[kind]())
