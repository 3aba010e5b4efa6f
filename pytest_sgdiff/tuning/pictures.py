"""What variants drew, beside what the case as it is written drew with the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_sgdiff.data import Axis, Quality, QualityChoice, Similarity, TuneLaunch, Variant
from pytest_sgdiff.data.pictures import LOSSLESS
from pytest_sgdiff.engines.outputs import saves
from pytest_sgdiff.errors import RecordingError
from pytest_sgdiff.quality.judge import judge_quality
from pytest_sgdiff.quality.noise import beyond_noise
from pytest_sgdiff.quality.odd import FEWEST_RECORDED, odd_launch
from pytest_sgdiff.quality.pictures import DamagedError
from pytest_sgdiff.quality.reference import Drawn, alike, reference_of
from pytest_sgdiff.recordings import store
from pytest_sgdiff.tuning.bench import Bench
from pytest_sgdiff.tuning.requests import other_requests

REORDERING: frozenset[Axis] = frozenset(("topology", "compile", "attention"))
"""Axes whose lossless settings add up the same numbers in another order: what the model draws differs by rounding,
which grows from step to step."""
ALIKE_PSNR_DB, ALIKE_SSIM = 28.0, 0.9
"""Pictures that far apart may be rounding. Measured with random weights, in bf16: cuDNN's attention beside PyTorch's on
an H200 33.8 dB and 0.95, one precision beside another on a CPU 29.6 dB and 0.90. A transformer that attends in strips,
which is wrong, was 24.5 dB off (`pytest_sgdiff.lint.heads`)."""


def pictures(bench: Bench, written: Variant | None, variant: Variant, launches: Sequence[TuneLaunch]) -> Quality | None:
    """What became of the pictures of a variant; None where it has no launch that counts, or is the case as it is
    `written`, or that cannot be launched. Of a lossless variant they are to be the same but for the noise of the case's
    own launches, or for rounding where its settings change the order of sums; of a lossy one they may be any. A case
    that bounds its pictures itself has its own bounds. Another request draws what it was asked for: nothing is
    compared."""
    if written is None or variant.name == written.name:
        return None
    drawn = _drawn(bench, variant, launches)
    if not drawn:
        return None
    if other_requests(written.case, [variant]):
        return Quality(code="other-request")
    own = written.case.quality
    choice = QualityChoice(mode="lossy") if variant.lossy else own if own.mode == "bounded" else LOSSLESS
    try:
        usual, odd = _told_apart(_drawn(bench, written, launches))
        found = judge_quality(choice, reference_of(usual), drawn, saves=saves(variant.case))
        for one, _ in odd if found.other_picture else ():
            # What another launch repeats is a second result of the engine, and no accident.
            again = judge_quality(choice, reference_of([one]), drawn, saves=saves(variant.case))
            if not again.other_picture:
                return replace(again, results=2)
        return replace(found, code="rounding") if _is_rounding(variant, found) else found
    except DamagedError as error:
        return Quality(code="flawed", flaw="unreadable", said=str(error))


def _is_rounding(variant: Variant, found: Quality) -> bool:
    seen = found.similarity
    return (
        found.code == "changed"
        and seen is not None
        and any(one.axis in REORDERING for one in variant.settings)
        and seen.ssim is not None
        and seen.ssim >= ALIKE_SSIM
        and (seen.psnr_db is None or seen.psnr_db >= ALIKE_PSNR_DB)
    )


def odd_launches(bench: Bench, written: Variant | None, launches: Sequence[TuneLaunch]) -> tuple[Quality, ...]:
    """The launches of the case as it is written that drew something else than its others: nothing is compared with
    them, for as noise they would hide any change."""
    try:
        return () if written is None else tuple(seen for _, seen in _told_apart(_drawn(bench, written, launches))[1])
    except DamagedError:
        return ()


def is_settled(bench: Bench, written: Variant, launches: Sequence[TuneLaunch]) -> bool:
    """Whether it is known what the case as it is written draws. It is not where its launches are farther from one
    another than rounding is: of two nobody knows which one is odd, and of so few nobody knows that it is noise."""
    drawn = _drawn(bench, written, launches)
    if len(drawn) < 2 or len(drawn) >= FEWEST_RECORDED or any(not one.samples for one in drawn):
        return True
    try:
        reference = reference_of(drawn)
    except DamagedError:
        return True
    if reference is None:
        return all(alike(drawn[0].samples, one.samples) for one in drawn)
    noises = (output.noise for output in reference.outputs)
    return all(noise is None or beyond_noise(Similarity(), noise)[0] is None for noise in noises)


def _told_apart(drawn: Sequence[Drawn]) -> tuple[Sequence[Drawn], Sequence[tuple[Drawn, Quality]]]:
    """The launches that make the reference, and each odd one with what is odd of it. Raises DamagedError."""
    usual, odd = list(drawn), []
    while (seen := odd_launch(usual)) is not None:
        one = next(one for one in usual if one.launch == seen.launch)
        usual.remove(one)
        odd.append((one, seen))
    return usual, odd


def _drawn(bench: Bench, variant: Variant, launches: Sequence[TuneLaunch]) -> list[Drawn]:
    found = []
    for number in dict.fromkeys(one.round for one in launches if one.variant == variant.name and one.tried):
        try:
            kept = store.read_launches(bench.launches(number), variant.case.id)
        except RecordingError:
            # Somebody made room: what was measured of it stands all the same.
            continue
        # The launches that count come last: those before were disturbed.
        found += [Drawn(launch=number, samples=one.samples) for one in kept[-1:]]
    return found
