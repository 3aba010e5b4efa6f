"""What the terminal shows: one line per case, the failure message, the closing table and the summary line.

Plain text, aligned by hand and never cut to a width: in a CI log the end of a name is what one looks for.
"""

from __future__ import annotations

from typing import Literal

from pytest_sgdiff.data import CaseResult, Gap, Problem, Profiled, Relation, Run, Verdict
from pytest_sgdiff.metrics import DENOISE_EXCESS, PAUSE
from pytest_sgdiff.printable import printable, printable_lines
from pytest_sgdiff.reports import (
    accept_text,
    attribution_text,
    case_text,
    evidence,
    finding_text,
    launch_notes,
    metric_text,
    noise_text,
    numbers,
    problem_text,
    profile_text,
    reason_text,
    trend_text,
    warning_text,
)
from pytest_sgdiff.reports.aligned import joined, table
from pytest_sgdiff.reports.figures import fixed
from pytest_sgdiff.reports.shown import shown_result, shown_run
from pytest_sgdiff.reports.warned import UNCHECKED, warnings

Align = Literal["<", ">"]

PAUSE_LEGEND = "pause is the time outside the denoising steps and stages; e2e is judged net of pauses"
CORE_LEGEND = "the core is what the steps take where nothing holds them up, and the excess what they take beyond it"
DETECTS = "minimum detectable slowdown"
FINDS = "detects: 19 of 20 runs find a slowdown (of memory a growth) of this size"


class TextReport:
    """The closing table and the message of every case as a text file."""

    suffix = ".txt"

    def render(self, run: Run) -> str:
        """Header, closing table, the messages of all cases worst first, what was not measured, summary."""
        run = shown_run(run)
        messages = [renewal(r) if r.recorded else message(r) for r in case_text.worst_first(run.results)]
        parts = ["\n".join(run.header), closing(run), *messages, "\n".join(unmeasured_lines(run)), summary(run)]
        return printable_lines("\n\n".join(part for part in parts if part)) + "\n"


def case_line(result: CaseResult, *, width: int | None = None) -> str:
    """The one line of a case. `width` pads the node id, so that the lines of a run stand in columns."""
    return printable(joined(_case_cells(shown_result(result)), widths=(width or 0, 12, 10, 8, 12, 0), aligns="<<>><<"))


def reason_first(result: CaseResult) -> str:
    """Why a case failed, with the figure first: pytest's short summary cuts the line to the width of the terminal."""
    result = shown_result(result)
    verdict = case_text.decisive(result)
    words = case_text.headline(result)
    other = result.reason_code == "picture-changed"
    if result.outcome == "regressed" and not other and verdict is not None and (change := metric_text.change(verdict)):
        words = f"{change} {metric_text.metric_name(verdict.metric)}: {words}"
    return printable(words)


def remarks(result: CaseResult) -> list[str]:
    """What the launches' watches say beside disturbances, for `-v`."""
    return list(map(printable, launch_notes.notes_of_all(result.launches)))


def closing(run: Run) -> str:
    """The table of all cases and the remarks on the run; the worst case stands last."""
    results = case_text.worst_first(shown_run(run).results)[::-1]
    rows = [("case", "GPUs", "launches", "primary", "outcome", ""), *(_case_cells(result) for result in results)]
    lines = table(rows, aligns="<<>><<") if results else []
    return "\n".join([*map(printable, lines), *run_remarks(run)])


def run_remarks(run: Run) -> list[str]:
    """What is said below the table of all cases, or where each case had its line when it was judged: warnings, trends,
    noise, and what the launches can distinguish."""
    run = shown_run(run)
    results = case_text.worst_first(run.results)[::-1]
    lines = accept_text.lines(run.acceptances)
    lines += [f"{_place(result)}: warning: {text}" for result, text in warnings(results)]
    lines += [f"trend: {'slower: ' if t.worse else ''}{t.case} {trend_text.line(t)}" for t in run.trends]
    lines += [f"noise between launches: {noise}" for noise in noise_text.of_all(results)]
    found = [
        f"{result.case} {numbers.percent(v.detectable)}"
        for result in results
        # Of a new baseline its own table tells it.
        if not result.recorded and (v := case_text.primary(result)) is not None and v.detectable is not None
    ]
    lines += [f"{DETECTS} (primary metric): {', '.join(found)}"] if found else []
    return list(map(printable, lines))


def unchecked(run: Run) -> list[str]:
    """The warnings that something was not looked at, which stand where the other remarks are left out, too."""
    run = shown_run(run)
    results = case_text.worst_first(run.results)[::-1]
    return [printable(f"{_place(result)}: warning: {text}") for result, text in warnings(results, only=UNCHECKED)]


