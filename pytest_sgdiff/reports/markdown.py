"""The Markdown report: a job summary (GITHUB_STEP_SUMMARY) or a comment on a pull request.

What regressed comes first and open, what passed is folded away. Text from cases and logs is escaped, so that it can
neither break a table nor become markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff.data import CaseResult, Run, Verdict
from pytest_sgdiff.printable import printable_lines
from pytest_sgdiff.reports import (
    accept_text,
    attribution_text,
    case_text,
    evidence,
    metric_text,
    noise_text,
    numbers,
    problem_text,
    profile_text,
    reason_text,
    text,
    trend_text,
    warning_text,
)
from pytest_sgdiff.reports.facts import fingerprint
from pytest_sgdiff.reports.markup import escape as _escape
from pytest_sgdiff.reports.markup import fence as _fence
from pytest_sgdiff.reports.shown import shown_run
from pytest_sgdiff.reports.warned import warnings

# GitHub refuses a comment of more than 65,536 characters.
LIMIT = 60_000

_EVIDENCE_LINES = 20
_NAMED = 100
"""So many cases without a result are named; of more the count is given."""
_MARKS = {
    "regressed": "🔴 regressed",
    "invalid": "🟠 invalid",
    "no-baseline": "🟠 no baseline",
    "inconclusive": "🟡 inconclusive",
    "improved": "🟢 improved",
    "pass": "🟢 pass",
    case_text.RECORDED: "🔵 recorded",
    accept_text.ACCEPTED: "🟣 accepted",
}


class MarkdownReport:
    """Title with the summary, tables of the cases, what was not measured, a section per case: what passed is folded."""

    suffix = ".md"

    def render(self, run: Run) -> str:
        """At most `LIMIT` characters as long as the table itself is: sections that do not fit are named instead."""
        run = shown_run(run)
        results = case_text.worst_first(run.results)
        bad = [result for result in results if result.outcome not in {"pass", "improved"}]
        good = [result for result in results if result.outcome in {"pass", "improved"}]
        parts = [f"## {_title(bad, run)}", _escape(text.summary(run))]
        # What was recorded is judged for show: it may well be slower than what it replaced.
        fresh, judged = ([r for r in good if r.recorded is recorded] for recorded in (True, False))
        parts += [_cases([*bad, *fresh])] if bad or fresh else []
        folded = f"{numbers.plural(len(judged), 'case')} without a slowdown"
        parts += [_folded(folded, _cases(judged))] if judged else []
        if run.relations:
            parts.append("\n".join(f"- {_escape(text.relation_line(relation))}" for relation in run.relations))
        accepted = [f"- {_escape(line)}" for line in accept_text.lines(run.acceptances)]
        parts += ["**Accepted for a time**\n\n" + "\n".join(accepted)] if accepted else []
        parts += [_unmeasured(run)] if run.unmeasured else []
        told = [r for r in good if r.outcome == "improved" or r.recorded]
        sections = [(r, _recorded(r) if r.recorded else _section(r)) for r in (*bad, *told)]
        shown, left_out = _fitting(sections, LIMIT - sum(map(len, parts)))
        parts += shown
        parts += [f"Too long to show here: {', '.join(map(_code, left_out))}."] if left_out else []
        warned = [f"- {_escape(_place(r))}: {_escape(warning)}" for r, warning in warnings(results)]
        parts += [_folded(numbers.plural(len(warned), "warning"), "\n".join(warned))] if warned else []
        trends = [
            f"- {'🔴 slower: ' if t.worse else ''}{_code(t.case)} {_escape(trend_text.line(t))}" for t in run.trends
        ]
        parts += ["**Trend over the history**\n\n" + "\n".join(trends)] if trends else []
        parts += [f"noise between launches: {_escape(noise)}" for noise in noise_text.of_all(results)]
        passed = [(r, f"**{_escape(r.case)}**\n\n{_metrics(r)}") for r in good if r not in told and r.verdicts]
        shown, _ = _fitting(passed, LIMIT - sum(map(len, parts)))
        parts += [_folded("all figures of what passed", "\n\n".join(shown))] if shown else []
        parts.append(
            f"<sub>pytest-sgdiff {run.plugin_version} · {_escape(run.started_at)} · {_code(run.command)}</sub>"
        )
        return printable_lines("\n\n".join(parts)) + "\n"


def _title(bad: Sequence[CaseResult], run: Run) -> str:
    broken = sum(relation.outcome == "regressed" for relation in run.relations)
    if broken and not (bad and bad[0].outcome == "regressed" and not bad[0].accepted):
        return f"sgdiff: {numbers.plural(broken, 'case')} not as fast as claimed"
    recorded = sum(result.recorded for result in run.results)
    gaps = case_text.unmeasured(run)
    if not bad and recorded:
        return f"sgdiff: {numbers.plural(recorded, 'baseline')} recorded" + (f", {gaps}" if gaps else "")
    if not bad:
        return f"sgdiff: {gaps or 'no slowdown'}"
    if bad[0].accepted:
        words = f"sgdiff: no slowdown but {numbers.plural(len(bad), 'accepted one')}"
        return f"{words}, {gaps}" if run.unmeasured else words
    if bad[0].outcome != "regressed":
        open_ = sum(not result.accepted for result in bad)
        words = f"sgdiff: {numbers.plural(open_, 'case')} without a verdict"
        return f"{words}, {gaps}" if run.unmeasured else words
    words = f"sgdiff: {_escape(bad[0].case)}: {_escape(case_text.phrase(bad[0]))}"
    more = sum(result.outcome == "regressed" and not result.accepted for result in bad) - 1
    return f"{words}, and {more} more regressed" if more else words


def _unmeasured(run: Run) -> str:
    lines = [f"- {_code(case.node_id)}: {_escape(numbers.clean(case.why))}" for case in run.unmeasured[:_NAMED]]
    more = len(run.unmeasured) - _NAMED
    lines += [f"- and {more} more"] if more > 0 else []
    return "**Not measured**\n\n" + "\n".join(lines)


def _cases(results: Sequence[CaseResult]) -> str:
    rows = [("case", "outcome", "baseline", "now", "change", "95 % interval", "what to know")]
    for result in results:
        verdict = case_text.decisive(result)
        name = f"{_code(result.case)}<br>{_escape(_place(result))}"
        figures = ("",) * 4 if verdict is None else _figures(verdict)
        rows.append((name, _MARKS[case_text.outcome_word(result)], *figures, _escape(case_text.remainder(result))))
    return _table(rows, aligns="<<>>>><")


def _figures(v: Verdict) -> tuple[str, str, str, str]:
    baseline, now = metric_text.sides(v)
    return f"{baseline} {metric_text.spread(v)}".strip(), now, metric_text.change(v), metric_text.interval(v)


def _section(result: CaseResult) -> str:
    parts = [f"### {_MARKS[case_text.outcome_word(result)].split()[0]} {_escape(result.case)}"]
    parts.append(f"{_escape(_place(result))}: {_escape(case_text.headline(result))}")
    for problem in result.problems:
        quoted = [line for item in problem.evidence for line in numbers.clean(item).splitlines()]
        if not result.heads(problem):
            parts.append(f"**{problem.kind}**: {_escape(numbers.clean(problem_text.message(problem)))}")
        parts += [_fence("\n".join(quoted[-_EVIDENCE_LINES:]))] if quoted else []
    if result.verdicts:
        parts.append(_metrics(result))
    elif evidence.measured(result):
        parts.append(f"Measured: {evidence.measured(result)}")
    parts += [_escape(f"where: {told}")] if (told := attribution_text.line(result)) else []
    parts += _profile(result)
    parts += [_escape(evidence.conditions(result))] if result.launches else []
    parts += [f"<sub>{_escape(machine)}</sub>"] if (machine := fingerprint(result)) else []
    if apart := evidence.differences(result):
        parts.append(_escape(f"differs from the {case_text.base_word(result)}: {apart}"))
    if pictures := case_text.pictures(result):
        parts.append(_escape(pictures))
    actions = [f"{word:<10}  {what}" for word, what in case_text.actions(result)]
    parts += [_fence("\n".join(actions))] if actions else []
    return "\n\n".join(parts)


def _profile(result: CaseResult) -> list[str]:
    """What the engine's profiler shows of the case."""
    told = profile_text.head(result.profile)
    rows = [tuple(map(_escape, row)) for row in profile_text.rows(result.profile, base=case_text.base_word(result))]
    return [
        *([_escape(f"profile: {told}")] if told else []),
        *([_table(rows, aligns=profile_text.aligns(rows))] if rows else []),
    ]


