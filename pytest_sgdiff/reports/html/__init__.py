"""The HTML report: one file that opens anywhere, with nothing to load.

What got slower, by how much and how sure stands first; each case then shows both sides: stages, launches, steps,
history, GPUs, versions and the commands to go on with. Everything is in the page itself; its script only filters,
sorts and unfolds, and unpacks the sections of a large suite. Templates are in templates/, and escape every text by
themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_sgdiff.data import CaseResult, LaunchRecord, Run, Trend, Verdict
from pytest_sgdiff.metrics import DENOISE_EXCESS, PAUSE
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
    text,
    trend_text,
    warning_text,
)
from pytest_sgdiff.reports.facts import baseline_facts, engine_facts, launch_facts, machine_facts, workload_facts
from pytest_sgdiff.reports.html import charts, drawn
from pytest_sgdiff.reports.html.packed import packed
from pytest_sgdiff.reports.html.requests import lives
from pytest_sgdiff.reports.html.sparks import sparks
from pytest_sgdiff.reports.html.svg import Plot
from pytest_sgdiff.reports.html.timeline import timeline
from pytest_sgdiff.reports.shown import shown_run

if TYPE_CHECKING:
    from jinja2 import Environment

_GOOD = {"pass", "improved"}

WHOLE = 5 << 20
"""Characters of all sections up to which each stands in the page as it is: those of a hundred cases or more."""
PLAIN = 1 << 20
"""Beyond that, characters of the sections of the worst cases, which stand in it all the same."""
PACK = 50
"""Sections of a pack, which the page's script unpacks at once: in some hundredths of a second."""
_KEPT = (
    *("result", "anchor", "word", "open", "headline", "phrase", "remainder", "decisive", "sides", "forest", "actions"),
    "find",
)
"""What the page shows of a case outside its section."""

# The axis of a table's interval pictures: wide enough for all of them, but not for one outlier's sake.
_REACHES = (0.05, 0.1, 0.15, 0.25)


def library() -> object:
    """What the page is made with, imported. Raises ModuleNotFoundError, naming the extra, where it is not installed."""
    try:
        import jinja2
    except ImportError as error:
        message = "the HTML report needs Jinja2: pip install jinja2"
        raise ModuleNotFoundError(message, name="jinja2") from error
    return jinja2


