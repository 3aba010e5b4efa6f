"""The result of a search, in every form: tests/unit/golden/tune_*.txt have the words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from pytest_sgdiff.data import (
    Advice,
    Case,
    DropCode,
    Dropped,
    EngineInfo,
    Location,
    OtherRequest,
    Problem,
    PruneCode,
    Pruned,
    Quality,
    QualityCode,
    RequestPart,
    Setting,
    Similarity,
    Space,
    Standing,
    Tried,
    TuneCode,
    Tuned,
    TuneLaunch,
    TuneStep,
    TuneTrouble,
    TuneTroubleCode,
    Variant,
)
from pytest_sgdiff.data.failures import NoRoom, OutOfMemory
from pytest_sgdiff.data.pictures import OTHER_PICTURE
from pytest_sgdiff.reports import (
    tune_claims_text,
    tune_json,
    tune_markdown,
    tune_names,
    tune_ranking_text,
    tune_space_text,
    tune_step_text,
    tune_text,
)
from pytest_sgdiff.reports.html import tune_page
from pytest_sgdiff.tuning.bench import Bench, Plan
from pytest_sgdiff.tuning.claims import CLAIMS, ClaimCode, ClaimResult, Compared
from pytest_sgdiff.tuning.outcome import best, best_lossless, described, quicker_request
from pytest_sgdiff.tuning.ratios import Ratio
from pytest_sgdiff.tuning.report import TunedVariant, TuneReport
from tests import factories
from tests.golden import check_golden

CASE = Case(
    name="firered",
    location=factories.location(),
    model="FireRedTeam/FireRed-Image-Edit-1.0",
    gpus=2,
    args={"prompt": "a cat", "tp-size": 2},
)
CFG = Setting(axis="topology", name="cfg2", args={"enable-cfg-parallel": True, "tp-size": None})
COMPILE = Setting(
    axis="compile", name="compile", args={"enable-torch-compile": True}, source="the guide: 1.2 to 1.5 times as fast"
)
SAGE = Setting(axis="attention", name="sage", args={"attention-backend": "sage_attn"}, lossy=True)
CACHE = Setting(axis="cache", name="cache-dit", env={"SGLANG_CACHE_DIT_ENABLED": "true"}, lossy=True)
OOM = Problem(
    kind="invalid", code="failure-in-log", cause="memory", number=0, failure=OutOfMemory(where="GPU", tried="2.50 GiB")
)
FULL = Problem(kind="invalid", code="failure-in-log", cause="disk", number=0, failure=NoRoom(path="/tmp/x"))
OTHER = Quality(
    code="changed",
    similarity=Similarity(ssim=0.147, mse=11000.0, difference=84.41),
    measure="psnr",
    found=7.7,
    limit=42.0,
)
LIKE = Similarity(ssim=0.981, mse=51.0, block_mse=300.0, difference=3.2)


def variant(*settings: Setting, gpus: int = 2) -> Variant:
    args: dict[str, Any] = dict(CASE.args)
    env: dict[str, str] = {}
    for one in settings:
        for name, value in one.args.items():
            args = {key: kept for key, kept in args.items() if key != name} | ({} if value is None else {name: value})
        env |= {name: text for name, text in one.env.items() if text is not None}
    name = "+".join(one.name for one in settings) or "as-written"
    case = replace(CASE, variant=name, args=args, env=env, gpus=gpus)
    return Variant(name=name, case=case, settings=settings)


def standing(name: str, ms: float | None = None, launches: int = 3, **more: Any) -> Standing:
    if ms is None:
        return Standing(variant=name, **more)
    ratio = ms / 8000.0
    figures = {
        "low": 0.98 * ms,
        "high": 1.02 * ms,
        "ratio": ratio,
        "ratio_low": 0.97 * ratio,
        "ratio_high": 1.03 * ratio,
    }
    if ratio <= 1:
        figures |= {"ratio_low": 1.0, "ratio_high": 1.01}
    return Standing(variant=name, ms=ms, launches=launches, **{**figures, **more})


def report(code: TuneCode = "decided", **changes: Any) -> TuneReport:
    variants = (
        TunedVariant(variant=variant(), e2e_ms=14100.0, command="sglang generate --tp-size 2"),
        TunedVariant(variant=variant(CFG), e2e_ms=11600.0, quality=Quality(code="same", similarity=LIKE)),
        TunedVariant(
            variant=variant(CFG, COMPILE),
            e2e_ms=8700.0,
            quality=Quality(code="same", similarity=Similarity(ssim=1.0, mse=0.0, difference=0.0)),
            command="sglang generate --enable-cfg-parallel --enable-torch-compile",
        ),
        TunedVariant(
            variant=variant(CFG, SAGE, gpus=4),
            e2e_ms=9100.0,
            quality=Quality(code="lossy", similarity=LIKE, launches=3),
            command="sglang generate --attention-backend sage_attn",
        ),
        TunedVariant(variant=variant(CACHE), e2e_ms=9200.0, quality=Quality(code="no-samples")),
        TunedVariant(variant=variant(SAGE)),
    )
    standings = (
        standing("cfg2+compile", 8000.0, 5, group=1, memory_mib=39000.0),
        standing("cfg2+sage", 8050.0, 5, group=1, memory_mib=36000.0, ratio_low=1.0, ratio_high=1.015),
        standing("cfg2", 10955.9, 3, group=2, memory_mib=38000.0, dropped=Dropped(code="slower", by="cfg2+compile")),
        standing("as-written", 13419.15, 2, group=3, memory_mib=24000.0, dropped=Dropped(code="slower")),
        standing("cache-dit", 7000.0, 1, memory_mib=47000.0, dropped=Dropped(code="memory")),
        standing("sage", dropped=Dropped(code="failed", problem=OOM)),
    )
    tuned = Tuned(
        code=code, standings=standings, confidence=0.95, within=0.02, memory_mib=40960.0, launches=16, gpu_s=5400.0
    )
    firered = next(one for one in CLAIMS if one.name == "cfg-firered-1.0")
    pair = Compared(this="cfg2", that="as-written", code="held", ratio=Ratio(value=0.816, low=0.79, high=0.85))
    fields: dict[str, Any] = {
        "case": CASE.id,
        "base": CASE,
        "metric": "denoise",
        "engine_version": "0.5.23",
        "machine": "NVIDIA H200 x 4",
        "tuned": tuned,
        "variants": variants,
        "written": "as-written",
        "pruned": (
            Pruned(name="eager", settings=(), code="same", same="as-written"),
            Pruned(name="ring2", settings=(), code="gpus"),
            Pruned(
                name="fsdp",
                settings=(),
                code="advice",
                advice=(
                    Advice(
                        level="error", slug="fsdp", message="it cannot", location=Location(path="x", line=1, column=1)
                    ),
                ),
            ),
        ),
        "front": ("cfg2+compile", "cfg2+sage", "as-written"),
        "lossless_front": ("cfg2+compile", "cfg2", "as-written"),
        "best": "cfg2+compile",
        "best_lossless": "cfg2+compile",
        "claims": (
            ClaimResult(claim=firered, code="held", pairs=(pair,)),
            ClaimResult(claim=CLAIMS[3], code="untried"),
        ),
        "budget_s": 7200.0,
        "took_s": 4321.0,
        "folder": ".sgdiff/tune/firered",
        "file": "cases/mine.yaml",
    }
    return TuneReport(**{**fields, **changes})


def usable(tuned: Tuned) -> Tuned:
    """Without the variants that cannot be used."""
    return replace(tuned, standings=tuple(one for one in tuned.standings if one.usable))


def ends() -> list[TuneReport]:
    lossy = report(best="cfg2+sage", best_lossless="cfg2+compile")
    nothing = replace(report("nothing", best=None, front=(), claims=(), file="").tuned, standings=())
    return [
        report(),
        report("equal"),
        report("budget"),
        report("launches"),
        lossy,
        report(tuned=nothing, best=None, best_lossless=None, front=(), claims=(), file="", budget_s=None),
    ]


def test_the_terminal() -> None:
    blocks = ["\n".join(tune_text.summary(report(), verbose=True))]
    blocks += ["\n".join(tune_text.summary(one)) for one in ends()[-2:]]
    check_golden("tune", ["\n\n----\n\n".join(blocks)])


def test_what_must_be_known_is_said() -> None:
    found = report("budget")
    waiting = replace(found.tuned, standings=(*found.tuned.standings, *(standing(f"late{n}") for n in range(5))))
    unknown = replace(found.tuned, standings=(standing("cfg2", 8000.0, group=1), *found.tuned.standings[3:]))
    check_golden(
        "tune_notes",
        [
            *tune_text.notes(replace(found, tuned=waiting)),
            *tune_text.notes(replace(found, tuned=unknown, best="cfg2")),
            *tune_text.notes(replace(found, best="cache-dit")),
            *tune_space_text.left_out(found, verbose=False),
            *tune_text.notes(
                replace(
                    found,
                    other_requests=(OtherRequest(variant="cfg2+sage", parts=get_args(RequestPart)),),
                    odd_launches=(replace(OTHER, code="odd-launch", launch=2),),
                    variants=tuple(
                        replace(one, quality=Quality(code="same", noise=OTHER.similarity)) for one in found.variants
                    ),
                )
            ),
        ],
    )


def test_every_code_has_words() -> None:
    advice = Advice(level="error", slug="fsdp", message="it cannot", location=Location(path="x", line=1, column=1))
    firered = next(one for one in CLAIMS if one.name == "cfg-firered-1.0")
    check_golden(
        "tune_codes",
        [
            *(f"end {code}: {tune_text.headline(report(code))}" for code in get_args(TuneCode)),
            f"end decided (another is recommended): {tune_text.headline(report(best='as-written'))}",
            *(
                f"trouble {code}: "
                + "; ".join(tune_step_text.trouble(TuneTrouble(code=code, variant="cfg2", why="why")))
                for code in get_args(TuneTroubleCode)
            ),
            "trouble of a launch: "
            + "; ".join(tune_step_text.trouble(TuneTrouble(code="disk", variant="a", problem=FULL))),
            f"trouble of all: {'; '.join(tune_step_text.trouble(TuneTrouble(code='disk', why='/x: No space left')))}",
            *(
                f"dropped {code}: {tune_step_text.dropped(Dropped(code=code, by='cfg2' * (code == 'slower')))}"
                for code in get_args(DropCode)
            ),
            *(
                f"pruned {code}: {tune_space_text.pruned(one).strip().partition(': ')[2]}"
                for code in get_args(PruneCode)
                for one in [Pruned(name="a", settings=(), code=code, advice=(advice,), same="as-written")]
            ),
            *(
                f"claim {code}: {tune_claims_text.claim(ClaimResult(claim=firered, code=code))}"
                for code in get_args(ClaimCode)
            ),
        ],
    )


def test_markdown() -> None:
    check_golden("tune_markdown", [tune_markdown.render(report())])
    name = "a|b <i>c</i> @d"
    hostile = TunedVariant(variant=replace(variant(), name=name), command="x `` y")
    tuned = replace(report().tuned, standings=(standing(name, 8000.0, group=1),))
    text = tune_markdown.render(report(case=name, tuned=tuned, variants=(hostile,), written=name, front=(), best=name))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    assert "a|b" not in prose
    assert "<i>" not in prose
    assert "@d" not in prose


def test_the_variants_of_a_dry_run_and_the_steps_of_a_search() -> None:
    found = report()
    space = Space(variants=tuple(one.variant for one in found.variants), pruned=found.pruned)
    tried = Tried(variant="cfg2", ms=10955.9, memory_mib=38000.0)
    check_golden(
        "tune_steps",
        [
            *tune_space_text.space("firered", CASE, space),
            "",
            tune_step_text.step(TuneStep(round=1, variants=("as-written",), left=6)),
            tune_step_text.step(TuneStep(round=2, variants=("cfg2", "sage"), launches=1, left=5, left_s=1440.0)),
            *(
                tune_step_text.step(
                    TuneStep(round=2, variants=("cfg2",), came=TuneLaunch(round=2, variant="cfg2", tried=one))
                )
                for one in (tried, replace(tried, lost=0.004), replace(tried, lost=0.064))
            ),
            *(
                tune_step_text.step(
                    TuneStep(round=2, variants=("sage",), came=TuneLaunch(round=2, variant="sage", dropped=one))
                )
                for one in (
                    Dropped(code="failed", problem=OOM),
                    Dropped(code="failed", why="cases/x.yaml:3: error:\n no such flag"),
                    Dropped(code="disturbed"),
                )
            ),
        ],
    )


def test_json_has_everything_as_figures() -> None:
    told = json.loads(tune_json.render(report()))
    assert (told["schema"], told["code"], told["best"]) == (1, "decided", "cfg2+compile")
    assert (told["fastest"], told["best_lossless"], told["of_written"]) == ("cfg2+compile", "cfg2+compile", "beaten")
    assert told["proven_faster"] == ["cfg2+compile", "cfg2+sage", "cfg2"]
    assert (told["given_up_faster"], told["long_requests"]) == ("cache-dit", [])
    by_name = {one["variant"]: one for one in told["variants"]}
    assert by_name["cfg2"]["faster"] == pytest.approx(1 - 8000 / 10955.9)
    assert by_name["cfg2+sage"]["quality"]["similarity"]["ssim"] == 0.981
    assert by_name["sage"]["dropped"]["problem"]["failure"]["code"] == "out-of-memory"
    assert by_name["cache-dit"]["dropped"]["code"] == "memory"
    assert [one["code"] for one in told["pruned"]] == ["same", "gpus", "advice"]
    assert told["claims"][0]["code"] == "held"
    assert told["command"] == "sglang generate --enable-cfg-parallel --enable-torch-compile"
    assert json.loads(tune_json.render(ends()[-1]))["best"] is None


def test_the_page_loads_nothing_and_escapes_all() -> None:
    hostile = report(case='<script>alert("x")</script>', engine_version="</h1><img src=//x>")
    page = tune_page.render(hostile)
    assert "<script" not in page
    assert "<img" not in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "default-src 'none'" in page
    body = tune_page.render(report()).partition("</style>")[2]
    check_golden("tune_page", [re.sub(r"pytest-sgdiff [^ ]+ ·", "pytest-sgdiff VERSION ·", body)])


def test_a_picture_needs_two_points() -> None:
    one = report()
    alone = replace(one.tuned, standings=one.tuned.standings[:1])
    assert tune_page.picture(replace(one, tuned=alone)) is None
    picture = tune_page.picture(one)
    assert picture is not None
    assert len(picture.marks) == 5
    assert {mark.kind for mark in picture.marks} == {"improved", "now", "baseline", "regressed"}
    # The recommended one is drawn over all others.
    assert [mark.kind for mark in picture.marks[-3:]] == ["now", "now", "improved"]
    # The limit is drawn, and the axes show all of it.
    assert any(line.kind == "limit" for line in picture.lines)
    assert all(0 <= mark.x <= picture.width and 0 <= mark.y <= picture.height for mark in picture.marks)


def test_of_equal_variants_a_lossless_one_with_few_gpus_is_recommended() -> None:
    found = report()
    assert best(found.tuned, found.variants) == "cfg2+compile"
    few = [replace(one, variant=replace(one.variant, case=replace(one.variant.case, gpus=1))) for one in found.variants]
    swapped = replace(found.tuned, standings=(found.tuned.standings[1], found.tuned.standings[0]))
    assert best(swapped, few) == "cfg2+compile"
    assert best(replace(found.tuned, standings=()), found.variants) is None


def test_a_variant_that_looks_slower_is_not_recommended_for_its_gpus_or_pictures() -> None:
    """One that is known to be 15 % slower at most is in the first group, as long as few launches prove nothing."""
    found = report("launches")
    few = replace(found.variants[1], variant=replace(found.variants[1].variant, case=replace(CASE, gpus=1)))
    slow = standing("cfg2", 9200.0, 2, group=1, ratio_low=1.0, ratio_high=1.2)
    ranked = replace(found.tuned, standings=(found.tuned.standings[0], slow))
    variants = (found.variants[2], few)
    assert best(ranked, variants) == "cfg2+compile"
    assert best(replace(ranked, within=0.149), variants) == "cfg2+compile"
    assert best(replace(ranked, within=0.151), variants) == "cfg2"
    # Not told apart from the first of another group is no reason either.
    assert best(replace(ranked, within=0.151, standings=(ranked.standings[0], replace(slow, group=2))), variants) == (
        "cfg2+compile"
    )
    said = tune_text.headline(replace(found, tuned=ranked, variants=variants, best="cfg2", written="cfg2"))
    assert "cfg2+compile is the fastest so far by denoise" in said
    assert "recommended: cfg2, 1 GPU, 15.0 % slower by denoise (0.0 to +20.0 %)" in said
    assert json.loads(tune_json.render(replace(found, best="cfg2+sage")))["fastest"] == "cfg2+compile"


def test_of_equal_variants_the_one_with_the_shorter_request_is_recommended() -> None:
    found = report()
    same = found.variants[2]
    slow = TunedVariant(variant=replace(same.variant, name="offloaded"), e2e_ms=12000.0)
    first = replace(found.tuned.standings[0], variant="offloaded")
    equal = replace(found.tuned, standings=(first, *found.tuned.standings))
    assert best(equal, (*found.variants, slow)) == same.name
    assert best(equal, (*found.variants, replace(slow, e2e_ms=8000.0))) == "offloaded"
    # Nobody knows how long it took.
    assert best(equal, (*found.variants, replace(slow, e2e_ms=None))) == same.name


def test_of_equal_variants_with_equal_requests_the_one_that_changes_least_is_recommended() -> None:
    """That a request is 1 % shorter in a few launches is chance, and no reason to change flags."""
    found = report()
    changed = replace(found.variants[2], e2e_ms=9900.0)
    plain = TunedVariant(variant=replace(changed.variant, name="as-written", settings=()), e2e_ms=10000.0)
    first = replace(found.tuned.standings[0], variant=changed.name)
    ranked = replace(found.tuned, standings=(first, replace(first, variant="as-written")))
    assert best(ranked, (changed, plain)) == "as-written"
    assert best(ranked, (replace(changed, e2e_ms=9400.0), plain)) == changed.name
    assert best(ranked, (changed, replace(plain, e2e_ms=None))) == changed.name
    # How short the request of a lossy one is says nothing of these.
    other = replace(changed, variant=replace(changed.variant, name="other"), e2e_ms=9400.0)
    lossy = replace(other, variant=replace(other.variant, name="lossy"), quality=OTHER, e2e_ms=5000.0)
    four = replace(ranked, standings=(*ranked.standings, *(replace(first, variant=one) for one in ("other", "lossy"))))
    assert best(four, (changed, plain, other, lossy)) == "other"


def test_a_variant_that_drew_another_picture_is_a_lossy_one() -> None:
    """With --allow-lossy it stays in the race, although its settings should not change the picture."""
    found = report()
    drew = replace(found.variants[2], quality=OTHER, e2e_ms=100.0)
    lossless = TunedVariant(variant=replace(variant(), name="plain"), e2e_ms=9000.0)
    first = found.tuned.standings[0]
    ranked = replace(found.tuned, standings=(first, replace(first, variant="plain")))
    variants = (drew, lossless)
    assert drew.lossy
    assert not drew.variant.lossy
    assert best(ranked, variants) == "plain"
    assert quicker_request(ranked, variants, "plain") is None
    assert tune_names.name_of(drew) == "cfg2+compile (lossy)"
    told = replace(found, variants=(drew, *found.variants[:2], *found.variants[3:]), best="cfg2+compile")
    check_golden("tune_other_picture", [tune_text.headline(told), *tune_text.notes(told)])
    by_name = {one["variant"]: one for one in json.loads(tune_json.render(told))["variants"]}
    assert by_name["cfg2+compile"]["lossy"]


def test_the_time_may_end_before_anything_was_measured() -> None:
    """Then nobody knows that no variant can be used."""
    none = replace(report("budget").tuned, standings=(standing("as-written"), standing("cfg2")))
    unusable = replace(none, standings=(report().tuned.standings[4], standing("cfg2")))
    dead = replace(none, standings=(report().tuned.standings[5], standing("cfg2")))
    said = [tune_text.headline(report(tuned=one, best=None)) for one in (none, unusable, dead)]
    said.append(tune_text.headline(report(tuned=replace(unusable, code="nothing"), best=None)))
    check_golden("tune_nothing", said)
    assert len(set(said)) == 3


def test_pictures_that_were_not_compared_are_named_with_the_reason() -> None:
    found = report()
    unseen = [code for code in get_args(QualityCode) if code not in OTHER_PICTURE | {"same", "allowed", "lossy"}]
    lines = []
    for code in unseen:
        quality = Quality(code=code, missing=("av",), flaw="too-large", name="a.mp4", launch=2, now="81", then="80")
        winner = replace(found.variants[2], quality=quality)
        told = replace(found, variants=(*found.variants[:2], winner, *found.variants[3:]))
        notes = [one for one in tune_text.notes(told) if "cfg2+compile" in one]
        # Of another request another note says so.
        assert len(notes) == (code != "other-request")
        lines += [f"{code}: {tune_ranking_text.picture(quality)}", *notes]
    nothing = replace(found, variants=(*found.variants[:2], replace(found.variants[2], quality=None)))
    lines += [*tune_text.notes(nothing), *tune_text.notes(replace(nothing, written=""))]
    check_golden("tune_unseen", lines)
    assert tune_ranking_text.picture(Quality(code="same")) == "the same"
    assert tune_text.notes(replace(found, tuned=usable(found.tuned))) == []
    # The case as it is written draws what it draws.
    assert tune_text.notes(replace(found, tuned=usable(found.tuned), best="as-written")) == []


def test_a_pair_of_a_claim_says_how_much_less_or_more() -> None:
    memory = next(one for one in CLAIMS if one.quantity == "memory")
    nothing = float("inf")
    ratios = [Ratio(value=0.7, low=0.668, high=0.734), Ratio(value=1.12, low=0.9, high=nothing)]
    ratios += [Ratio(value=0.9, low=0.0, high=1.1), Ratio(value=0.9, low=0.0, high=nothing)]
    ratios += [Ratio(value=1.0, low=0.99, high=1.01)]
    timed = [next(one for one in CLAIMS if one.name == name) for name in ("compile", "scaling")]
    codes: list[ClaimCode] = ["held", "less", "more", "open"]
    check_golden(
        "tune_pairs",
        [
            tune_claims_text.claim(
                ClaimResult(claim=one, code="held", pairs=(Compared(this="fa", that="sdpa", code="held", ratio=ratio),))
            )
            for one in (CLAIMS[2], *timed, memory)
            for ratio in (*ratios, Ratio(value=0.275, low=0.275, high=0.275))
        ]
        + [
            # Which pair says what, where they say something else.
            tune_claims_text.claim(
                ClaimResult(
                    claim=timed[0],
                    code="less",
                    pairs=tuple(Compared(this="fa", that="sdpa", code=code, ratio=ratios[0]) for code in codes[count:]),
                )
            )
            for count in range(4)
        ],
    )


def test_a_lossy_variant_never_stands_without_its_figures() -> None:
    found = report()
    figures = "SSIM 0.9810"
    for rows in (tune_ranking_text.front_rows(found), tune_ranking_text.ranking(found)):
        lossy = next(row for row in rows if row[0] == "cfg2+sage (lossy)" or row[1] == "cfg2+sage (lossy)")
        assert figures in lossy[-1]
    line = next(one for one in tune_text.comparisons(found, verbose=True) if "cfg2+sage (lossy)" in one)
    assert figures in line
    # What a lossy variant hides is named, and nothing where it hides nothing.
    assert [row[0] for row in tune_ranking_text.lossless_rows(found)[1:]] == ["cfg2+compile", "cfg2", "as-written"]
    assert tune_ranking_text.lossless_rows(replace(found, lossless_front=found.front)) == []
    assert json.loads(tune_json.render(found))["lossless_front"] == ["cfg2+compile", "cfg2", "as-written"]


def test_a_lossy_variant_is_marked_wherever_it_is_named() -> None:
    """Also one that drew another picture although its settings should not change it."""
    found = report()
    drew = TunedVariant(variant=variant(COMPILE), quality=OTHER, e2e_ms=9000.0)
    pairs = (
        Compared(this="cfg2+sage", that="compile", code="less", ratio=Ratio(value=1.1, low=1.05, high=1.15)),
        Compared(this="compile", that="cache-dit", code="less", ratio=Ratio(value=1.1, low=1.05, high=1.15)),
    )
    by = Dropped(code="slower", by="cfg2+sage")
    told = replace(
        found,
        variants=(*found.variants, drew),
        tuned=replace(
            found.tuned,
            standings=(
                *found.tuned.standings,
                standing("compile", 9000.0, 1, group=4, memory_mib=None, dropped=by),
                standing("sage-late"),
            ),
        ),
        pruned=(
            Pruned(name="sage-twice", settings=(SAGE,), code="same", same="compile"),
            Pruned(name="slow-cache", settings=(CACHE,), code="lossy"),
        ),
        claims=(ClaimResult(claim=CLAIMS[3], code="less", pairs=pairs),),
        best="cfg2+sage",
    )
    waiting = replace(told, variants=(*told.variants, TunedVariant(variant=replace(variant(SAGE), name="sage-late"))))
    lossy = ("cfg2+sage", "cache-dit", "sage", "compile", "sage-late", "sage-twice", "slow-cache")
    name = "|".join(map(re.escape, sorted(lossy, key=len, reverse=True)))
    named = re.compile(rf"(?<![\w+.-])({name})(?![\w+-])(?! \(lossy\)| is lossy| \\\(lossy\\\))")
    shown = tune_names.shown_in(one.variant for one in waiting.variants)
    forms = {
        "text": "\n".join(tune_text.summary(waiting, verbose=True)),
        "short": "\n".join(tune_text.summary(waiting)),
        "markdown": tune_markdown.render(waiting),
        "page": tune_page.render(waiting).partition("</style>")[2],
        "dry run": "\n".join(
            tune_space_text.space("x", CASE, Space(variants=tuple(one.variant for one in found.variants)))
        ),
        "step": tune_step_text.step(TuneStep(round=1, variants=("sage",)), shown),
        "came": tune_step_text.came(TuneLaunch(round=1, variant="cfg2", dropped=by), shown),
        "trouble": tune_step_text.trouble(TuneTrouble(code="gpus", variant="sage", why="busy"), shown)[0],
    }
    for form, text in forms.items():
        # What stands in a command line or a source is no name of a variant.
        prose = re.sub(r"```.*?```|<pre>.*?</pre>|<code>.*?</code>|\[[^\]]*\]|--\S+( \w+)?", "", text, flags=re.DOTALL)
        assert not (bare := [prose[max(0, m.start() - 40) : m.end() + 20] for m in named.finditer(prose)]), (form, bare)
    words = json.loads(tune_json.render(waiting))["claims"][0]["words"]
    assert words.count("(lossy)") == 4


def test_a_request_that_is_shorter_than_that_of_the_recommended_variant_is_named() -> None:
    found = report()
    assert quicker_request(found.tuned, found.variants, "cfg2+compile") is None
    assert quicker_request(found.tuned, found.variants, "cfg2") == "cfg2+compile"
    # Of a lossy one the lossy ones are rivals too, and one that needs too much memory never is.
    quick = [replace(one, e2e_ms=100.0) if one.variant.lossy else one for one in found.variants]
    assert quicker_request(found.tuned, quick, "cfg2+compile") is None
    assert quicker_request(found.tuned, found.variants, "cfg2+sage") is None
    assert quicker_request(found.tuned, found.variants, None) is None
    told = replace(found, quicker_request="cfg2+compile", best="cfg2")
    assert "cfg2+compile" in tune_text.notes(told)[-1]
    assert json.loads(tune_json.render(told))["quicker_request"] == "cfg2+compile"


def test_a_variant_that_was_dropped_beside_the_first_is_slower_than_that_by_whatever_it_is() -> None:
    found = report()
    unsure = replace(found.tuned.standings[2], ratio_low=1.0, ratio_high=1.9, low=7000.0)
    told = replace(found, tuned=replace(found.tuned, standings=(found.tuned.standings[0], unsure)))
    (slower,) = tune_text.comparisons(told, verbose=True)
    assert slower.startswith("cfg2+compile is 27.0 % faster than cfg2")
    open_ = replace(told, tuned=replace(told.tuned, standings=(told.tuned.standings[0], replace(unsure, dropped=None))))
    (alike,) = tune_text.comparisons(open_, verbose=True)
    assert alike.startswith("cfg2+compile and cfg2 cannot be distinguished")


def of(found: TuneReport, **standings: Standing | None) -> TuneReport:
    """The report with other standings, by name with `_` for other signs; None takes one away."""
    names = {re.sub(r"\W", "_", one.variant): one.variant for one in found.tuned.standings}
    changed = {names[name]: one for name, one in standings.items()}
    kept = (changed.get(one.variant, one) for one in found.tuned.standings)
    return replace(found, tuned=replace(found.tuned, standings=tuple(one for one in kept if one is not None)))


def test_what_became_of_the_case_as_it_is_written_is_said_first() -> None:
    found = report("equal", best="as-written")
    alike = standing("as-written", 8048.0, 3, group=1, ratio_low=1.0, ratio_high=1.025)
    first = standing("cfg2+compile", 8000.0, 3, group=1)
    unproven = of(found, as_written=alike)
    itself = of(found, cfg2_compile=standing("as-written", 7990.0, group=1), cfg2_sage=first, as_written=None)
    written = {one.variant: one for one in found.tuned.standings}["as-written"]
    large = of(found, as_written=replace(written, group=None, dropped=Dropped(code="memory"), memory_mib=47000.0))
    quick = of(found, as_written=standing("as-written", 7000.0, dropped=Dropped(code="memory"), memory_mib=47000.0))
    failed = of(found, as_written=standing("as-written", dropped=Dropped(code="failed", problem=OOM)))
    waiting = of(found, as_written=standing("as-written"))
    pruned = replace(of(found, as_written=None), written="", pruned=(replace(found.pruned[2], name="as-written"),))
    alone = of(found, cfg2_compile=alike, cfg2_sage=None, cfg2=None, as_written=None)
    told = [replace(found, best=None), alone, unproven, itself, large, quick, failed, waiting, pruned]
    assert [one.of_written for one in told] == [
        *("beaten", "unproven", "unproven", "unproven", "given-up", "given-up", "given-up", "unmeasured", "unmeasured"),
    ]
    assert unproven.proven_faster == itself.proven_faster == quick.proven_faster == ()
    assert large.proven_faster == ("cfg2+compile", "cfg2+sage", "cfg2")
    assert json.loads(tune_json.render(unproven))["of_written"] == "unproven"
    assert json.loads(tune_json.render(unproven))["proven_faster"] == []
    others = [one if one.of_written == "unproven" else replace(one, best="cfg2+compile") for one in told]
    # Page of messages: the first one of each code.
    others[1:3] = others[2:0:-1]
    check_golden("tune_written_case", [f"{one.of_written}: {tune_text.headline(one)}" for one in others])


def test_a_variant_that_was_dropped_beside_the_first_is_proven_slower() -> None:
    found = report()
    unsure = replace(found.tuned.standings[3], low=7000.0, ratio_low=1.0, ratio_high=1.9)
    assert of(found, as_written=unsure).proven_faster == ("cfg2+compile",)
    assert of(found, as_written=replace(unsure, dropped=None)).of_written == "unproven"


def test_a_faster_variant_that_cannot_be_used_is_named_with_its_time_and_the_reason() -> None:
    found = report()
    assert found.given_up_faster == "cache-dit"
    (note,) = tune_text.notes(found)
    assert "7.000 s" in note
    assert "cache-dit (lossy)" in note
    assert "45.90 GiB" in note
    slower = standing("cache-dit", 8100.0, dropped=Dropped(code="picture"))
    assert of(found, cache_dit=slower).given_up_faster is None
    # That another request is faster says nothing of settings.
    other = OtherRequest(variant="cache-dit", parts=("steps",))
    assert replace(found, other_requests=(other,)).given_up_faster is None
    quick = replace(found, other_requests=(replace(other, variant="cfg2+compile"),))
    assert of(quick, cache_dit=standing("cache-dit", 8020.0, dropped=Dropped(code="picture"))).given_up_faster == (
        "cache-dit"
    )


def test_beside_a_lossy_winner_the_best_lossless_variant_has_its_command_line_too() -> None:
    found = report(best="cfg2+sage")
    lines = ["sglang generate --attention-backend sage_attn"]
    lines += ["sglang generate --enable-cfg-parallel --enable-torch-compile"]
    assert [command for _, command, _ in tune_text.commands(found)] == lines
    page = tune_page.render(found).partition("</style>")[2]
    for text in ("\n".join(tune_text.summary(found)), tune_markdown.render(found), page):
        assert [text.count(line) for line in lines] == [1, 1]
        named = text.replace("\\", "").index(
            "un cfg2+compile (the first of the lossless variants, 40.4 % faster than the case"
        )
        assert text.index(lines[0]) < named < text.replace("\\", "").index(lines[1])
    assert json.loads(tune_json.render(found))["best_lossless"] == "cfg2+compile"
    assert len(tune_text.commands(report())) == 1
    assert len(tune_text.commands(replace(found, best_lossless=None))) == 1
    name, _, changed = tune_text.commands(replace(found, best_lossless="as-written"))[1]
    assert (name, changed) == ("as-written (the first of the lossless variants)", "nothing is changed")
    assert "--enable-torch-compile" in tune_text.commands(report())[0][2]
    alike = of(found, as_written=standing("as-written", 8048.0, group=1, ratio_low=1.0, ratio_high=1.025))
    assert "not proven faster" in tune_text.commands(alike)[1][0]
    # What must be known of its pictures is said, too.
    unseen = replace(found.variants[2], quality=Quality(code="no-samples"))
    told = tune_text.notes(replace(found, variants=(*found.variants[:2], unseen, *found.variants[3:])))
    assert [one for one in told if one.startswith("whether cfg2+compile draws the same picture")]


def test_the_best_lossless_variant_is_chosen_as_the_best_one_is() -> None:
    found = report()
    sage, compiled = (found.tuned.standings[1], found.tuned.standings[0])
    quick = replace(sage, ms=7000.0)
    slower = replace(compiled, ratio=1.4, group=2)
    alike = replace(slower, variant="cfg2", ms=8100.0)
    tuned = replace(found.tuned, standings=(quick, slower, alike))
    assert best(tuned, found.variants) == "cfg2+sage"
    # Of equal ones the one with the fewest settings.
    short = [replace(one, e2e_ms=9000.0) for one in found.variants]
    assert best_lossless(tuned, short) == "cfg2"
    assert best_lossless(replace(tuned, standings=(quick, slower, replace(alike, ms=8200.0))), short) == "cfg2+compile"
    assert best_lossless(replace(tuned, standings=(quick,)), short) is None
    # Another request draws another picture by design.
    other = [replace(one, asks=("seed",)) if one.name == "cfg2" else one for one in short]
    assert best_lossless(tuned, other) == "cfg2+compile"


def test_claims_that_were_not_tried_are_named_in_one_line_everywhere() -> None:
    found = report()
    (tried, untried) = tune_claims_text.claims(found)
    assert tried.startswith("held here")
    assert untried.endswith(": scaling")
    page = tune_page.render(found).partition("</style>")[2]
    terse = "\n".join(tune_text.summary(found))
    for text in (terse, "\n".join(tune_text.summary(found, verbose=True)), tune_markdown.render(found), page):
        assert text.count("not tried") == 1
    assert len(tune_claims_text.claims(replace(found, claims=found.claims[:1]))) == 1


def tries(*lost: float | None) -> tuple[TuneLaunch, ...]:
    return tuple(
        TuneLaunch(
            round=number,
            variant="cfg2",
            tried=Tried(variant="cfg2", ms=10900.0 + number, lost=share, memory_mib=38000.0, gpu_s=40.0),
            e2e_ms=11600.0,
        )
        for number, share in enumerate(lost, start=1)
    )


def test_the_launches_of_each_variant_are_given_with_what_they_lost() -> None:
    found = report()
    measured = replace(found.variants[1], tries=tries(0.064, None, 0.005))
    told = replace(found, variants=(found.variants[0], measured, *found.variants[2:]))
    by_name = {one["variant"]: one for one in json.loads(tune_json.render(told))["variants"]}
    first, second, third = by_name["cfg2"]["tries"]
    assert first == {"round": 1, "ms": 10901.0, "lost": 0.064, "memory_mib": 38000.0, "e2e_ms": 11600.0, "gpu_s": 40.0}
    assert (second["lost"], third["lost"], by_name["sage"]["tries"]) == (None, 0.005, [])
    # What is just even is even.
    cells = {row[1]: row[3] for row in tune_ranking_text.ranking(told)[1:]}
    assert (cells["cfg2"], cells["cfg2+compile"]) == ("3 (1 uneven)", "5")
    page = tune_page.render(told)
    for text in ("\n".join(tune_text.summary(told)), tune_markdown.render(told), page):
        assert "1 uneven" in text.replace("\\", "")
    assert [line for line in tune_ranking_text.legend(told) if line.startswith("uneven")]
    assert not [line for line in tune_ranking_text.legend(found) if line.startswith("uneven")]


def test_the_legend_explains_the_columns_that_there_are() -> None:
    found = report()
    heads = [line.partition(":")[0] for line in tune_ranking_text.legend(found)]
    assert heads == ["group", "slower than the first", "whole request", "picture"]
    assert set(heads) <= set(tune_ranking_text.HEAD)
    # Ranked by whole requests there is one time alone.
    assert len(tune_ranking_text.legend(replace(found, metric="e2e"))) == 3
    alone = replace(found.tuned, standings=found.tuned.standings[:1])
    assert [line.partition(":")[0] for line in tune_ranking_text.legend(replace(found, tuned=alone))] == [
        *("group", "whole request", "picture")
    ]
    assert tune_ranking_text.legend(ends()[-1]) == []
    # Where none can be used, the table has no column of groups.
    given_up = [replace(one, group=None, dropped=Dropped(code="memory")) for one in found.tuned.standings]
    unusable = replace(found, tuned=replace(found.tuned, code="nothing", standings=tuple(given_up)))
    assert not [line for line in tune_ranking_text.legend(unusable) if line.startswith("group")]
    ranked, usable_ones = (
        tune_ranking_text.legend(found)[0],
        tune_ranking_text.legend(replace(found, tuned=usable(found.tuned)))[0],
    )
    assert ranked.startswith(usable_ones)
    assert len(ranked) > len(usable_ones)


def test_a_whole_request_that_takes_much_longer_than_its_rank_suggests_is_named() -> None:
    found = report()
    assert found.long_requests == ()

    def with_request(e2e_ms: float, **more: Any) -> TuneReport:
        slow = replace(found.variants[2], e2e_ms=e2e_ms)
        return replace(found, variants=(*found.variants[:2], slow, *found.variants[3:]), **more)

    # Of the others what is outside of denoising takes 644 ms at least: 8.000 s suggest 8.644 s.
    assert with_request(1.24 * 8644.1).long_requests == ()
    told = with_request(1.26 * 8644.1)
    assert told.long_requests == ("cfg2+compile",)
    assert [one for one in tune_text.notes(told) if "cfg2+compile (10.89 s, of which denoise 8.000 s)" in one]
    assert json.loads(tune_json.render(told))["long_requests"] == ["cfg2+compile"]
    assert with_request(20000.0, metric="e2e").long_requests == ()
    other = OtherRequest(variant="cfg2+compile", parts=("frames",))
    assert with_request(20000.0, other_requests=(other,)).long_requests == ()


def test_another_request_is_marked_wherever_it_is_named_and_rivals_no_other() -> None:
    found = report()
    more = replace(CASE, args={**CASE.args, "num-inference-steps": 4})
    short = TunedVariant(
        variant=replace(found.variants[2].variant, case=more),
        e2e_ms=4000.0,
        quality=Quality(code="other-request"),
        asks=("steps",),
        command="sglang generate --num-inference-steps 4",
    )
    variants = (*found.variants[:2], short, *found.variants[3:])
    assert not short.lossy
    assert quicker_request(found.tuned, variants, "cfg2") is None
    assert quicker_request(found.tuned, found.variants, "cfg2") == "cfg2+compile"
    told = replace(found, variants=variants, other_requests=(OtherRequest(variant="cfg2+compile", parts=("steps",)),))
    page = tune_page.render(told).partition("</style>")[2]
    for text in ("\n".join(tune_text.summary(told, verbose=True)), tune_markdown.render(told), page):
        plain = text.replace("\\", "")
        assert plain.count("cfg2+compile (other steps)") == len(re.findall(r"cfg2\+compile", plain)) > 5
    check_golden(
        "tune_other_request", [tune_text.headline(told), *tune_text.notes(told), tune_ranking_text.lossless_front(told)]
    )


def test_what_is_known_of_each_variant_beside_its_rank(tmp_path: Path) -> None:
    plain = replace(variant(), case=replace(CASE, variant=None))
    short = variant(replace(COMPILE, args={"num-inference-steps": 4}))
    bench = Bench(plan=Plan(case=CASE, metric="denoise", engine_cmd=("x",), gpus="2", cwd=tmp_path), folder=tmp_path)
    launches = [replace(one, variant=short.name) for one in tries(0.064, None)]
    launches.append(TuneLaunch(round=3, variant=short.name, dropped=Dropped(code="disturbed")))
    launches.append(replace(launches[0], round=4, variant=plain.name))
    engine = EngineInfo(command=("x",), version="0.5.17")
    first, second = described(Space(variants=(plain, short)), launches, bench, engine)
    assert ([one.round for one in first.tries], [one.round for one in second.tries]) == ([4], [1, 2])
    assert (first.asks, second.asks, second.uneven) == ((), ("steps",), 1)