def _metrics(result: CaseResult) -> str:
    """The table of what was judged, and below it of what was only seen."""
    rows: list[Sequence[str]] = [("metric", case_text.base_word(result), "now", "change", "95 % interval", "verdict")]
    for v in case_text.by_importance(result.verdicts):
        name = _escape(metric_text.metric_name(v.metric)) + (" (primary)" if v.primary else "")
        cells = (name, *_figures(v), metric_text.verdict_phrase(v))
        rows.append([f"**{cell}**" if cell and v.outcome == "regressed" else cell for cell in cells])
    for seen in evidence.reported(result):
        name = _escape(metric_text.metric_name(seen.metric))
        rows.append((name, *metric_text.sides(seen), metric_text.change(seen), "", metric_text.REPORTED))
    found = case_text.resolution(result)
    below = [*case_text.estimator_legend(result), *([f"{text.DETECTS}: {found}"] if found else [])]
    return "\n\n".join([_table(rows, aligns="<>>>><"), *map(_escape, below)])


def _fitting(sections: Sequence[tuple[CaseResult, str]], room: int) -> tuple[list[str], list[str]]:
    """The sections that fit into `room` characters together, in order, and the node ids of those that do not."""
    shown, left_out = [], []
    for result, section in sections:
        room -= len(section) + 2
        if room < 0:
            left_out.append(result.node_id)
        else:
            shown.append(section)
    return shown, left_out


def _recorded(result: CaseResult) -> str:
    """What a reviewer of a new baseline wants to see: old against new, and what it finds."""
    parts = [
        f"### 🔵 {_escape(result.case)}",
        f"{_escape(_place(result))}: {_escape(numbers.clean(reason_text.reason(result)))}",
    ]
    if result.baseline_recorded is not None:
        parts.append(_escape(f"old: {case_text.baseline_name(result)}"))
    if changed := evidence.changes(result):
        parts.append(_escape(f"changed: {changed}"))
    parts += map(_escape, warning_text.inherited_otherwise(result.changed))
    rows = [tuple(map(_escape, row)) for row in text.renewal_rows(result)]
    below = (*text.promise(result), *case_text.estimator_legend(result), evidence.conditions(result))
    below = (*below, *filter(None, [case_text.pictures(result)]))
    parts += [_table(rows, aligns="<>>>" if len(rows[0]) == 4 else "<>>>>><>"), *map(_escape, below)]
    return "\n\n".join(parts)


def _table(rows: Sequence[Sequence[str]], *, aligns: str) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    rule = "|" + "|".join(" ---: " if align == ">" else " :--- " for align in aligns) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _place(result: CaseResult) -> str:
    return f"{result.location.path}:{result.location.line}"


def _code(value: str) -> str:
    return f"<code>{_escape(value)}</code>"
