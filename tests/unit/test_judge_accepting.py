"""Accepted slowdowns: they are held to the rule like any other, and cover what they were accepted for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from pytest_sgdiff.data import (
    Acceptance,
    Baseline,
    Environment,
    LaunchRecord,
    Machine,
    Measurement,
    MetricChoice,
    Recorded,
    Verdict,
    Workload,
)
from pytest_sgdiff.judging.accepting import Accepted, accept
from pytest_sgdiff.judging.judge import judge, outcome_of
from pytest_sgdiff.judging.series import series_of
from tests.factories import JITTER

CHOICE = MetricChoice()


def launch(number: int, *, denoise: float = 1.0, encode: float = 1.0, memory: float = 1.0) -> LaunchRecord:
    """A request of about 2 s: half a second of text encoding, and steps."""
    jitter = JITTER[number % len(JITTER)]
    steps, encoding, decoding = 1400.0 * denoise * jitter, 500.0 * encode * jitter, 100.0 * jitter
    took = {
        "e2e": steps + encoding + decoding + 2.0,
        "denoise": steps + 1.0,
        "denoise_steps": steps,
        "denoise_gap": 1.0,
        "stage:TextEncodingStage": encoding,
        "stage:DenoisingStage": steps + 1.0,
        "stage:DecodingStage": decoding,
        "peak_memory": 3000.0 * memory,
    }
    return LaunchRecord(number=number, metrics=took, environment=Environment(gpu_uuids=("GPU-1",), sync_stages=True))


def measured(**factors: float) -> Measurement:
    launches = tuple(launch(number, **factors) for number in range(5))
    machine = Machine(kind="gpu", product="NVIDIA H200", count=1)
    return Measurement(case="wan", machine=machine, workload=Workload(digest="d"), launches=launches)


BASELINE = Baseline(measurement=measured(), recorded=Recorded(at="2026-11-23T17:18:01Z", command="pytest"))


def acceptances(sizes: Mapping[str, float]) -> list[Acceptance]:
    return [
        Acceptance(case="wan", metric=metric, size=size, until="2027-01-31", because="it", path="a.txt", line=line)
        for line, (metric, size) in enumerate(sizes.items(), 1)
    ]


def found(sizes: Mapping[str, float], choice: MetricChoice = CHOICE, **factors: float) -> Accepted:
    return told(measured(**factors), BASELINE, choice, sizes)


def told(now: Measurement, baseline: Baseline, choice: MetricChoice, sizes: Mapping[str, float]) -> Accepted:
    def by(accepted: Mapping[str, float]) -> tuple[Verdict, ...]:
        return judge(now, baseline, choice, looks=(1, 3, 5), accepted=accepted)

    return accept(by({}), acceptances(sizes), by)


def states(seen: Accepted) -> dict[str, str]:
    return {use.acceptance.metric: use.state for use in seen.uses}


def test_what_is_accepted_of_denoising_is_accepted_of_the_request_that_holds_it() -> None:
    seen = found({"denoise": 0.08}, denoise=1.06)
    assert (seen.whole, states(seen)) == (True, {"denoise": "used"})
    assert outcome_of(seen.verdicts)[0] == "regressed"
    covered = {v.metric for v in seen.verdicts if v.accepted is not None}
    assert {"denoise_steps", "e2e"} <= covered
    # What denoising takes longer, and no more.
    e2e = next(v for v in seen.verdicts if v.metric == "e2e")
    assert e2e.accepted == pytest.approx(0.012 + 0.06 * 1401 / 2002, abs=1e-3)


def test_a_slowdown_beyond_what_is_accepted_fails() -> None:
    seen = found({"denoise": 0.05}, denoise=1.15)
    assert (seen.whole, states(seen)) == (False, {"denoise": "exceeded"})
    assert [v.accepted for v in seen.verdicts if v.metric == "denoise_steps"] == [None]


def test_another_metric_is_not_covered() -> None:
    seen = found({"denoise": 0.08}, denoise=1.06, memory=1.2)
    assert (seen.whole, states(seen)) == (False, {"denoise": "used"})
    both = found({"denoise": 0.08, "peak_memory": 0.25}, denoise=1.06, memory=1.2)
    assert (both.whole, states(both)) == (True, {"denoise": "used", "peak_memory": "used"})
    # The request alone is not its denoising.
    assert not found({"e2e": 0.08}, denoise=1.06).whole


def test_what_another_part_takes_is_not_covered() -> None:
    """Text encoding takes 30 % longer, and is 7.5 % of the request: more than denoising was granted."""
    assert not found({"denoise": 0.02}, encode=1.3).whole
    seen = found({"stage:TextEncodingStage": 0.4}, encode=1.3)
    assert (seen.whole, states(seen)) == (True, {"stage:TextEncodingStage": "used"})
    assert found({"stages": 0.4}, encode=1.3).whole


def test_what_a_part_does_not_use_is_not_given_to_the_request() -> None:
    both = MetricChoice(gate=("denoise", "e2e"))
    seen = found({"denoise": 0.5}, both, encode=1.6)
    assert (seen.whole, states(seen)) == (False, {"denoise": "not-needed"})
    assert [v.accepted for v in seen.verdicts if v.metric == "e2e"] == [None]
    # What it uses does not cover the rest.
    assert not found({"denoise": 0.5}, both, denoise=1.06, encode=1.6).whole
    assert found({"denoise": 0.5}, both, denoise=1.06).whole


@pytest.mark.parametrize("part", ["denoise", "stage:DenoisingStage"])
def test_a_part_that_is_not_judged_gives_nothing_to_the_request(part: str) -> None:
    seen = found({part: 0.5}, MetricChoice(gate=("e2e",), primary="e2e"), denoise=1.06)
    assert (seen.whole, states(seen)) == (False, {part: "not-gated"})


def test_the_only_stage_of_denoising_stands_for_it() -> None:
    assert found({"denoise": 0.5}, MetricChoice(gate=("stage:DenoisingStage", "e2e")), denoise=1.2).whole


def test_what_is_not_needed_is_said() -> None:
    seen = found({"denoise": 0.05})
    assert (seen.whole, states(seen)) == (False, {"denoise": "not-needed"})
    beside = found({"denoise": 0.08, "peak_memory": 0.1}, denoise=1.06)
    assert (beside.whole, states(beside)) == (True, {"denoise": "used", "peak_memory": "not-needed"})


def test_what_the_case_does_not_gate_is_said() -> None:
    only = MetricChoice(gate=("denoise",))
    assert states(found({"peak_memory": 0.1}, only, denoise=1.06)) == {"peak_memory": "not-gated"}
    assert states(found({"stage:NoSuchStage": 0.1}, only, denoise=1.06)) == {"stage:NoSuchStage": "not-gated"}


def test_a_slowdown_that_cannot_be_told_from_a_larger_one_is_not_covered() -> None:
    """6 % slower with 5 % accepted, in launches that vary by several per cent."""
    noise = [0.97, 1.04, 0.98, 1.03, 1.0]

    def noisy(side: Measurement, factor: float) -> Measurement:
        launches = (
            replace(one, metrics={name: value * by * factor for name, value in one.metrics.items()})
            for one, by in zip(side.launches, noise, strict=True)
        )
        return replace(side, launches=tuple(launches))

    then = replace(BASELINE, measurement=noisy(measured(), 1.0))
    seen = told(noisy(measured(), 1.2), then, MetricChoice(gate=("denoise",)), {"denoise": 0.17})
    assert outcome_of(seen.verdicts)[0] == "regressed"
    assert (seen.whole, states(seen)) == (False, {"denoise": "undecided"})


@pytest.mark.parametrize(
    ("allow", "detect", "sizes", "metric", "wanted"),
    [
        # `detect` keeps its distance from what is accepted.
        (None, None, {"denoise": 0.05}, "denoise_steps", (0.05, 0.08)),
        ({"denoise": 0.02}, {"denoise": 0.03}, {"denoise": 0.05}, "denoise_steps", (0.05, 0.06)),
        # What the case allows anyway is not taken away.
        ({"denoise": 0.2}, None, {"denoise": 0.05}, "denoise_steps", (0.2, 0.23)),
        (0.2, None, {"denoise": 0.05}, "denoise_steps", (0.2, 0.23)),
        (None, None, {"denoise": 0.05}, "peak_memory", (0.01, 0.03)),
        (None, None, {"stage:DenoisingStage": 0.05}, "stage:TextEncodingStage", (0.12, 0.2)),
    ],
)
def test_margins(allow: object, detect: object, sizes: dict[str, float], metric: str, wanted: object) -> None:
    choice = MetricChoice(allow=allow, detect=detect)  # type: ignore[arg-type]
    found = series_of(measured(), BASELINE, choice, accepted=sizes)
    margins = next(one.margins for one in found if one.metric == metric)
    assert (margins.allow, margins.detect) == pytest.approx(wanted)


def test_a_request_that_the_case_bounds_itself_gets_what_is_accepted_of_its_parts_on_top() -> None:
    choice = MetricChoice(allow={"e2e": 0.03, "denoise": 0.5})
    plain = {one.metric: one.margins for one in series_of(measured(), BASELINE, choice)}["e2e"]
    wide = {"stage:TextEncodingStage": 0.53}
    slow = measured(encode=1.6)
    more = {one.metric: one.margins for one in series_of(slow, BASELINE, choice, accepted=wide)}["e2e"]
    assert (plain.allow, plain.allow_abs) == (0.03, 2.0)
    # Half a second of encoding may take half as long again: not the half of denoising that the case allows.
    assert more.allow_abs == pytest.approx(0.03 * 2002 + 0.5 * 500, rel=0.01)
    assert math.isclose(more.detect_abs - more.allow_abs, 0.03 * 2002, rel_tol=0.01)
