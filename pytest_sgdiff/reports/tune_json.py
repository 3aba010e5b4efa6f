"""A search for the fastest flags as JSON, for programs.

Times are ms or s, memory is MiB as the names say; ratios and shares are fractions. What is not known is null. Words for
people stand in `words`, `headline`, `notes` and `changes`; everything else is figures and codes.
"""

from __future__ import annotations

import json
import math
from typing import Any

from pytest_sgdiff import __version__
from pytest_sgdiff.data import Quality, Standing, Tried, TuneLaunch
from pytest_sgdiff.files.wire import to_plain
from pytest_sgdiff.printable import printable_json
from pytest_sgdiff.reports import (
    tune_claims_text,
    tune_names,
    tune_ranking_text,
    tune_space_text,
    tune_step_text,
    tune_text,
)
from pytest_sgdiff.tuning.claims import ClaimResult
from pytest_sgdiff.tuning.report import TunedVariant, TuneReport

SCHEMA = 1
"""Within a number fields are only added."""


def render(report: TuneReport) -> str:
    """One object: the result, the ranking with what is known of each variant, what was left out, and the front. Raises
    ValueError for a number that is not finite."""
    about, shown = {one.name: one for one in report.variants}, tune_names.shown_in(report.variants)
    tuned = report.tuned
    told = {
        "schema": SCHEMA,
        "generator": {"name": "pytest-sgdiff", "version": __version__},
        "case": report.case,
        "code": tuned.code,
        "headline": tune_text.headline(report),
        "fastest": None if report.first is None else report.first.variant,
        "best": report.best,
        "best_lossless": report.best_lossless,
        "of_written": report.of_written,
        "proven_faster": list(report.proven_faster),
        "given_up_faster": report.given_up_faster,
        "long_requests": list(report.long_requests),
        "quicker_request": report.quicker_request,
        "command": tune_text.command_of(report),
        "metric": report.metric,
        "engine_version": report.engine_version,
        "machine": report.machine,
        "confidence": tuned.confidence,
        "within": tuned.within,
        "memory_mib": tuned.memory_mib,
        "budget_s": report.budget_s,
        "took_s": report.took_s,
        "gpu_s": tuned.gpu_s,
        "launches": tuned.launches,
        "written": report.written,
        "variants": [_variant(one, about, report) for one in tuned.standings],
        "front": list(report.front),
        "lossless_front": list(report.lossless_front),
        "pruned": [{**to_plain(one), "words": tune_space_text.pruned(one, shown).strip()} for one in report.pruned],
        "claims": [{**_claim(one), "words": tune_claims_text.claim(one, shown)} for one in report.claims],
        "other_requests": to_plain(report.other_requests),
        "odd_launches": [_plain_quality(one) for one in report.odd_launches],
        "notes": tune_text.notes(report),
        "folder": report.folder,
        "file": report.file,
    }
    return printable_json(json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _variant(one: Standing, about: dict[str, TunedVariant], report: TuneReport) -> dict[str, Any]:
    known = about[one.variant]
    variant = known.variant
    return {
        **to_plain(one),
        "faster": None if not one.ratio else 1 - 1 / one.ratio,
        "words": tune_step_text.dropped(one.dropped, tune_names.shown_in(report.variants))
        if one.dropped
        else tune_ranking_text.slower(one, report),
        "lossy": known.lossy,
        "gpus": variant.case.gpus,
        "e2e_ms": known.e2e_ms,
        "settings": to_plain(variant.settings),
        "args": to_plain(variant.case.args),
        "env": to_plain(variant.case.env),
        "changes": tune_space_text.changes(report.base, variant),
        "quality": _quality(known),
        "command": known.command,
        "tries": [_try(each, each.tried) for each in known.tries if each.tried is not None],
    }


def _try(one: TuneLaunch, tried: Tried) -> dict[str, Any]:
    return {
        "round": one.round,
        "ms": tried.ms,
        "lost": tried.lost,
        "memory_mib": tried.memory_mib,
        "e2e_ms": one.e2e_ms,
        "gpu_s": tried.gpu_s,
    }


def _quality(known: TunedVariant) -> dict[str, Any] | None:
    if known.quality is None:
        return None
    return {**_plain_quality(known.quality), "other_picture": known.quality.other_picture}


def _claim(one: ClaimResult) -> dict[str, Any]:
    """An end of an interval that nothing bounds is null, as no number is infinite in JSON."""
    pairs = []
    for pair in one.pairs:
        ratio = {
            name: value if math.isfinite(value) else None
            for name, value in (("value", pair.ratio.value), ("low", pair.ratio.low), ("high", pair.ratio.high))
        }
        pairs.append({"this": pair.this, "that": pair.that, "code": pair.code, "ratio": ratio})
    return {"claim": to_plain(one.claim), "code": one.code, "pairs": pairs}


def _plain_quality(quality: Quality) -> dict[str, Any]:
    plain: dict[str, Any] = to_plain(quality)
    for key in ("views", "reference"):
        del plain[key]
    if quality.similarity is not None:
        plain["similarity"]["psnr_db"] = quality.similarity.psnr_db
    return plain