def summary(run: Run) -> str:
    """`measured 9 of 9 · 7 pass · 1 regressed · 1 invalid · 1 h 12 min, GPUs busy 96 %`; `2 recorded` of an update."""
    parts = [f"measured {run.measured} of {run.selected}"]
    parts += [f"{count} {word}" for word, count in case_text.tally(run)]
    busy = "" if run.gpu_busy is None else f", GPUs busy {run.gpu_busy * 100:.0f} %"
    return " · ".join([*parts, numbers.duration(run.elapsed_s) + busy])


def unmeasured_lines(run: Run) -> list[str]:
    """`not measured: cases/wan22.yaml::wan22_t2v (skipped: …)`, a line per case that has no result."""
    return [printable(f"not measured: {case.node_id} ({case.why})") for case in run.unmeasured]


def gaps(run: Run) -> str:
    """`15 of 26 selected cases not measured: 12 need another engine version (…), 3 were skipped (…)`"""
    names: dict[Gap, list[str]] = {}
    for case in run.unmeasured:
        names.setdefault(case.gap, []).append(numbers.clean(case.node_id.rpartition("::")[2]))
    told = [
        f"{case_text.gap(gap, len(names[gap]))} ({', '.join(names[gap])})" for gap in case_text.GAPS if gap in names
    ]
    return f"{len(run.unmeasured)} of {numbers.plural(run.selected, 'selected case')} not measured: {', '.join(told)}"


def relation_line(relation: Relation) -> str:
    """`firered[cfg] takes 18.3 % less time than firered[ulysses] (claimed: 10 %): holds, 3 against 3 launches`"""
    claimed = f"(claimed: {100 * relation.at_least:g} %)"
    if relation.ratio is None:
        return printable(f"{relation.case} against {relation.than} {claimed}: {reason_text.relation(relation)}")
    gain = 100 * (1 - relation.ratio)
    than = f"{fixed(abs(gain), 1)} % {'less' if gain >= 0 else 'more'} time than {relation.than}"
    return printable(f"{relation.case} takes {than} {claimed}: {reason_text.relation(relation)}")


def message(result: CaseResult) -> str:
    """Everything about a case: headline, evidence, stage table, conditions, what to do."""
    result = shown_result(result)
    blocks = [[f"{_place(result)}: {case_text.headline(result)}"]]
    quoted: dict[str, None] = {}
    blocks += [_problem_lines(problem, quoted, headed=result.heads(problem)) for problem in result.problems]
    if result.verdicts:
        blocks.append(stage_table(result))
    elif evidence.measured(result):
        blocks.append([f"  measured    {evidence.measured(result)}"])
    reasons = [
        f"{metric_text.metric_name(v.metric)}: {numbers.clean(finding_text.why(v, paired=result.paired))}"
        for v in _explained(result)
    ]
    legends = [
        *([CORE_LEGEND] if _has(result, DENOISE_EXCESS) else []),
        *([PAUSE_LEGEND] if _has(result, PAUSE) else []),
        *case_text.estimator_legend(result),
    ]
    blocks.append([f"  {line}" for line in [*reasons, *legends]])
    if told := attribution_text.line(result):
        blocks.append([f"  where: {told}"])
    blocks.append(profile_lines(result.profile, base=case_text.base_word(result)))
    blocks.append(_facts(result))
    return printable_lines("\n\n".join("\n".join(block) for block in blocks if block))


def profile_lines(told: Profiled | None, *, base: str) -> list[str]:
    """What the engine's profiler shows of a case: a line, and a table of what changed most."""
    words = profile_text.head(told)
    rows = profile_text.rows(told, base=base)
    lines = [f"  {line}" for line in table(rows, aligns=profile_text.aligns(rows))] if rows else []
    return [f"  profile: {words}", *lines] if words else []


def renewal(result: CaseResult) -> str:
    """What was recorded, old against new where there was a baseline before, for whoever reviews it."""
    if not result.recorded or not result.verdicts:
        return ""
    result = shown_result(result)
    head, tail = [f"{_place(result)}: {numbers.clean(reason_text.reason(result))}"], []
    if result.baseline_recorded is not None:
        changed, best = evidence.changes(result), case_text.against_best(result)
        head += [f"  old: {case_text.baseline_name(result)}", *([f"  changed: {changed}"] if changed else [])]
        head += [f"  {numbers.clean(line)}" for line in warning_text.inherited_otherwise(result.changed)]
        tail += [f"  {best}"] if best else []
    tail += [f"  {line}" for line in (*promise(result), *case_text.estimator_legend(result))]
    tail += [f"  {pictures}"] if (pictures := case_text.pictures(result)) else []
    rows = renewal_rows(result)
    lines = table(rows, aligns="<><>" if len(rows[0]) == 4 else "<><>><<>")
    return printable_lines("\n\n".join(["\n".join(head), "\n".join([*(f"  {line}" for line in lines), *tail])]))


def promise(result: CaseResult) -> list[str]:
    """What the last column of `renewal_rows` says, if it says anything."""
    return [FINDS] if any(v.detectable is not None for v in result.verdicts) else []


