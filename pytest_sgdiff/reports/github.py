"""GitHub Actions workflow commands that put a message at the case's line in a pull request.

    ::error file=cases/wan22.yaml,line=12,title=REGRESSED wan22_t2v_a14b_720p::denoising is 5.3 %25 slower than …

GitHub shows ten errors, ten warnings and ten notices of a step, so the worst come first, and where there are more of a
kind the tenth says which are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pytest_sgdiff.data import CaseResult, Outcome, Run, Verdict
from pytest_sgdiff.printable import printable, printable_lines
from pytest_sgdiff.reports import accept_text, case_text, metric_text, problem_text
from pytest_sgdiff.reports.shown import shown_run
from pytest_sgdiff.reports.text import relation_line
from pytest_sgdiff.reports.warned import warnings

SHOWN = 10
"""Annotations of a kind that GitHub shows of a step (actions/toolkit, docs/problem-matchers.md)."""

_LEVELS: Mapping[Outcome, str] = {
    "regressed": "error",
    "invalid": "error",
    "no-baseline": "error",
    "inconclusive": "warning",
    "improved": "notice",
}


class _Note(NamedTuple):
    level: str
    result: CaseResult
    title: str
    message: str


def commands(run: Run, *, prefix: str = "") -> list[str]:
    """One command per case that did not simply pass, worst first, then one per claim that does not hold, and warning;
    of each level at most `SHOWN`.

    `prefix` is the folder of the case files' root inside the repository, `bench/`, where the two differ.
    """
    run = shown_run(run)
    results = case_text.worst_first(run.results)
    by_id = {result.case: result for result in results}
    notes = [_case(result) for result in results if result.outcome in _LEVELS]
    notes += [
        _Note(_LEVELS[claim.outcome], by_id[claim.case], claim.case, relation_line(claim))
        for claim in run.relations
        if claim.outcome in _LEVELS and claim.case in by_id
    ]
    notes += [_Note("warning", result, result.case, warning) for result, warning in warnings(results)]
    kinds = ([note for note in notes if note.level == level] for level in ("error", "warning", "notice"))
    return [_command(note, prefix) for kind in kinds for note in _fitting(kind)]


def _fitting(notes: Sequence[_Note]) -> list[_Note]:
    """Those that GitHub shows: where they are too many, the last stands for all that are left out."""
    if len(notes) <= SHOWN:
        return list(notes)
    shown, left_out = notes[: SHOWN - 1], notes[SHOWN - 1 :]
    cases = ", ".join(dict.fromkeys(note.result.case for note in left_out))
    words = f"GitHub shows {SHOWN} of a kind; the job summary has all of them, also those of {cases}"
    return [*shown, left_out[0]._replace(title=f"{len(left_out)} more {left_out[0].level}s", message=words)]


def file_link(environ: Mapping[str, str], *, prefix: str = "") -> str | None:
    """What `HtmlReport.link` should be in a job: the file at the commit that was tested. None outside GitHub Actions.

    `environ` is the environment of the job, of which GITHUB_SERVER_URL, GITHUB_REPOSITORY and GITHUB_SHA are read.
    """
    from urllib.parse import quote

    parts = [environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "SHA")]
    if not all(parts):
        return None
    server, repository, commit = parts
    return f"{server}/{repository}/blob/{commit}/{quote(prefix)}{{path}}#L{{line}}"


def _case(result: CaseResult) -> _Note:
    lines = [case_text.headline(result), *(_change(v) for v in _notable(result))]
    for problem in result.problems:
        told = () if result.heads(problem) else (problem_text.message(problem),)
        lines += [*told, *problem.evidence[:5]]
    lines += [f"{word}: {what}" for word, what in case_text.actions(result)]
    lines += accept_text.lines(result.acceptances)
    level = "warning" if result.accepted else _LEVELS[result.outcome]
    return _Note(level, result, f"{case_text.outcome_word(result).upper()} {result.case}", "\n".join(lines))


def _notable(result: CaseResult) -> list[Verdict]:
    return [
        v for v in case_text.by_importance(result.verdicts) if v.outcome == result.outcome and metric_text.change(v)
    ]


def _change(v: Verdict) -> str:
    sure = f", 95 % interval {metric_text.interval(v)}" if metric_text.interval(v) else ""
    return f"{metric_text.metric_name(v.metric)}: {' -> '.join(metric_text.sides(v))} ({metric_text.change(v)}{sure})"


def _command(note: _Note, prefix: str) -> str:
    place = f"file={_property(printable(prefix + note.result.location.path))},line={note.result.location.line}"
    title, message = _property(printable(note.title)), _data(printable_lines(note.message))
    return f"::{note.level} {place},title={title}::{message}"


def _data(text: str) -> str:
    """As `escapeData` of actions/toolkit (packages/core/src/command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As `escapeProperty` of actions/toolkit (packages/core/src/command.ts)."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
