"""The words for the ranking of a search and for its fronts, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_sgdiff import metrics
from pytest_sgdiff.data import DropCode, Quality, Standing
from pytest_sgdiff.reports import metric_text, numbers, quality_text
from pytest_sgdiff.reports.tune_names import WRITTEN, name_of
from pytest_sgdiff.tuning.fit import EVEN
from pytest_sgdiff.tuning.report import TuneReport

FRONT = "the front: the fastest variant for each amount of memory"
NOT_COMPARED = "not compared"
HEAD = ("group", "variant", "GPUs", "launches", "time", "slower than the first", "whole request", "memory", "picture")


def ranking(report: TuneReport) -> list[tuple[str, ...]]:
    """The rows of the ranking, its head first: all variants with a time."""
    about = {one.name: one for one in report.variants}
    rows = []
    for one in report.tuned.standings:
        if one.ms is not None:
            variant = about[one.variant]
            rows.append(
                (
                    "-" if one.group is None else str(one.group),
                    name_of(variant),
                    str(variant.variant.case.gpus),
                    f"{one.launches} ({variant.uneven} uneven)" if variant.uneven else str(one.launches),
                    numbers.quantity(one.ms, "ms"),
                    slower(one, report),
                    numbers.quantity(variant.e2e_ms, "ms"),
                    numbers.quantity(one.memory_mib, "MiB"),
                    picture(variant.quality),
                )
            )
    return [HEAD, *rows] if rows else []


def slower(one: Standing, report: TuneReport) -> str:
    """`+22.5 % (+16.4 to +28.2 %)`, how much longer a variant takes than the quickest, or that it cannot be used."""
    if one.dropped is not None and one.given_up:
        return f"given up: {_GIVEN_UP[one.dropped.code]}"
    if one.ratio is None or one is report.tuned.standings[0]:
        return ""
    return f"{numbers.signed(one.ratio - 1)}{over_first(one)}"


def over_first(one: Standing) -> str:
    """` (+16.4 to +28.2 %)`: the interval of the ratio to the true quickest."""
    if one.ratio_low is None or one.ratio_high is None:
        return ""
    return f" ({numbers.bare(one.ratio_low - 1)} to {numbers.signed(one.ratio_high - 1)})"


_GIVEN_UP: Mapping[DropCode, str] = {
    "slower": "slower",
    "memory": "memory",
    "failed": "failed",
    "disturbed": "disturbed",
    "picture": "another picture",
}


def legend(report: TuneReport) -> list[str]:
    """What the columns of the ranking mean, as far as they are there."""
    measured = {one.variant for one in report.tuned.standings if one.ms is not None}
    about = [one for one in report.variants if one.name in measured]
    if not about:
        return []
    metric = metric_text.metric_name(report.metric)
    given_up = any(one.given_up and one.ms is not None for one in report.tuned.standings)
    found = []
    if any(one.group is not None for one in report.tuned.standings):
        found.append(
            f"group: variants of one group cannot be distinguished{'; those with - cannot be used' * given_up}"
        )
    if any(one.usable and one is not report.first for one in report.tuned.standings):
        found.append(
            "slower than the first: in brackets, how much slower than the true quickest, whichever that is; 0.0 means "
            "that it may be that itself"
        )
    if any(one.uneven for one in about):
        found.append(f"uneven: the host visibly held the launch up, by more than {numbers.percent(EVEN)} of its time")
    if report.metric != metrics.E2E and any(one.e2e_ms is not None for one in about):
        found.append(f"whole request: the median time of all of it; variants are ranked by {metric} alone")
    if any(one.quality is not None for one in about):
        found.append(f"picture: beside that of {WRITTEN}, with the same seed")
    return found


def picture(quality: Quality | None) -> str:
    """What became of the picture beside that of the case as it is written, in a few words."""
    if quality is None:
        return ""
    if quality.similarity is not None:
        seen = quality_text.figures(quality.similarity)
        known = {"same": "the same", "changed": f"another, {seen}", "rounding": f"alike, {seen}"}
        return known.get(quality.code, seen)
    if quality.other_picture:
        return "another"
    if quality.code == "same":
        return "the same"
    why = quality_text.unseen(quality)
    return f"{NOT_COMPARED}: {why}" if why else NOT_COMPARED


def front_rows(report: TuneReport) -> list[tuple[str, ...]]:
    """The rows of the front, its head first; none where nothing is known of memory."""
    return _front(report, report.front)


def lossless_front(report: TuneReport) -> str:
    """What `lossless_rows` are called."""
    return f"the front of the lossless variants{' of the same request' if report.other_requests else ''} alone"


def lossless_rows(report: TuneReport) -> list[tuple[str, ...]]:
    """The rows of the front of the lossless variants of the same request, its head first; none where no other one
    hides any of them."""
    return [] if report.lossless_front == report.front else _front(report, report.lossless_front)


def _front(report: TuneReport, names: Sequence[str]) -> list[tuple[str, ...]]:
    standings = {one.variant: one for one in report.tuned.standings}
    about = {one.name: one for one in report.variants}
    rows = [
        (
            name_of(about[name]),
            numbers.quantity(standings[name].ms, "ms"),
            numbers.quantity(standings[name].memory_mib, "MiB"),
            picture(about[name].quality),
        )
        for name in names
        if name in standings
    ]
    return [("variant", "time", "memory", "picture"), *rows] if rows else []