def renewal_rows(result: CaseResult) -> list[tuple[str, ...]]:
    """One row per metric of a recorded case with the minimum detectable slowdown; the first is the head.

    Without a baseline before there is nothing to compare: centre, spread and minimum detectable slowdown of each
    gated metric.
    """
    anew = result.baseline_recorded is not None
    rows: list[tuple[str, ...]] = [("metric", "recorded", "", "detects")]
    if anew:
        rows = [("metric", "baseline", "", "now", "change", "95 % interval", "verdict", "now detects")]
    for v in case_text.by_importance(result.verdicts):
        name = metric_text.metric_name(v.metric) + ("  (primary)" if v.primary else "")
        (then, now), cv, found = metric_text.sides(v), metric_text.spread(v), metric_text.detectable(v)
        told = (metric_text.change(v), metric_text.interval(v), metric_text.verdict_phrase(v))
        rows.append((name, then, cv, now, *told, found) if anew else (name, now, cv, found))
    for seen in evidence.reported(result) if anew else ():
        then, now = metric_text.sides(seen)
        rows.append(
            (
                metric_text.metric_name(seen.metric),
                then,
                "",
                now,
                metric_text.change(seen),
                "",
                metric_text.REPORTED,
                "",
            )
        )
    return rows


def stage_table(result: CaseResult) -> list[str]:
    """One line per metric, indented by two: the primary one, the others that were judged, those only reported."""
    rows = [("metric", case_text.base_word(result), "", "now", "change", "95 % interval", "verdict")]
    for v in case_text.by_importance(result.verdicts):
        name = metric_text.metric_name(v.metric) + ("  (primary)" if v.primary else "")
        baseline, now = metric_text.sides(v)
        words = metric_text.verdict_phrase(v)
        rows.append((name, baseline, metric_text.spread(v), now, metric_text.change(v), metric_text.interval(v), words))
    for seen in evidence.reported(result):
        name, (baseline, now) = metric_text.metric_name(seen.metric), metric_text.sides(seen)
        rows.append((name, baseline, "", now, metric_text.change(seen), "", metric_text.REPORTED))
    return [f"  {line}" for line in table(rows, aligns="<><>><<")]


def _case_cells(result: CaseResult) -> tuple[str, ...]:
    launches = numbers.plural(len(result.launches), "launch") if result.launches else numbers.UNKNOWN
    cells = (
        result.node_id,
        case_text.gpus(result),
        launches,
        case_text.centre(result),
        case_text.outcome_word(result).upper(),
    )
    return (*cells, case_text.phrase(result))


def _place(result: CaseResult) -> str:
    return f"{result.location.path}:{result.location.line}"


def _problem_lines(problem: Problem, quoted: dict[str, None], *, headed: bool) -> list[str]:
    """The problem and its evidence; `headed`: the headline says the problem already. What an earlier problem of the
    case has `quoted` is not quoted again."""
    lines = [line for text in problem.evidence for line in numbers.clean(text).splitlines()]
    new = [line for line in lines if line not in quoted]
    quoted |= dict.fromkeys(lines)
    head = [] if headed else [f"  {problem.kind}: {numbers.clean(problem_text.message(problem))}"]
    return [*head, *(f"    | {line}" for line in new)]


def _explained(result: CaseResult) -> list[Verdict]:
    """Verdicts that need a sentence of their own: what could not be told, unless the headline does, and pauses, whose
    medians tell little."""
    return [
        v
        for v in case_text.by_importance(result.verdicts)
        if (v.outcome == "inconclusive" or v.metric_class == "pause") and v.metric not in result.decided_by
    ]


def _has(result: CaseResult, metric: str) -> bool:
    return any(v.metric == metric for v in result.verdicts)


def _facts(result: CaseResult) -> list[str]:
    lines = [f"  {evidence.conditions(result)}"] if result.launches else []
    found = case_text.resolution(result)
    lines += [f"  {DETECTS}: {found}"] if found else []
    apart = evidence.differences(result)
    lines += [f"  differs from the {case_text.base_word(result)}: {apart}"] if apart else []
    pictures = case_text.pictures(result)
    lines += [f"  {pictures}"] if pictures else []
    # Where launches are not compared, the reason names what they inherited otherwise.
    otherwise = warning_text.inherited_otherwise(result.changed) if result.verdicts else ()
    lines += [f"  {numbers.clean(line)}" for line in otherwise]
    lines += [f"  {line}" for line in accept_text.lines(result.acceptances)]
    # Where launches were disturbed too often, or one failed (and gave no number), the reason says it.
    replaced = [] if result.reason_code == "environment" else [one for one in result.launches if not one.counts]
    replaced = [one for one in replaced if one.metrics or result.reason_code != "problem"]
    lines += [f"  launch {one.number} discarded: {numbers.clean(reason_text.discarded(one))}" for one in replaced]
    lines += [f"  {key:<10}  {value}" for key, value in case_text.actions(result)]
    return lines
