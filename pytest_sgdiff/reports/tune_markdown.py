"""A search for the fastest flags as Markdown, for a pull request or a job summary. Foreign text is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_sgdiff.reports import tune_claims_text, tune_ranking_text, tune_space_text, tune_text
from pytest_sgdiff.reports.markup import escape, fence
from pytest_sgdiff.tuning.report import TuneReport


def render(report: TuneReport) -> str:
    """The headline, the facts, the ranking, the front, what was given up or left out, and the command line."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: TuneReport) -> Iterator[str]:
    yield f"# {escape(tune_text.headline(report))}"
    yield ""
    yield from (f"- {escape(name)}: {escape(value)}" for name, value in tune_text.facts(report))
    for line in tune_text.notes(report):
        # Each is a paragraph of its own.
        yield from _section("", [f"**{escape(line)}**"])
    for name, command, changed in tune_text.commands(report):
        yield from _section(f"Run {name} with", [fence(command), "", f"({escape(changed)})"])
    yield from _table("Ranking", tune_ranking_text.ranking(report))
    yield from _section("", [f"- {escape(line)}" for line in tune_ranking_text.legend(report)])
    yield from _section("Compared", [f"- {escape(line)}" for line in tune_text.comparisons(report, verbose=True)])
    yield from _section("Given up", [f"- {escape(line)}" for line in tune_text.given_up(report)])
    yield from _table(_title(tune_ranking_text.FRONT), tune_ranking_text.front_rows(report))
    yield from _table(_title(tune_ranking_text.lossless_front(report)), tune_ranking_text.lossless_rows(report))
    told = [f"- {escape(line)}" for line in tune_claims_text.claims(report)]
    yield from _section(_title(tune_claims_text.guide(report)), told)
    yield from _section("What the variants change", [f"- {escape(line)}" for line in tune_text.settings(report)])
    yield from _section("Left out", [f"- {escape(line)}" for line in tune_space_text.left_out(report, verbose=True)])


def _title(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        if title:
            yield f"## {escape(title)}"
            yield ""
        yield from lines


def _table(title: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    head, *body = rows
    yield from _section(
        title,
        [
            f"| {' | '.join(map(escape, head))} |",
            f"|{' --- |' * len(head)}",
            *(f"| {' | '.join(map(escape, row))} |" for row in body),
        ],
    )
