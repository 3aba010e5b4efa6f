"""A finished run goes out: report files, the job summary and annotations of GitHub Actions, the history.

Nothing here fails a run by exception: what could not be written is said, and the results are not lost with it.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

from pytest_sgdiff.data import CaseResult, HistoryPoint, Run
from pytest_sgdiff.errors import MissingExtraError, OptionError, SgdiffError
from pytest_sgdiff.files.data_files import leads_out, overwrite
from pytest_sgdiff.files.programs import ask
from pytest_sgdiff.history import store as history
from pytest_sgdiff.history.trend import trends_of
from pytest_sgdiff.plugin.option_values import report_suffix
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.reports import READY, REPORTS
from pytest_sgdiff.reports.github import commands, file_link
from pytest_sgdiff.reports.html import HtmlReport
from pytest_sgdiff.reports.protocol import Report

GIT_S = 30.0
"""How long git may take to name a commit; it takes milliseconds."""


def ready_to_publish(settings: Settings) -> None:
    """Find out before the first launch that a report cannot be made.

    Raises:
        MissingExtraError: its format needs a package that is not installed; the message names the extra.
    """
    for path in settings.reports:
        ready = READY.get(report_suffix(path) or "")
        if ready is not None:
            try:
                ready()
            except ModuleNotFoundError as error:
                raise MissingExtraError(f"--sgdiff-report={path.name}: {error}") from None


def publish(run: Run, settings: Settings, env: Mapping[str, str]) -> tuple[str, ...]:
    """Write everything that was asked for; returns what could not be written, a line each. Paths of the run are from
    the root (`from_root`)."""
    return tuple(_troubles(run, settings, env))


def from_root(run: Run, root: Path) -> Run:
    """The run with the paths of baselines and of launches from the root, since reports are read on other machines.
    What lies outside the root stays absolute."""

    def near(path: str | None) -> str | None:
        file = None if path is None else Path(path).resolve()
        return path if file is None or not file.is_relative_to(top) else file.relative_to(top).as_posix()

    def of(result: CaseResult) -> CaseResult:
        launches = tuple(replace(launch, folder=near(launch.folder)) for launch in result.launches)
        return replace(result, baseline_path=near(result.baseline_path), launches=launches)

    top = root.resolve()
    return replace(run, results=tuple(of(result) for result in run.results))


def workflow_commands(run: Run, env: Mapping[str, str], *, root: Path) -> list[str]:
    """Workflow commands that put the bad outcomes beside the case files, where GitHub Actions reads the output.

    `root` is pytest's: GitHub wants paths from the top of the repository.
    """
    if env.get("GITHUB_ACTIONS") != "true":
        return []
    return commands(run, prefix=repository_prefix(root))


def repository_prefix(root: Path) -> str:
    """The way from the top of the git repository to pytest's root, `bench/`; empty at the top or without git."""
    root = root.resolve()
    for folder in (root, *root.parents):
        # A file in worktrees and submodules. GITHUB_WORKSPACE is no help: a job may check out into a folder below it.
        if (folder / ".git").exists():
            return "" if folder == root else f"{root.relative_to(folder).as_posix()}/"
    return ""


def checkout_commit(root: Path) -> str | None:
    """The commit that is checked out at pytest's root; None without git."""
    answer = ask(["git", "-C", str(root), "rev-parse", "HEAD"], timeout_s=GIT_S)
    return answer.out.strip() or None if answer.code == 0 else None


def past(settings: Settings, run: Run) -> Mapping[str, Mapping[str, tuple[HistoryPoint, ...]]]:
    """Runs before this one of these cases on the same machine and workload, by case and metric; empty without a
    history."""
    if settings.history is None or not settings.history.is_file():
        return {}
    wanted = {(r.case, r.machine.slug, r.workload.digest) for r in run.results if r.machine and r.workload}
    now = {result.case: _measured(result, run, settings).at for result in run.results}
    found: dict[str, dict[str, tuple[HistoryPoint, ...]]] = {}
    try:
        for case in sorted({case for case, _, _ in wanted}):
            for track in history.tracks(settings.history, case=case):
                earlier = tuple(point for point in track.points if point.at < now[case])
                if earlier and (track.case, track.machine, track.workload) in wanted:
                    found.setdefault(track.case, {})[track.metric] = earlier
    except SgdiffError:
        # That the history is unusable is said when this run is to be appended to it.
        return {}
    return found


