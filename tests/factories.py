"""Builders of realistic results, runs and baselines. The figures follow real launches: Wan2.2 T2V on four GPUs.

Everything is deterministic; a test overrides what it is about and takes the rest as given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from pytest_sgdiff.data import (
    Advice,
    Baseline,
    CaseResult,
    Disturbance,
    Environment,
    Finding,
    FindingCode,
    GpuEvent,
    GpuProcess,
    GpuSeries,
    HistoryPoint,
    LaunchRecord,
    Location,
    Machine,
    Measurement,
    NextStep,
    Problem,
    Reason,
    Recorded,
    Relation,
    RequestRecord,
    Run,
    Verdict,
    Warned,
    Watch,
    Workload,
)

H100X4 = Machine(kind="gpu", product="NVIDIA H100 80GB HBM3", count=4)
WORKLOAD = Workload(digest="a739cfb13035bb4a", fields={"args.width": 1280, "args.height": 720, "args.seed": 42})
# What a launch of Wan reaches after `loading`, as the real engine's log tells it.
WAN_STAGES = (
    "warmup",
    "InputValidationStage",
    "TextEncodingStage",
    "LatentPreparationStage",
    "TimestepPreparationStage",
    "DenoisingStage",
    "DecodingStage",
    "shutting down",
)
RECORDED = Recorded(
    at="2026-11-02T02:10:44Z",
    command="pytest --sgdiff-gpus=4 --sgdiff-update -m nightly",
    commit="5c1d2e7",
    sessions=("2026-11-23T02-00-11",),
)
WAN_METRICS: Mapping[str, float] = {
    "e2e": 83300.0,
    "denoise": 81750.0,
    "denoise_steps": 81180.0,
    "pause": 12.0,
    "stage:TextEncodingStage": 314.1,
    "stage:DecodingStage": 785.0,
    "peak_memory": 22036.5,
}
# Launch-to-launch factors with a CV of 0.4 %, as the synchronised launches of a real H200 show.
JITTER = (1.000, 0.996, 1.005, 0.998, 1.003, 1.001, 0.994, 1.006, 0.999, 1.002)
# Variables for a pytest process with this plugin and xdist alone: the others of a development environment take twice as
# long to load. tests/bare and tests/plugin/test_interop.py try what an installed entry point loads.
NO_OTHER_PLUGINS: Mapping[str, str] = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "pytest_sgdiff.plugin,xdist.plugin",
}


def figures(finding: Any) -> dict[str, Any]:
    """What a finding says, or any other value with a code: the fields that are set, numbers to three decimals."""
    set_ = {
        f.name: getattr(finding, f.name)
        for f in fields(finding)
        if getattr(finding, f.name) != f.default or f.name == "code"
    }
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in set_.items()}


def location(path: str = "cases/wan22.yaml", line: int = 12) -> Location:
    return Location(path=path, line=line, column=3)


def gpu_series(uuid: str = "GPU-5d1e8f00-0000-0000-0000-000000000000", *, reasons: int = 0x4) -> GpuSeries:
    """Ten samples of a launch: idle, loading, then at the power cap."""
    busy = (False, False, True, True, True, True, True, True, True, False)
    return GpuSeries(
        gpu_uuid=uuid,
        at_s=tuple(float(10 * i) for i in range(10)),
        sm_mhz=tuple(1965 if b else 1980 for b in busy),
        mem_mhz=(2619,) * 10,
        power_w=tuple(688.0 if b else 124.0 for b in busy),
        temperature_c=tuple(61 if b else 39 for b in busy),
        util_pct=tuple(100 if b else 0 for b in busy),
        memory_mb=tuple(22100 if b else 645 for b in busy),
        reasons=tuple(reasons if b else 0x1 for b in busy),
    )


def record(number: int = 0, *, scale: float = 1.0, **changes: Any) -> LaunchRecord:
    """A launch of the Wan case; `scale` slows denoising, and with it e2e."""
    factor = scale * JITTER[number % len(JITTER)]
    # A pause is derived from launches when they are judged, and none of their own metrics.
    metrics = {name: value for name, value in WAN_METRICS.items() if name != "pause"}
    for name in ("denoise", "denoise_steps"):
        metrics[name] = WAN_METRICS[name] * factor
    metrics["e2e"] = WAN_METRICS["e2e"] + metrics["denoise"] - WAN_METRICS["denoise"]
    fields: dict[str, Any] = {
        "number": number,
        "metrics": metrics,
        "steps_ms": tuple(
            WAN_METRICS["denoise_steps"] / 40 * factor * (1.02 if step < 2 else 1.0) for step in range(40)
        ),
        "started_at": f"2026-11-23T02:{10 + 2 * number:02d}:00Z",
        "wall_s": 171.0 + number,
        "session": "2026-11-23T02-00-11",
        "environment": Environment(
            gpu_uuids=("GPU-5d1e8f00-0000-0000-0000-000000000000",),
            driver="580.82.07",
            cuda="13.0",
            power_limit_w=700.0,
            sm_clock_max_mhz=1980,
            engine_version="0.5.17",
            torch_version="2.11.0",
            plugin_version="0.1.0",
            sync_stages=True,
        ),
        "watch": Watch(gpus=(gpu_series(),), alone=number > 0),
        "warmup": "proven",
        "pipeline": "WanPipeline",
        "generation": "B",
        "alone": number > 0,
        "folder": f".sgdiff/2026-11-23T02-00-11/wan22_t2v_a14b_720p/{number:02d}",
    }
    return LaunchRecord(**{**fields, **changes})


_CODES: Mapping[str, FindingCode] = {
    "pass": "ruled-out",
    "improved": "faster",
    "regressed": "beyond-allow",
    "inconclusive": "undecided",
    "no-baseline": "no-baseline",
}


def verdict(metric: str = "denoise", *, outcome: str = "pass", **changes: Any) -> Verdict:
    """A verdict on a metric of the Wan case; without `now` nothing changed."""
    base = WAN_METRICS.get(metric, 100.0)
    classes = {
        "peak_memory": "memory",
        "pause": "pause",
        "denoise": "primary",
        "denoise_steps": "primary",
        "e2e": "primary",
    }
    fields: dict[str, Any] = {
        "metric": metric,
        "metric_class": classes.get(metric, "stage"),
        "unit": "MiB" if metric == "peak_memory" else "ms",
        "outcome": outcome,
        "finding": Finding(code=_CODES[outcome], allow=changes.get("allow"), size=changes.get("excluded")),
        "baseline": base,
        "now": base,
        "estimator": "median" if metric == "pause" else "mean",
        "primary": metric == "denoise",
        **changes,
    }
    if "ratio" not in changes and fields["baseline"] and fields["now"] is not None:
        fields["ratio"] = fields["now"] / fields["baseline"]
    return Verdict(**fields)


def result(case: str = "wan22_t2v_a14b_720p", *, outcome: str = "pass", **changes: Any) -> CaseResult:
    """A case that passed at the first look, unless changed."""
    place = changes.pop("location", location())
    fields: dict[str, Any] = {
        "case": case,
        "node_id": f"{place.path}::{case}",
        "location": place,
        "outcome": outcome,
        "reason": Reason(),
        "decided_by": ("denoise",),
        "summary": "Wan2.2 text to video, 720p",
        "machine": H100X4,
        "gpu_indices": (0, 1, 2, 3),
        "workload": WORKLOAD,
        "launches": (record(0),),
        "verdicts": (
            verdict(
                "denoise", now=81505.0, spread=0.004, low=0.988, high=1.006, detect=0.042, allow=0.012, excluded=0.019
            ),
            verdict("peak_memory", detect=0.03, allow=0.01),
        ),
        "baseline_path": "baselines/nvidia-h100-80gb-hbm3-x4/wan22_t2v_a14b_720p.json",
        "baseline_recorded": RECORDED,
        "baseline_engine": "0.5.16",
        "baseline_launches": 10,
        "baseline_records": tuple(record(i, watch=None, folder=None, session=RECORDED.sessions[0]) for i in range(10)),
        "command": "CUDA_VISIBLE_DEVICES=0,1,2,3 sglang generate --model-path Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        "folder": ".sgdiff/2026-11-23T02-00-11/wan22_t2v_a14b_720p/",
        "elapsed_s": 171.0,
        "measured": True,
    }
    return CaseResult(**{**fields, **changes})


def served(number: int = 0, *, loads: Mapping[str, int] | None = None, **changes: Any) -> LaunchRecord:
    """A server's life: one request of warmup and three that are measured, then as many of each load as are asked for,
    sent every half a second."""
    sent = [
        RequestRecord(
            number=n,
            warmup=n == 0,
            sent_s=30.0 + n,
            status=200,
            metrics={"denoise": 900.0 + n, "e2e": 950.0 + n, "client_e2e": 1000.0 + n, "queue": 50.0},
        )
        for n in range(4)
    ]
    for load, count in (loads or {}).items():
        for at in range(count):
            due = 40.0 + at / 2
            values = {"client_e2e": 1500.0 + 7 * (at % 50), "queue": 500.0}
            one = RequestRecord(
                number=len(sent), load=load, sent_s=due, intended_s=due, server_ms=1000.0, status=200, metrics=values
            )
            sent.append(one)
    return record(number, **{"requests": tuple(sent), **changes})


def regressed(**changes: Any) -> CaseResult:
    """Really 5.3 % slower in denoising, seen in five launches; text encoding, decoding and memory as before."""
    primary = {"spread": 0.004, "detect": 0.042, "allow": 0.012}
    fields: dict[str, Any] = {
        "outcome": "regressed",
        "decided_by": ("denoise", "e2e"),
        "launches": tuple(record(i, scale=1.053, alone=i in {3, 4}) for i in range(5)),
        "elapsed_s": 865.0,
        "verdicts": (
            verdict("e2e", outcome="regressed", now=87710.0, low=1.045, high=1.061, **primary),
            verdict("stage:TextEncodingStage", now=316.0, low=0.979, high=1.033, detect=0.2, allow=0.12, excluded=0.06),
            verdict("denoise", outcome="regressed", now=86080.0, low=1.046, high=1.06, **primary),
            verdict("stage:DecodingStage", now=783.0, low=0.981, high=1.014, detect=0.2, allow=0.12, excluded=0.06),
            verdict("peak_memory", detect=0.03, allow=0.01),
        ),
    }
    return result(**{**fields, **changes})


def fallback(**changes: Any) -> CaseResult:
    """The engine fell back to the diffusers backend: nothing was measured."""
    fields: dict[str, Any] = {
        "case": "firered_1_1[cfg]",
        "location": location("cases/firered.yaml", 31),
        "outcome": "invalid",
        "reason": Reason(code="problem"),
        "next_step": stated("register a native pipeline for the model, or declare `backend: diffusers` in the case"),
        "gpu_indices": (2, 3),
        "launches": (record(0, metrics={}, steps_ms=()), record(1, metrics={}, steps_ms=())),
        "verdicts": (),
        "problems": (
            Problem(
                kind="invalid",
                message="ran on the diffusers backend",
                evidence=(
                    "[11-23 16:52:01] \x1b[33mFalling back to diffusers backend\x1b[0m",
                    "Loaded diffusers pipeline",
                ),
            ),
        ),
        "measured": False,
    }
    return result(**{**fields, **changes})


def without_baseline(**changes: Any) -> CaseResult:
    """Measured, but nothing to compare with."""
    fields: dict[str, Any] = {
        "case": "ltx2_twostage_t2v",
        "location": location("cases/ltx2.yaml", 7),
        "outcome": "no-baseline",
        "reason": Reason(code="no-baseline", machine="nvidia-h100-80gb-hbm3-x2"),
        "machine": Machine(kind="gpu", product="NVIDIA H100 80GB HBM3", count=2),
        "gpu_indices": (0, 1),
        "verdicts": (verdict("denoise", outcome="no-baseline", baseline=None, ratio=None),),
        "baseline_path": None,
        "baseline_recorded": None,
        "baseline_engine": None,
        "baseline_launches": 0,
        "baseline_records": (),
    }
    return result(**{**fields, **changes})


def undecided(**changes: Any) -> CaseResult:
    """Five launches under a foreign process's load: slower or not cannot be told."""
    noisy = record(2, scale=1.04, disturbances=(disturbed("a foreign process ran on GPU 0: python (pid 4711)"),))
    found = Finding(code="interval-undecided", low=-0.007, high=0.048, allow=0.012, detect=0.042)
    fields: dict[str, Any] = {
        "case": "hunyuan3d_2_shape",
        "location": location("cases/hunyuan3d.yaml", 5),
        "outcome": "inconclusive",
        "next_step": stated("run it again on a quiet machine; 10 launches of this noise would settle 4 %"),
        "machine": Machine(kind="gpu", product="NVIDIA H100 80GB HBM3", count=1),
        "gpu_indices": (0,),
        "launches": (record(0), record(1, scale=1.03), noisy, record(3, scale=1.05), record(4), record(5)),
        "verdicts": (
            verdict(
                "denoise",
                outcome="inconclusive",
                finding=found,
                now=83400.0,
                spread=0.021,
                low=0.993,
                high=1.048,
                allow=0.012,
                detect=0.042,
            ),
            verdict(
                "pause",
                baseline=12.0,
                now=462.0,
                ratio=None,
                outcome="inconclusive",
                deciding=False,
                finding=Finding(code="no-values"),
            ),
        ),
    }
    return result(**{**fields, **changes})


