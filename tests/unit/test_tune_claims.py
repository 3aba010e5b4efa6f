"""Which of the performance guide's claims a measurement confirms, contradicts or leaves open."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from pytest_sgdiff.cases.load import load_cases, read_cases
from pytest_sgdiff.data import Case
from pytest_sgdiff.data.tuning import Dropped, Space, Standing, Tried
from pytest_sgdiff.engines.flags.translate import table_flags
from pytest_sgdiff.tuning.claims import CLAIMS, Claim, ClaimResult, applying, held
from pytest_sgdiff.tuning.ratios import quickest_of, ratio
from pytest_sgdiff.tuning.search import Race
from pytest_sgdiff.tuning.settings import AXES, Ground, choices
from pytest_sgdiff.tuning.space import matrix_space, space

ROOT = pathlib.Path(__file__).parents[2]
FIRERED = read_cases(ROOT / "cases/firered.yaml", ROOT)
RESIDENT = "dit-layerwise-offload: false, dit-cpu-offload: false"


def case_of(args: str, *, model: str = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", gpus: int = 1) -> Case:
    return load_cases("c.yaml", f"cases:\n  one: {{model: {model}, gpus: {gpus}, args: {{{args}}}}}\n")[0]


def spaced(case: Case, **asked: object) -> Space:
    return space(case, gpus=case.gpus, engine=table_flags("0.5.17"), **asked)  # type: ignore[arg-type]


def standings(times: Mapping[str, float], *, spread: float = 0.01) -> list[Standing]:
    return [
        Standing(variant=name, launches=5, ms=ms, low=ms * (1 - spread), high=ms * (1 + spread))
        for name, ms in times.items()
    ]


def claim(name: str) -> Claim:
    return next(one for one in CLAIMS if one.name == name)


def result(name: str, found: tuple[ClaimResult, ...]) -> ClaimResult:
    return next(one for one in found if one.claim.name == name)


def compared(one: ClaimResult) -> list[tuple[str, str, str]]:
    return [(pair.this, pair.that, pair.code) for pair in one.pairs]


@pytest.mark.parametrize("model", ["1.0", "1.1"])
def test_the_guide_s_own_figures_of_firered_hold_as_relations(model: str):
    cases = [one for one in FIRERED if one.model.endswith(model)]
    made = claim(f"cfg-firered-{model}")
    assert made.figures_ms is not None
    cfg, ulysses = made.figures_ms
    found = matrix_space(cases, gpus=2, engine=table_flags("0.5.17"))
    as_measured = held(CLAIMS, standings({"cfg": cfg, "ulysses": ulysses}), found)
    assert compared(result(made.name, as_measured)) == [("cfg", "ulysses", "held")]
    swapped = held(CLAIMS, standings({"cfg": ulysses, "ulysses": cfg}), found)
    assert result(made.name, swapped).code == "less"
    noisy = held(CLAIMS, standings({"cfg": cfg, "ulysses": ulysses}, spread=0.2), found)
    assert result(made.name, noisy).code == "open"
    relation = cases[0].faster_than
    assert relation is not None
    assert 1 - made.most == pytest.approx(relation.at_least)
    assert cfg / ulysses < made.most


def test_the_claim_of_firered_is_found_in_the_space_of_the_case_too():
    found = spaced(FIRERED[0])
    one = result("cfg-firered-1.0", held(CLAIMS, standings({"as-written": 1000.0, "ulysses2": 1200.0}), found))
    assert compared(one) == [("as-written", "ulysses2", "held")]


def test_a_claim_with_conditions_is_about_those_variants_alone():
    times = {"as-written": 1000.0, "ulysses2": 1200.0, "eager": 1600.0, "ulysses2+eager": 1500.0}
    found = held(CLAIMS, standings(times), spaced(FIRERED[0]))
    assert result("cfg-firered-1.0", found).code == "held"
    assert result("cfg-against-ulysses", found).code == "mixed"


@pytest.mark.parametrize(
    ("compiled", "code"), [(1300.0, "held"), (1500.0, "less"), (2100.0, "less"), (900.0, "more"), (1390.0, "open")]
)
def test_a_range_is_held_missed_or_exceeded(compiled: float, code: str):
    case = case_of("enable-torch-compile: true")
    times = standings({"as-written": compiled * 1.2, "eager": 2000.0})
    assert result("compile", held(CLAIMS, times, spaced(case))).code == code


def test_variants_that_differ_in_more_are_no_pair():
    found = spaced(case_of("ulysses-degree: 2", gpus=2))
    times = standings({"compile": 1000.0, "cfg2": 900.0, "cfg2+compile+resident": 700.0})
    assert result("compile", held(CLAIMS, times, found)).code == "untried"


def test_pairs_are_found_whatever_the_settings_are_called():
    found = spaced(case_of(RESIDENT))
    one = result("layerwise-video", held(CLAIMS, standings({"as-written": 1000.0, "layerwise": 1010.0}), found))
    assert compared(one) == [("layerwise", "as-written", "held")]


def test_scaling_is_of_twice_the_gpus():
    found = spaced(case_of("ulysses-degree: 4", gpus=4))
    times = standings({"as-written": 560.0, "ulysses2": 1000.0, "cfg2": 900.0})
    assert compared(result("scaling", held(CLAIMS, times, found))) == [("as-written", "ulysses2", "held")]


def test_a_cache_is_compared_with_none():
    found = spaced(case_of(RESIDENT), allow_lossy="yes")
    times = standings({"as-written": 1000.0, "cache-dit": 600.0, "sage": 900.0, "compile+cache-dit": 500.0})
    assert compared(result("cache-dit", held(CLAIMS, times, found))) == [("cache-dit", "as-written", "held")]


def test_memory_is_compared_without_an_interval():
    found = spaced(case_of(RESIDENT))
    times = standings({"as-written": 1000.0, "layerwise": 1500.0})
    measured = [replace(one, memory_mib=mib) for one, mib in zip(times, (40000.0, 11000.0), strict=True)]
    one = result("layerwise-memory", held(CLAIMS, measured, found))
    assert (one.code, one.pairs[0].ratio.value) == ("held", pytest.approx(0.275))
    assert result("layerwise-memory", held(CLAIMS, times, found)).code == "untried"


def test_a_variant_without_a_time_shows_nothing():
    found = spaced(case_of(RESIDENT))
    failed = Standing(variant="layerwise", dropped=Dropped(code="failed"))
    assert result("layerwise-video", held(CLAIMS, [*standings({"as-written": 1.0}), failed], found)).code == "untried"


def test_claims_of_other_models_are_left_out():
    names = {one.name for one in applying(case_of("seed: 1"))}
    assert "layerwise-video" in names
    assert names.isdisjoint({"cfg-firered-1.0", "resident-image", "ulysses-against-ring"})
    of_stages = {"device-mode", "device-mode-memory"}
    assert names.isdisjoint(of_stages)
    assert of_stages <= {one.name for one in applying(case_of("seed: 1", model="Lightricks/LTX-2.3"))}


def test_a_claim_in_times_is_answered_in_times():
    for one in CLAIMS:
        assert (one.told_as == "as-fast") == ("times as fast" in one.says), one.name
        assert (one.told_as == "as-long") == ("times as long" in one.reading), one.name


def test_nothing_is_claimed_of_a_space_without_variants():
    assert held(CLAIMS, (), Space(variants=())) == ()


def test_the_narrower_of_two_intervals_counts():
    best = Standing(variant="a", ms=100.0, low=90.0, high=110.0, ratio=1.0)
    other = Standing(variant="b", ms=120.0, low=110.0, high=130.0, ratio=1.2, ratio_low=1.15, ratio_high=1.25)
    found = ratio(other, best, quickest="a")
    assert found is not None
    assert (found.value, found.low, found.high) == (1.2, 1.15, 1.25)
    back = ratio(best, other, quickest="a")
    assert back is not None
    assert (back.low, back.high) == pytest.approx((1 / 1.25, 1 / 1.15))
    alone = ratio(replace(other, ratio_low=None), best, quickest="a")
    assert alone is not None
    assert (alone.low, alone.high) == pytest.approx((1.0, 130 / 90))


def test_intervals_that_contradict_each_other_prove_nothing_but_what_both_cover():
    first = Standing(variant="a", ms=100.0, low=99.0, high=101.0, ratio=1.0)
    other = Standing(variant="b", ms=120.0, low=119.0, high=121.0, ratio=1.2, ratio_low=1.3, ratio_high=1.4)
    found = ratio(other, first, quickest="a")
    assert found is not None
    assert (found.low, found.high) == pytest.approx((119 / 101, 1.4))


@pytest.mark.parametrize("memory_mib", [None, 40000.0])
def test_claims_are_judged_against_the_quickest_variant_that_can_be_used(memory_mib: float | None):
    found = spaced(case_of("seed: 1"), axes=["offload"])
    times = {"resident": (1000.0, 60000.0), "layerwise": (1030.0, 20000.0), "as-written": (1300.0, 30000.0)}
    race = Race([one.name for one in found.variants], memory_mib=memory_mib)
    while named := race.next(1):
        for name in named:
            ms, memory = times.get(name, (1500.0, 20000.0))
            race.add(Tried(variant=name, ms=ms, memory_mib=memory))
    results = held(CLAIMS, race.tuned().standings, found)
    assert result("layerwise-video", results).code != "more"
    assert (
        result("layerwise-video", results).pairs[0].ratio.low
        < 1.03
        < result("layerwise-video", results).pairs[0].ratio.high
    )
    pairs = [pair for one in results for pair in one.pairs]
    assert pairs
    assert all(pair.ratio.low <= pair.ratio.value <= pair.ratio.high for pair in pairs)


def test_a_quicker_variant_that_cannot_be_used_is_in_no_ratio():
    unusable = Standing(variant="a", ms=90.0, dropped=Dropped(code="memory"))
    dropped = Standing(variant="b", ms=95.0, group=2, dropped=Dropped(code="slower"))
    first = Standing(variant="c", ms=100.0, group=1)
    assert quickest_of([first, dropped, unusable]) == "c"
    assert quickest_of([dropped, unusable]) == "b"
    assert quickest_of([unusable]) == ""


def test_every_claim_is_about_settings_that_there_are_and_says_where_it_is_made():
    ground = Ground(
        case=case_of("pipeline-class-name: LTX2TwoStagePipeline", model="Lightricks/LTX-2.3"),
        gpus=4,
        transformers=("a/b",),
    )
    there = {axis: [one.setting.name for one in choices(axis, ground)] for axis in AXES}
    there["topology"] += [one.setting.name for one in choices("topology", replace(ground, gpus=2))]
    for one in CLAIMS:
        for pattern in filter(None, (one.this, one.that)):
            assert any(re.fullmatch(pattern, name) for name in there[one.axis]), (one.name, pattern)
        assert one.says
        assert one.source
        assert one.least is None or one.least < one.most
    assert len({one.name for one in CLAIMS}) == len(CLAIMS)