def with_trends(run: Run, settings: Settings) -> Run:
    """The run with its cases' earlier runs, and with what these and it together show; as it was without a history.

    SciPy is imported only for a series that is long enough.
    """
    history_of = past(settings, run)
    if not history_of:
        return run
    series: dict[str, dict[str, tuple[HistoryPoint, ...]]] = {}
    for result in run.results:
        at, engine = _measured(result, run, settings).at, history.engine_of(result)
        for metric, (value, _) in history.figures(result).items():
            point = HistoryPoint(at=at, value=value, engine_version=engine, commit=run.commit and run.commit[:12])
            earlier = history_of.get(result.case, {}).get(metric, ())
            series.setdefault(result.case, {})[metric] = (*earlier, point)
    recorded = {r.case: _measured(r, run, settings).at for r in run.results} if settings.replay else {}
    return replace(run, history=history_of, trends=trends_of(series), recorded_at=recorded)


def _measured(result: CaseResult, run: Run, settings: Settings) -> history.Measured:
    return history.measured(result, run, run_id=settings.run_id, replayed=settings.replay is not None)


def _troubles(run: Run, settings: Settings, env: Mapping[str, str]) -> Iterator[str]:
    for path in settings.reports:
        yield from _told(path, "report", partial(_write, path, run, settings.root, env))
    summary = env.get("GITHUB_STEP_SUMMARY")
    if summary:
        yield from _told(summary, "job summary", lambda: _append(Path(summary), REPORTS[".md"].render(run)))
    if kept := settings.history:
        yield from _told(kept, "history", partial(_keep, kept, run, settings))


def _keep(path: Path, run: Run, settings: Settings) -> None:
    history.append(path, run, run_id=settings.run_id, replayed=settings.replay is not None)


def _told(path: Path | str, what: str, write: Callable[[], object]) -> Iterator[str]:
    """Write one thing, or say why it could not be written: nothing else is lost with it, whatever went wrong."""
    try:
        write()
    except SgdiffError as error:
        yield str(error)
    except ModuleNotFoundError as error:
        yield f"{path}: {error}"
    except OSError as error:
        yield f"{path}: the {what} could not be written: {error.strerror or error}"
    except Exception as error:
        yield f"{path}: the {what} could not be written: {fault(error)}"


def fault(error: Exception) -> str:
    """A mistake in code as one line: `KeyError: 'e2e' (conftest.py:12)`."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"


def _write(path: Path, run: Run, root: Path, env: Mapping[str, str]) -> None:
    text = _report(path, root, env).render(run)
    if (end := leads_out(path, of=root)) is not None:
        raise OptionError(f"{path}: the report is not written: it is a link out of {root}, to {end}")
    # A link in the project is written through.
    overwrite(Path(os.path.realpath(path)), text)


def _report(path: Path, root: Path, env: Mapping[str, str]) -> Report:
    suffix = report_suffix(path) or path.suffix
    if suffix != ".html":
        return REPORTS[suffix]
    # A page in a folder of its own has its links start there.
    way = Path(os.path.relpath(root.resolve(), path.parent.resolve())).as_posix()
    up = "" if way == "." else f"{quote(way)}/"
    return HtmlReport(link=file_link(env, prefix=repository_prefix(root)) or f"{up}{{path}}#L{{line}}", root=up)


def _append(path: Path, text: str) -> None:
    # Other steps of the job write to the same summary.
    with path.open("a", encoding="utf-8") as file:
        file.write(text.rstrip() + "\n")