def relation(**changes: Any) -> Relation:
    """A claim of one case being faster than another, which does not hold."""
    fields: dict[str, Any] = {
        "case": "wan22_t2v_a14b_720p",
        "than": "wan22_i2v_a14b_720p",
        "at_least": 0.1,
        "metric": "denoise_steps",
        "outcome": "regressed",
        "code": "fails",
        "launches": 5,
        "than_launches": 5,
        "ratio": 0.979,
        "low": 0.97,
        "high": 0.99,
    }
    return Relation(**{**fields, **changes})


def foreign_process() -> GpuProcess:
    return GpuProcess(gpu_uuid="GPU-5d1e8f00-0000-0000-0000-000000000000", pid=4711, name="python", used_mb=8123)


def foreign(pid: int = 4711, name: str = "python") -> Disturbance:
    """A foreign process on the first GPU."""
    seen = replace(foreign_process(), pid=pid, name=name)
    return Disturbance(code="foreign-process", gpu_uuid=seen.gpu_uuid, processes=(seen,))


def disturbed(text: str) -> Disturbance:
    """A disturbance in the test's own words."""
    return Disturbance(code="other-event", event=GpuEvent(kind="other", text=text))


def stated(text: str) -> NextStep:
    """What to do next, in the test's own words."""
    return NextStep(code="stated", fix=text)


