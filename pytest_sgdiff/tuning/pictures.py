"""What variants drew, beside what the case as it is written drew with the same seed."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff.data import Quality, QualityChoice, TuneLaunch, Variant
from pytest_sgdiff.data.pictures import LOSSLESS
from pytest_sgdiff.engines.outputs import saves
from pytest_sgdiff.errors import RecordingError
from pytest_sgdiff.quality.judge import judge_quality
from pytest_sgdiff.quality.pictures import DamagedError
from pytest_sgdiff.quality.reference import Drawn, reference_of
from pytest_sgdiff.recordings import store
from pytest_sgdiff.tuning.bench import Bench


def pictures(bench: Bench, written: Variant | None, variant: Variant, launches: Sequence[TuneLaunch]) -> Quality | None:
    """What became of the pictures of a variant; None where it has no launch that counts, or is the case as it is
    `written`, or that cannot be launched. Of a lossless variant they are to be the same but for the noise of the case's
    own launches, of a lossy one they may be any."""
    if written is None or variant.name == written.name:
        return None
    drawn = _drawn(bench, variant, launches)
    if not drawn:
        return None
    choice = QualityChoice(mode="lossy") if variant.lossy else LOSSLESS
    try:
        return judge_quality(choice, reference_of(_drawn(bench, written, launches)), drawn, saves=saves(variant.case))
    except DamagedError as error:
        return Quality(code="flawed", flaw="unreadable", said=str(error))


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
