"""Pictures beside times: what they do to the outcome of a gate, a recording and an A/B run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sgdiff.data import NextStep, QualityChoice
from pytest_sgdiff.quality import extra
from pytest_sgdiff.quality.reference import Drawn, reference_of
from pytest_sgdiff.reports import case_text, quality_text
from pytest_sgdiff.runner.ab import against
from pytest_sgdiff.runner.gate import gate
from pytest_sgdiff.runner.record import record
from tests.unit.test_quality import drew, levels
from tests.unit.test_runner import CASE, RENEW, SLOW, STEADY, Script, baseline, job

DREW, OTHER, BLANK = (drew(levels(0)), drew(levels(1)), drew(levels(2), blank="black"))
NEAR = drew(levels(0) + 20)
LOOKED_AT = replace(CASE, quality=QualityChoice())


def with_pictures(*values, sample=DREW, **changes):
    drawn = [Drawn(launch=number, samples=(sample,)) for number in range(3)]
    return baseline(*values, reference=reference_of(drawn), **changes)


def launches(*values, sample=DREW, **changes):
    return Script(*values, **{"samples": None if sample is None else (sample,), **changes})


def test_the_same_picture_changes_nothing():
    result = gate(job(launches(*STEADY), then=with_pictures(*STEADY), case=LOOKED_AT))
    assert (result.outcome, result.reason_code, result.warnings) == ("pass", "verdicts", ())
    assert result.quality is not None
    assert (result.quality.code, result.quality.launches, result.quality.views) == ("same", 1, ())


def test_no_gain_makes_up_for_another_picture():
    faster = [0.8 * ms for ms in STEADY]
    result = gate(job(launches(*faster, sample=OTHER), then=with_pictures(*STEADY), case=LOOKED_AT))
    assert (result.outcome, result.reason_code, result.decided_by) == ("regressed", "picture-changed", ())
    assert result.verdicts[0].outcome == "improved"
    assert result.next_step == NextStep(code="accept-picture", command=RENEW)


def test_a_slower_engine_with_another_picture_is_told_of_both():
    result = gate(job(launches(*SLOW, sample=OTHER), then=with_pictures(*STEADY), case=LOOKED_AT))
    assert (result.outcome, result.reason_code, result.decided_by) == ("regressed", "verdicts", ("denoise",))
    assert len(result.launches) == 5
    assert result.quality is not None
    assert result.quality.other_picture
    assert result.next_step == NextStep(code="accept-picture", command=RENEW)
    assert "another picture" in case_text.phrase(result)
    assert case_text.headline(result).startswith("denoising is 8.0 % slower")


def test_one_launch_of_several_with_another_picture_is_enough():
    source = launches(*SLOW)
    made = source.launch
    source.launch = lambda *, alone: replace(one := made(alone=alone), samples=(OTHER if one.number == 2 else DREW,))
    result = gate(job(source, then=with_pictures(*STEADY), case=LOOKED_AT))
    assert result.quality is not None
    assert (result.quality.code, result.quality.launch) == ("changed", 2)


def test_an_engine_that_writes_no_picture_any_more_is_no_pass():
    result = gate(job(launches(*STEADY, samples=()), then=with_pictures(*STEADY), case=LOOKED_AT))
    assert (result.outcome, result.reason_code) == ("regressed", "picture-changed")
    assert result.quality is not None
    assert result.quality.code == "other-count"
    assert len(result.quality.views) == 1
    then = with_pictures(*STEADY, engine_version="0.5.17")
    added = record(job(launches(*STEADY, samples=()), then=then, case=LOOKED_AT, extend=True))
    assert (added.reason_code, added.recorded) == ("picture-changed", False)


@pytest.mark.parametrize("made", [gate, record])
def test_a_picture_that_shows_nothing_is_no_measurement(made):
    result = made(job(launches(*STEADY, sample=BLANK), then=with_pictures(*STEADY), case=LOOKED_AT))
    assert (result.outcome, result.problems[0].code, result.measured) == ("invalid", "blank-output", False)
    assert result.quality is None


@pytest.mark.parametrize(
    ("sample", "then", "code"),
    [(None, with_pictures(*STEADY), "no-samples"), (DREW, baseline(*STEADY), "no-reference")],
)
def test_what_is_not_compared_is_a_warning_and_the_times_decide(sample, then, code):
    result = gate(job(launches(*STEADY, sample=sample), then=then, case=LOOKED_AT))
    assert (result.outcome, [one.code for one in result.warnings]) == ("pass", ["not-compared"])
    assert result.warnings[0].quality is not None
    assert result.warnings[0].quality.code == code


def test_a_case_without_pictures_reads_no_reference():
    def read(baseline):
        raise AssertionError("it was not to be read")

    source = launches(*STEADY, sample=OTHER)
    result = gate(job(source, then=with_pictures(*STEADY), case=CASE, reference_for=read))
    assert (result.outcome, result.quality and result.quality.code) == ("pass", "off")


def test_a_recording_keeps_what_it_drew_and_shows_what_the_old_one_did():
    result = record(job(launches(*STEADY, sample=OTHER), then=with_pictures(*STEADY), case=LOOKED_AT))
    assert (result.outcome, result.recorded) == ("pass", True)
    assert result.quality is not None
    assert (result.quality.code, result.quality.views[0].then) == ("changed", DREW.picture)
    assert result.quality.reference is not None
    assert result.quality.reference.outputs[0].sample.picture == OTHER.picture


def test_an_extension_keeps_the_reference_and_adds_to_its_noise():
    near = drew(levels(0) + 1)
    then = with_pictures(*STEADY, engine_version="0.5.17")
    later = launches(*STEADY, sample=near)
    result = record(job(later, then=then, case=LOOKED_AT, extend=True))
    assert result.recorded
    assert result.quality is not None
    assert result.quality.reference is not None
    (output,) = result.quality.reference.outputs
    assert (output.sample.picture, result.quality.reference.launches) == (DREW.picture, 8)
    assert output.noise is not None
    assert output.noise.mse == pytest.approx(1)
    other = record(job(launches(*STEADY, sample=OTHER), then=then, case=LOOKED_AT, extend=True))
    assert (other.outcome, other.reason_code, other.recorded) == ("regressed", "picture-changed", False)


@pytest.mark.parametrize("mode", ["lossless", "off"])
def test_an_extension_without_the_libraries_keeps_the_reference(monkeypatch, mode):
    then = with_pictures(*STEADY, engine_version="0.5.17")
    monkeypatch.setattr(extra, "missing", lambda: ("av",))
    case = replace(CASE, quality=QualityChoice(mode=mode))
    result = record(job(launches(*STEADY), then=then, case=case, extend=True))
    assert result.recorded
    assert result.quality is not None
    assert result.quality.reference == then.reference
    said = [one.quality and one.quality.code for one in result.warnings if one.code == "not-compared"]
    assert said == ([] if mode == "off" else ["no-library"])
    assert not quality_text.words(result.quality).endswith("; ")
    fresh = record(job(launches(*STEADY), then=then, case=case))
    assert fresh.quality is not None
    assert fresh.quality.reference is None


def test_both_engines_of_a_pair_must_draw_the_same():
    base, now = launches(*STEADY, name="base"), launches(*STEADY, sample=OTHER)
    other = against(job(base, case=LOOKED_AT), job(now, case=LOOKED_AT))
    assert (other.outcome, other.reason_code) == ("regressed", "picture-changed")
    assert other.next_step == NextStep(code="see-pictures")
    base, now = launches(*STEADY, name="base"), launches(*STEADY)
    same = against(job(base, case=LOOKED_AT), job(now, case=LOOKED_AT))
    assert (same.outcome, same.quality and same.quality.code) == ("pass", "same")


def one_draws(source, number, sample):
    """The source with another sample in one of its launches."""
    made = source.launch

    def launch(*, alone):
        one = made(alone=alone)
        return replace(one, samples=(sample,)) if one is not None and one.number == number else one

    source.launch = launch
    return source


@pytest.mark.parametrize("extend", [False, True])
def test_a_recording_with_an_odd_launch_is_refused_and_shows_it(extend):
    then = with_pictures(*STEADY, engine_version="0.5.17")
    result = record(job(one_draws(launches(*STEADY), 2, OTHER), then=then, case=LOOKED_AT, extend=extend))
    assert (result.outcome, result.reason_code, result.recorded) == ("invalid", "odd-picture", False)
    assert result.quality is not None
    assert (result.quality.code, result.quality.launch, result.quality.reference) == ("odd-launch", 2, None)
    assert (result.quality.views[0].then, result.quality.views[0].now) == (DREW.picture, OTHER.picture)
    assert result.next_step == NextStep(code="odd-picture", command=RENEW)
    assert "not-compared" not in {one.code for one in result.warnings}


@pytest.mark.parametrize("others", [(2,), (1, 3)])
def test_an_engine_that_draws_one_of_two_pictures_is_recorded_and_said_so(others):
    """One of three may be a result that was seen once, and two of five are one."""
    source = launches(*(STEADY if len(others) > 1 else STEADY[:3]))
    for number in others:
        source = one_draws(source, number, NEAR)
    few = LOOKED_AT if len(others) > 1 else replace(LOOKED_AT, launches=replace(LOOKED_AT.launches, baseline=3))
    result = record(job(source, case=few))
    assert (result.outcome, result.recorded) == ("pass", True)
    (warned,) = [one for one in result.warnings if one.code == "noisy-pictures"]
    assert warned.quality is not None
    assert warned.quality.results == 2
    assert warned.quality.noise is not None
    assert result.quality is not None
    then = baseline(*STEADY, reference=result.quality.reference)
    assert gate(job(launches(*STEADY, sample=NEAR), then=then, case=LOOKED_AT)).outcome == "pass"


def test_an_ab_run_says_that_the_base_engine_drew_two_pictures():
    base = launches(*STEADY, name="base")
    for number in (0, 2):
        base = one_draws(base, number, NEAR)
    result = against(job(base, case=LOOKED_AT), job(launches(*SLOW), case=LOOKED_AT))
    assert [one.quality.results for one in result.warnings if one.code == "noisy-pictures"] == [2]


def test_a_case_that_states_what_it_allows_is_recorded_whatever_its_launches_draw():
    stated = replace(CASE, quality=QualityChoice(mode="bounded", psnr=3.0))
    result = record(job(one_draws(launches(*STEADY), 2, OTHER), case=stated))
    assert result.recorded
    assert result.quality is not None
    assert result.quality.reference is not None


def test_an_odd_launch_of_the_base_engine_widens_nothing_unseen():
    base, now = one_draws(launches(*STEADY, name="base"), 1, OTHER), launches(*STEADY)
    result = against(job(base, case=LOOKED_AT), job(now, case=LOOKED_AT))
    assert [one.code for one in result.warnings] == ["not-compared"]
    assert result.quality is not None
    assert (result.quality.code, result.quality.launch, result.outcome) == ("odd-launch", 1, "pass")
    base = one_draws(launches(*STEADY, name="base"), 1, drew(levels(0) + 20))
    far = against(job(base, case=LOOKED_AT), job(launches(*STEADY, sample=OTHER), case=LOOKED_AT))
    assert (far.outcome, far.reason_code) == ("regressed", "picture-changed")


def test_no_row_of_extensions_lets_the_picture_creep_away():
    """Each addition is as far from the one before as was accepted of it: what the first recording accepts ends it."""
    then, recorded = with_pictures(*STEADY, engine_version="0.5.17"), []
    for brighter in (1, 2, 4, 8):
        sample = drew(levels(0) + brighter)
        added = record(job(launches(*STEADY, sample=sample), then=then, case=LOOKED_AT, extend=True))
        recorded.append(added.recorded)
        if added.recorded:
            assert added.quality is not None
            then = replace(then, reference=added.quality.reference)
    assert recorded == [True, False, False, False]
    assert added.reason_code == "picture-changed"
    assert added.quality is not None
    assert added.quality.limit == pytest.approx(48.13, abs=0.01)


def test_blank_frames_in_a_recording_are_said():
    clip = drew(levels(0), name="a.mp4", kind="video", frames=9, shown=(0,), blank_frames=2, dim_frames=3)
    result = record(job(launches(*STEADY, sample=clip), case=LOOKED_AT))
    (warned,) = [one for one in result.warnings if one.code == "blank-frames"]
    assert (warned.names, warned.frames, warned.of, result.recorded) == (("a.mp4",), 2, 9, True)


def test_launches_that_all_draw_something_else_are_said_to_accept_anything():
    drawn = [
        drew(levels(seed, shape=(64, 64))[::-1] if seed % 2 else levels(seed, shape=(64, 64))) for seed in range(5)
    ]
    source = launches(*STEADY)
    for number, sample in enumerate(drawn):
        source = one_draws(source, number, sample)
    result = record(job(source, case=LOOKED_AT))
    assert result.recorded
    assert "noisy-pictures" in {one.code for one in result.warnings}
    assert result.quality is not None
    then = baseline(*STEADY, reference=result.quality.reference)
    gated = gate(job(launches(*STEADY, sample=drawn[3]), then=then, case=LOOKED_AT))
    assert (gated.outcome, [one.code for one in gated.warnings]) == ("pass", ["noisy-pictures"])
    quiet = record(job(launches(*STEADY), case=LOOKED_AT))
    assert "noisy-pictures" not in {one.code for one in quiet.warnings}