def warned(text: str) -> Warned:
    """A warning in the test's own words: `no seed [slug]`."""
    return Warned(code="advice", advice=Advice(level="warning", slug="slug", message=text, location=location()))


def history(points: int = 12, *, metric: str = "denoise", last: float = 1.0) -> Mapping[str, tuple[HistoryPoint, ...]]:
    """One metric over as many nights; the newest is `last` times the usual."""
    return {
        metric: tuple(
            HistoryPoint(
                at=f"2026-11-{day + 1:02d}T02:40:00Z",
                value=WAN_METRICS[metric] * JITTER[day % 10] * (last if day == points - 1 else 1.0),
                engine_version="0.5.16" if day < points // 2 else "0.5.17",
            )
            for day in range(points)
        )
    }


def run(*results: CaseResult, **changes: Any) -> Run:
    """A nightly run of the given cases; without any, one of every outcome that people meet."""
    shown = results or (result("wan22_i2v_a14b_720p"), regressed(), fallback(), without_baseline(), undecided())
    fields: dict[str, Any] = {
        "started_at": "2026-11-23T02:00:11Z",
        "elapsed_s": 4325.0,
        "command": "pytest --sgdiff-gpus=4 -m nightly",
        "plugin_version": "0.1.0",
        "header": ("sgdiff: 4 x NVIDIA H100 80GB HBM3 (driver 580.82), sglang 0.5.17, 5 cases selected",),
        "selected": len(shown),
        "results": shown,
        "gpu_busy": 0.96,
        "history": {"wan22_t2v_a14b_720p": history(last=1.053)},
    }
    return Run(**{**fields, **changes})


def baseline(case: str = "wan22_t2v_a14b_720p", *, launches: int = 5, **changes: Any) -> Baseline:
    """The recorded baseline of the Wan case."""
    fields: dict[str, Any] = {
        "measurement": Measurement(
            case=case, machine=H100X4, workload=WORKLOAD, launches=tuple(record(i) for i in range(launches))
        ),
        "recorded": RECORDED,
        "engine_version": "0.5.16",
    }
    return Baseline(**{**fields, **changes})
