"""The words of every finding, in one golden file: a better sentence costs one edit there.

`UPDATE_GOLDEN=1 pytest tests/unit/test_finding_text.py` writes it again, for review.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import pytest

from pytest_sgdiff.baselines.flaws import Flaw
from pytest_sgdiff.data import (
    ComparisonCode,
    Doubt,
    Finding,
    FindingCode,
    MetricClass,
    NoisePrior,
    Relation,
    RelationCode,
    StepFinding,
    Verdict,
)
from pytest_sgdiff.engines.problems import problem
from pytest_sgdiff.reports import doubt_text, finding_text, flaw_text, noise_text, reason_text
from tests.golden import check_golden

KINDS: tuple[MetricClass, ...] = ("primary", "memory", "pause")


def example(code: FindingCode | ComparisonCode) -> Finding:
    """A finding of this code with every figure set, so that its sentence shows all it can."""
    return Finding(
        code=code,
        allow=0.015,
        detect=0.04,
        size=0.053,
        low=-0.004,
        high=0.072,
        floor=5,
        shortest=442.0,
        longest=553.0,
        count=3,
        of=5,
        paused=0,
        needed=10,
        usual=50.4,
        first=13,
        last=19,
        busy=0.62,
        clock=0.99,
        then=("after_forward.peak_allocated_mb",),
        now=("runtime_peak.peak_allocated_mb",),
    )


def lines() -> list[str]:
    found = []
    for code in (*get_args(FindingCode), *get_args(ComparisonCode)):
        words = {finding_text.words(example(code), kind): kind for kind in reversed(KINDS)}
        found += [f"{code} ({kind}): {text}" for text, kind in reversed(words.items())]
        paired = finding_text.words(example(code), "primary", paired=True)
        found += [f"{code} (A/B): {paired}"] if paired not in words else []
    one = example("pauses-unconfirmed")
    variants = {
        "one launch pauses": replace(one, count=1),
        "held up in other steps each time": replace(example("held-up-always"), first=None, last=None),
        "held up in one step": replace(example("held-up-always"), first=5, last=5, shortest=90, longest=90),
        "held up in the first launch": replace(example("held-up-unconfirmed"), of=1),
        "nobody watched the GPU": replace(example("host-decides"), busy=None, clock=None),
        "pauses in the baseline, too": replace(one, paused=2),
        "an unknown host": replace(example("ruled-out"), slack=0.02),
        "no slowdown at all": replace(example("ruled-out"), size=-0.01),
        "beyond any number": replace(example("interval-undecided"), high=None),
        "pairs in disorder": replace(example("out-of-order"), pairs=True),
        "a large baseline": replace(example("out-of-order"), needed=None),
        "one baseline launch": replace(example("small-baseline"), of=1),
        "values of the baseline": replace(example("bad-values"), baseline=True),
        "the pause of one launch": replace(example("pause-on-one-side"), count=1, of=1, baseline=True),
        "one launch beyond noise": replace(example("few-launches-beyond"), count=1),
        "pairs to confirm": replace(example("unconfirmed"), pairs=True),
    }
    found += [f"{name}: {finding_text.words(finding, 'primary')}" for name, finding in variants.items()]
    net = Verdict(
        metric="e2e", metric_class="primary", unit="ms", outcome="regressed", finding=example("beyond-allow"), net=True
    )
    found += [f"net of pauses: {finding_text.why(net)}"]
    relation = Relation(
        case="a", than="b", at_least=0.1, metric="e2e", outcome="pass", code="holds", launches=5, than_launches=3
    )
    found += [
        f"faster_than {code}: {reason_text.relation(replace(relation, code=code, missing='b'))}"
        for code in get_args(RelationCode)
    ]
    base = {"metric": "denoise_steps", "unit": "ms", "of": 5, "count": 2, "launch": 3, "low": 442.0, "high": 553.0}
    for code in ("two-modes", "outlier", "varies", "outliers", "pauses"):
        found.append(f"doubt {code}: {doubt_text.advice(Doubt(code=code, size=0.015, limit=0.012, needed=10, **base))}")
    held_up = Doubt(code="pauses", needed=10, **{**base, "metric": "denoise_excess"})
    found.append(f"doubt pauses in the steps: {doubt_text.advice(held_up)}")
    for stage in ("", "LTX2RefinementStage"):
        for code in ("first-steps", "tail-drift", "spike"):
            step = StepFinding(
                code=code, stage=stage, first=20, last=21, launches=5, now_ms=1120.4, then_ms=800.2, change=0.4
            )
            found.append(f"steps {code}: {doubt_text.step(step)}")
    found.append(f"steps spike (A/B): {doubt_text.step(step, paired=True)}")
    return found


def test_every_finding_has_its_words() -> None:
    check_golden("finding", lines())


ONE = re.compile(r"\b1 (?:\w+ )?(?:launches|pairs|samples|baselines|nights|GPUs|lines|runs|requests)\b")


@pytest.mark.parametrize("code", [*get_args(FindingCode), *get_args(ComparisonCode)])
def test_one_is_singular(code: FindingCode | ComparisonCode) -> None:
    for of in (1, 5):
        one = replace(example(code), count=1, of=of, paused=1)
        for kind in KINDS:
            for paired in (False, True):
                text = finding_text.words(one, kind, paired=paired)
                assert not ONE.search(text), text
                assert not re.search(r"\b1 of \d+ launch\w* pause\b", text), text


def test_one_is_singular_in_what_is_said_of_a_run() -> None:
    relation = Relation(
        case="a", than="b", at_least=0.1, metric="e2e", outcome="pass", code="holds", launches=5, than_launches=1
    )
    prior = NoisePrior(metric_class="primary", cv=0.01, fitted=True, weight=1.0, baselines=1, session_cv=0.0, nights=1)
    flaw = Flaw(level="warning", path="p", code="other-count", number=1, of=2)
    lines = [str(number) for number in range(9)]
    said = [
        reason_text.relation(relation),
        noise_text.words([prior]),
        flaw_text.line(flaw),
        *problem("invalid", "no-dump", lines).evidence,
    ]
    assert [text for text in said if ONE.search(text)] == []
    assert "… 1 more line …" in said
