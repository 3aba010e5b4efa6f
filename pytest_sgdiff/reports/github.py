"""GitHub Actions workflow commands that put a message at the case's line in a pull request.

    ::error file=cases/wan22.yaml,line=12,title=REGRESSED wan22_t2v_a14b_720p::denoising is 5.3 %25 slower than …

GitHub shows ten errors, ten warnings and ten notices of a step, so the worst come first.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sgdiff.data import CaseResult, Outcome, Run, Verdict
from pytest_sgdiff.reports import metricwords, numbers, phrases
from pytest_sgdiff.reports.text import relation_line

_LEVELS: Mapping[Outcome, str] = {
    "regressed": "error",
    "invalid": "error",
    "no-baseline": "error",
    "inconclusive": "warning",
    "improved": "notice",
}


def commands(run: Run, *, prefix: str = "") -> list[str]:
    """One command per case that did not simply pass, worst first, then one per claim that does not hold, and warning.

    `prefix` is the folder of the case files' root inside the repository, `bench/`, where the two differ.
    """
    results = phrases.worst_first(run.results)
    lines = [_case(result, prefix) for result in results if result.outcome in _LEVELS]
    by_id = {result.case: result for result in results}
    lines += [
        _command(_LEVELS[claim.outcome], by_id[claim.case], prefix, title=claim.case, message=relation_line(claim))
        for claim in run.relations
        if claim.outcome in _LEVELS and claim.case in by_id
    ]
    lines += [
        _command("warning", result, prefix, title=result.case, message=numbers.clean(warning))
        for result in results
        for warning in result.warnings
    ]
    return lines


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


def _case(result: CaseResult, prefix: str) -> str:
    title = f"{result.outcome.upper()} {result.case}"
    lines = [phrases.headline(result), *(_change(v) for v in _notable(result))]
    lines += [numbers.clean(line) for problem in result.problems for line in (problem.message, *problem.evidence[:5])]
    lines += [f"{word}: {what}" for word, what in phrases.actions(result)]
    return _command(_LEVELS[result.outcome], result, prefix, title=title, message="\n".join(lines))


def _notable(result: CaseResult) -> list[Verdict]:
    return [v for v in phrases.by_importance(result.verdicts) if v.outcome == result.outcome and metricwords.change(v)]


def _change(v: Verdict) -> str:
    sure = f", 95 % interval {metricwords.interval(v)}" if metricwords.interval(v) else ""
    return f"{metricwords.metric_name(v.metric)}: {' -> '.join(metricwords.sides(v))} ({metricwords.change(v)}{sure})"


def _command(level: str, result: CaseResult, prefix: str, *, title: str, message: str) -> str:
    place = f"file={_property(prefix + result.location.path)},line={result.location.line}"
    return f"::{level} {place},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    """As `escapeData` of actions/toolkit (packages/core/src/command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As `escapeProperty` of actions/toolkit (packages/core/src/command.ts)."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
