"""Laws of a judged case: pauses neither hide nor fake, and the order of launches does not matter."""

from __future__ import annotations

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_sgdiff.data import (
    Baseline,
    Environment,
    LaunchRecord,
    Machine,
    Measurement,
    MetricChoice,
    Recorded,
    Workload,
)
from pytest_sgdiff.judging.judge import judge, outcome_of, settled
from tests.examples import examples

QUICK = examples(60, derandomize=True)
MACHINE = Machine(kind="gpu", product="NVIDIA H200", count=1)
STEPS, TEXT, DECODE, OVERHEAD = 1024.0, 51.0, 35.0, 10.0


def launch(noise: float = 0.0, slowdown: float = 0.0, pause: float = 0.0) -> dict[str, float]:
    """A synchronised launch shaped like the recorded ones, in ms; `pause` lies before the first step."""
    steps = STEPS * math.exp(0.005 * noise) * (1 + slowdown)
    denoise = steps + OVERHEAD / 2 + pause
    return {
        "e2e": TEXT + denoise + DECODE + OVERHEAD / 2,
        "denoise": denoise,
        "denoise_steps": steps,
        "denoise_gap": denoise - steps,
        "stage:TextEncodingStage": TEXT,
        "stage:DenoisingStage": denoise,
        "stage:DecodingStage": DECODE,
    }


def measurement(rows):
    environment = Environment(gpu_uuids=("GPU-1",))
    launches = tuple(LaunchRecord(number=i, metrics=row, environment=environment) for i, row in enumerate(rows))
    return Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)


def verdicts(then, now):
    baseline = Baseline(measurement=measurement(then), recorded=Recorded(at="2026-11-23", command="pytest"))
    return judge(measurement(now), baseline, MetricChoice(), looks=(5,))


NOISE = st.lists(st.floats(-1.5, 1.5), min_size=5, max_size=5)
PAUSES = st.lists(st.sampled_from([0.0, 0.0, 442.0, 470.0, 553.0, 3000.0]), min_size=5, max_size=5)
SLOWDOWN = st.sampled_from([-0.1, 0.0, 0.0, 0.02, 0.05, 0.08, 0.3])


@QUICK
@given(NOISE, NOISE, PAUSES, PAUSES, SLOWDOWN)
def test_pauses_neither_hide_nor_fake_a_slowdown(then, now, pauses_then, pauses_now, slowdown):
    """With pauses in any launches of either side but not in all of both, the verdicts on steps and e2e stay."""
    assume(0.0 in pauses_then + pauses_now)
    still = verdicts([launch(n) for n in then], [launch(n, slowdown) for n in now])
    pausing = verdicts(
        [launch(n, pause=p) for n, p in zip(then, pauses_then, strict=True)],
        [launch(n, slowdown, p) for n, p in zip(now, pauses_now, strict=True)],
    )
    for one, other in zip(still, pausing, strict=True):
        if one.metric != "pause":
            assert (one.metric, one.outcome, one.suspect) == (other.metric, other.outcome, other.suspect)
    if 0.0 in pauses_now:
        found, expected = outcome_of(pausing)[0], outcome_of(still)[0]
        # Launches that mostly stand still for longer than the request takes are no answer, whatever the others say.
        standing = pauses_now.count(3000.0) > 2 >= pauses_then.count(3000.0)
        assert found == ("inconclusive" if standing and expected != "regressed" else expected)


@QUICK
@given(NOISE, NOISE, PAUSES, SLOWDOWN, st.randoms(use_true_random=False))
def test_the_order_of_launches_does_not_matter(then, now, pauses, slowdown, random):
    rows = [launch(n, slowdown, p) for n, p in zip(now, pauses, strict=True)]
    mixed = random.sample(rows, len(rows))
    base = [launch(n) for n in then]
    one, two = verdicts(base, rows), verdicts(base, mixed)
    assert [(v.metric, v.outcome) for v in one] == [(v.metric, v.outcome) for v in two]
    assert settled(one) == settled(two)


@QUICK
@given(
    NOISE,
    st.integers(0, 4),
    st.sampled_from(["denoise", "e2e"]),
    st.sampled_from([math.nan, math.inf, 0.0, -5.0, None]),
)
def test_a_launch_without_its_primary_figures_never_passes(noise, index, metric, bad):
    rows = [launch(n) for n in noise]
    base = [launch(n) for n in noise]
    if bad is None:
        del rows[index][metric]
    else:
        rows[index][metric] = bad
    assert outcome_of(verdicts(base, rows))[0] == "inconclusive"