@functools.cache
def environment() -> Environment:
    """The templates, one for all pages of a process: it compiles one once, which takes longer than to render most
    pages."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("pytest_sgdiff.reports.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class HtmlReport:
    """The report. `link` makes an address of a case file's `{path}` and `{line}`: by default relative to the page, in
    CI better that of the commit's file on the forge. `root` leads from the page to the root of the paths in the run,
    `../`; by default they are in one place."""

    suffix: str = ".html"
    link: str = "{path}#L{line}"
    root: str = ""

    def render(self, run: Run) -> str:
        """The page. Raises ModuleNotFoundError, naming the extra, where Jinja2 is not installed."""
        library()
        templates = environment()
        run = shown_run(run)
        cases, packs = self._cases(run)
        script = templates.get_template("page.js").render()
        page = templates.get_template("report.html.j2").render(
            run=run,
            title=_title(run),
            base=next(
                (word for result in run.results if (word := case_text.base_word(result)) != "baseline"), "baseline"
            ),
            summary=text.summary(run),
            counts=case_text.tally(run),
            script=script,
            script_hash=_sha256(script),
            reach=_reach([v for result in run.results if (v := case_text.decisive(result)) is not None]),
            cases=cases,
            packs=packs,
            relations=[(text.relation_line(relation), relation.outcome) for relation in run.relations],
            numbers=numbers,
            phrases=case_text,
            metric_text=metric_text,
            trends=_trends(run, cases),
            acceptances=accept_text.lines(run.acceptances),
            noise=noise_text.of_all(run.results),
        )
        return f"{page}\n"

    def _cases(self, run: Run) -> tuple[list[dict[str, Any]], list[str]]:
        """What the page shows of each case, the worst first, and the packs that hold what is packed of it."""
        results = case_text.worst_first(run.results)
        reach = _reach([v for result in results if (v := case_text.decisive(result)) is not None])
        shown = drawn.pictures(results)
        trends: dict[str, list[Trend]] = {}
        for trend in run.trends:
            trends.setdefault(trend.case, []).append(trend)
        seen: dict[str, int] = {}
        views = []
        sections = _Sections()
        for result in results:
            seen[result.case] = count = seen.get(result.case, 0) + 1
            anchor = result.case if count == 1 else f"{result.case}.{count}"
            outputs, left_out = shown[result.node_id]
            view = {
                **self._case(run, result, trends.get(result.case, ()), anchor=anchor, reach=reach),
                "outputs": outputs,
                "outputs_left_out": numbers.plural(left_out, "output") if left_out else "",
            }
            body = environment().get_template("case.html.j2").module.body(view, text.CORE_LEGEND, text.PAUSE_LEGEND)  # type: ignore[attr-defined]
            # Of a large suite the pictures alone would take a gigabyte.
            views.append({key: view[key] for key in _KEPT})
            sections.add(views[-1], body)
        return views, sections.packs()

    def _case(
        self, run: Run, result: CaseResult, trends: Sequence[Trend], *, anchor: str, reach: float
    ) -> dict[str, Any]:
        decisive, history = case_text.decisive(result), run.history.get(result.case, {})
        primary = case_text.primary(result)
        now = evidence.centre(result, primary.metric) if primary else None
        changes = [c for trend in trends if primary and trend.metric == primary.metric for c in trend.changes]
        own_reach = _reach(result.verdicts)
        engine = next((e for launch in result.launches if (e := launch.environment.engine_version)), None)
        pictures = [charts.launches(result, v) for v in case_text.by_importance(result.verdicts) if not _negligible(v)]
        pictures[1:1] = [
            charts.stages(result),
            charts.steps(result),
            timeline(
                primary,
                history,
                now=now,
                today=run.recorded_at.get(result.case, run.started_at),
                engine=engine,
                changes=changes,
            ),
        ]
        return {
            "result": result,
            "anchor": anchor,
            "word": case_text.outcome_word(result),
            "open": result.outcome not in _GOOD,
            "headline": case_text.headline(result),
            "phrase": case_text.phrase(result),
            "remainder": case_text.remainder(result),
            "decisive": decisive,
            "sides": metric_text.sides(decisive) if decisive is not None else ("", ""),
            "forest": charts.forest(decisive, reach=reach) if decisive is not None else None,
            "rows": [_row(v, reach=own_reach, paired=result.paired) for v in case_text.by_importance(result.verdicts)],
            "seen": [_seen(figures) for figures in evidence.reported(result)],
            "found": case_text.resolution(result),
            "measured": "" if result.verdicts else evidence.measured(result),
            "estimators": case_text.estimator_legend(result) if result.verdicts else (),
            "has_excess": any(v.metric == DENOISE_EXCESS for v in result.verdicts),
            "has_pause": any(v.metric == PAUSE for v in result.verdicts),
            "actions": case_text.actions(result),
            "files_href": self._files(result),
            "where": attribution_text.line(result),
            "commits": attribution_text.titles(result.attribution),
            "profile": profile_text.head(result.profile),
            "profile_rows": profile_text.rows(result.profile, base=case_text.base_word(result)),
            "conditions": evidence.conditions(result) if result.launches else "",
            "find": _find(result),
            "apart": evidence.differences(result),
            "drew": case_text.pictures(result),
            "other_picture": result.quality is not None and result.quality.other_picture,
            "warnings": (*accept_text.lines(result.acceptances), *warning_text.of_case(result)),
            "base": case_text.base_word(result),
            "problems": [
                (p.kind, "" if result.heads(p) else numbers.clean(problem_text.message(p)), _lines(p.evidence))
                for p in result.problems
            ],
            "trends": [(trend.worse, trend_text.line(trend)) for trend in trends],
            "pictures": [picture for picture in pictures if picture is not None],
            "launches": [_launch(launch, primary) for launch in result.launches],
            "requests": lives(result, primary),
            "facts": [
                ("Machine", machine_facts(result)),
                (case_text.base_word(result).capitalize(), [*baseline_facts(result), *_unlinked(result)]),
                ("Workload", workload_facts(result)),
            ],
            "settings": engine_facts(result),
            "href": self._href(result.location.path, result.location.line),
            "baseline_href": self._href(path, 1) if (path := result.baseline_path) and _linked(path) else None,
        }

    def _href(self, path: str, line: int) -> str:
        from urllib.parse import quote

        return self.link.format(path=quote(path), line=line)

    def _files(self, result: CaseResult) -> str:
        from urllib.parse import quote

        folder = result.folder or ""
        return f"{self.root if _linked(folder) else ''}{quote(folder)}"


class _Sections:
    """The sections of a page: as they are while all of them are few, else but for those of the worst cases packed."""

    def __init__(self) -> None:
        self._size = 0
        self._waiting: list[tuple[dict[str, Any], str]] = []
        self._packs: list[str] = []

    def add(self, view: dict[str, Any], body: str) -> None:
        """Put the section into the view of its case, for now at least."""
        view.update(body=body, pack="")
        self._size += len(body)
        if self._size > PLAIN:
            self._waiting.append((view, body))
        while self._size > WHOLE and len(self._waiting) >= PACK:
            self._pack(PACK)

    def packs(self) -> list[str]:
        """What is packed. The views of its cases have their place in it, `3.17`."""
        if self._size > WHOLE:
            self._pack(PACK)
        return self._packs

    def _pack(self, count: int) -> None:
        first, self._waiting = self._waiting[:count], self._waiting[count:]
        for place, (view, _) in enumerate(first):
            view.update(body="", pack=f"{len(self._packs)}.{place}")
        if first:
            self._packs.append(packed(body for _, body in first))


def _trends(run: Run, cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the history shows, each with the anchor of its case."""
    anchors = {case["result"].case: case["anchor"] for case in reversed(cases)}
    return [
        {"case": t.case, "anchor": anchors[t.case], "worse": t.worse, "line": trend_text.line(t)} for t in run.trends
    ]


