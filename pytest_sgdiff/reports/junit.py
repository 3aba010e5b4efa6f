"""Properties of a case for pytest's own `--junit-xml`: flat names and texts, as dashboards of CI servers read them."""

from __future__ import annotations

from pytest_sgdiff.data import CaseResult
from pytest_sgdiff.reports import accept_text, case_text, evidence
from pytest_sgdiff.reports.shown import shown_result


def properties(result: CaseResult) -> list[tuple[str, str]]:
    """`("sgdiff.outcome", "regressed")`, `("sgdiff.denoise.now_ms", "86080")`, …; what is not known is left out."""
    result = shown_result(result)
    pairs = [
        ("sgdiff.outcome", result.outcome),
        ("sgdiff.reason", case_text.headline(result)),
        ("sgdiff.launches", str(len(evidence.counted(result)))),
        ("sgdiff.machine", result.machine.slug if result.machine else ""),
        ("sgdiff.folder", result.folder or ""),
        ("sgdiff.accepted", accept_text.until(result)),
    ]
    pairs += [(f"sgdiff.acceptance.{use.state}", accept_text.words(use)) for use in result.acceptances]
    for verdict in case_text.by_importance(result.verdicts):
        name, unit = f"sgdiff.{verdict.metric}", verdict.unit.lower()
        pairs.append((f"{name}.verdict", verdict.outcome))
        figures = {"ratio": verdict.ratio, f"baseline_{unit}": verdict.baseline, f"now_{unit}": verdict.now}
        pairs += [(f"{name}.{key}", f"{value:.6g}") for key, value in figures.items() if value is not None]
    return [(name, text) for name, text in pairs if text]
