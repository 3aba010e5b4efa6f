"""A run as its reports show it. Every report begins with this: what it quotes comes from logs, recordings, baselines,
machines and case files, and no field of it may be forgotten."""

from __future__ import annotations

from dataclasses import replace

from pytest_sgdiff.data import CaseResult, Problem, Run
from pytest_sgdiff.printable import printable_values
from pytest_sgdiff.reports.numbers import clean


def shown_run(run: Run) -> Run:
    """The run with every text in it `printable`: on one line, without orders to a terminal or to a CI system."""
    return printable_values(replace(run, results=tuple(map(_on_lines, run.results))))


def shown_result(result: CaseResult) -> CaseResult:
    """The result of a case, likewise."""
    return printable_values(_on_lines(result))


def _on_lines(result: CaseResult) -> CaseResult:
    """What may have several lines on one each: quoted lines of a log without colours, a summary in a paragraph."""
    return replace(
        result,
        summary=" ".join(result.summary.split()),
        problems=tuple(replace(problem, evidence=_quoted(problem)) for problem in result.problems),
    )


def _quoted(problem: Problem) -> tuple[str, ...]:
    return tuple(line.expandtabs() for text in problem.evidence for line in clean(text).splitlines())