def _find(result: CaseResult) -> str:
    """What a packed section is found by, beside what its row says: who wants the rest unpacks it."""
    model = None if result.workload is None else result.workload.fields.get("model")
    product = None if result.machine is None else result.machine.product
    return " ".join(str(word) for word in (model, product, result.summary) if word)


def _linked(path: str) -> bool:
    """Whether a link can lead to the file: an absolute path is one of the measuring machine alone."""
    return not path.startswith("/")


def _unlinked(result: CaseResult) -> list[tuple[str, str]]:
    path = result.baseline_path
    return [("file", path)] if path and not _linked(path) else []


def _negligible(verdict: Verdict) -> bool:
    """A metric too small to be judged by size; the table of metrics has it, a picture would show only noise."""
    return verdict.outcome == "pass" and verdict.ratio is None and verdict.metric_class != "pause"


def _row(verdict: Verdict, *, reach: float, paired: bool) -> dict[str, Any]:
    baseline, now = metric_text.sides(verdict)
    return {
        "verdict": verdict,
        "name": metric_text.metric_name(verdict.metric),
        "baseline": baseline,
        "spread": metric_text.spread(verdict),
        "now": now,
        "change": metric_text.change(verdict),
        "interval": metric_text.interval(verdict),
        "words": metric_text.verdict_phrase(verdict),
        "remark": metric_text.remark(verdict, paired=paired),
        "forest": charts.forest(verdict, reach=reach),
    }


def _seen(figures: evidence.Reported) -> dict[str, str]:
    baseline, now = metric_text.sides(figures)
    name, change = metric_text.metric_name(figures.metric), metric_text.change(figures)
    return {"name": name, "baseline": baseline, "now": now, "change": change, "words": metric_text.REPORTED}


def _launch(launch: LaunchRecord, primary: Verdict | None) -> dict[str, Any]:
    value = launch.metrics.get(primary.metric) if primary is not None else None
    plots: Mapping[str, Plot] = {plot.title: plot for plot in sparks(launch)}
    return {
        "launch": launch,
        "value": numbers.quantity(value, primary.unit) if primary is not None else numbers.UNKNOWN,
        "wall": numbers.UNKNOWN if launch.wall_s is None else numbers.duration(launch.wall_s),
        "sparks": [plots.get(name) for name in ("SM clock", "power", "memory")],
        "facts": launch_facts(launch),
    }


def _title(run: Run) -> str:
    worse = [result for result in run.results if result.outcome == "regressed" and not result.accepted]
    if worse:
        # More memory alone makes nothing slower.
        slower = all(any(_slower(verdict) for verdict in result.verdicts) for result in worse)
        return f"{len(worse)} of {numbers.plural(run.selected, 'case')} {'got slower' if slower else 'regressed'}"
    gaps = case_text.unmeasured(run)
    if run.measured == 0:
        return gaps.capitalize()
    broken = sum(relation.outcome == "regressed" for relation in run.relations)
    if broken:
        return f"{numbers.plural(broken, 'case')} not as fast as claimed"
    recorded = sum(result.recorded for result in run.results)
    # An update judges for show: what it replaced may well have been faster.
    if gaps and not recorded:
        return gaps.capitalize()
    words = f"{numbers.plural(recorded, 'baseline')} recorded" if recorded else "No case got slower"
    if accepted := sum(result.accepted for result in run.results):
        words = f"No case got slower but {accepted}, which {'is' if accepted == 1 else 'are'} accepted"
    if gaps:
        return f"{words}, {gaps}"
    settled = all(result.accepted or result.outcome in _GOOD for result in run.results) and run.measured >= run.selected
    return words if settled else f"{words}, but not every case has a verdict"


def _slower(verdict: Verdict) -> bool:
    return verdict.outcome == "regressed" and verdict.metric_class != "memory"


def _reach(verdicts: Sequence[Verdict]) -> float:
    sides = [abs(side - 1) for v in verdicts for side in (v.ratio, v.low, v.high) if side is not None]
    limits = [v.allow * 1.2 for v in verdicts if v.allow is not None]
    widest = max((*sides, *limits), default=0.0)
    return next((reach for reach in _REACHES if widest <= reach), _REACHES[-1])


def _lines(evidence: Sequence[str]) -> list[str]:
    return [line for item in evidence for line in numbers.clean(item).splitlines()]


def _sha256(script: str) -> str:
    """The hash by which the page's content security policy allows this script and no other."""
    import base64
    import hashlib

    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
