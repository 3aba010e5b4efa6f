"""Data that others made: one field of it changed at a time, and everything that this plugin says of it."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from pytest_sgdiff import baselines
from pytest_sgdiff.baselines.renew import renew
from pytest_sgdiff.cases.load import read_cases
from pytest_sgdiff.cli import main
from pytest_sgdiff.data import CaseResult, Measurement, Recorded
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.history import store as history
from pytest_sgdiff.judging.suite_prior import suite_priors
from pytest_sgdiff.judging.workload import workload
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.reports import REPORTS, github
from pytest_sgdiff.reports.junit import properties
from pytest_sgdiff.reports.text import case_line, closing, message, remarks, renewal
from pytest_sgdiff.runner.gate import gate
from pytest_sgdiff.runner.job import Job
from pytest_sgdiff.runner.record import record as record_case
from pytest_sgdiff.runner.replay import ReplaySource, of_two_measurements
from tests import factories

DATA = Path(__file__).parent / "data" / "foreign"
"""A project with one case, its recording of one launch, and its baseline."""

LAUNCH = "rec/tiny/00/launch.json"
DUMP = "rec/tiny/00/perf.json"
LOG = "rec/tiny/00/engine.log"
BASELINE = "baselines/nvidia-h200-x1/tiny.json"

HOSTILE = "a\n::error::p\r::stop-commands::q\x1b]0;t\x07\u202e##[error]x ##vso[task.complete]\u2028\x9b31m\ud800"
"""Text that is to give orders to terminals and to CI systems."""

Place = tuple[str | int, ...]


class Raw(str):
    """A value as it stands in the file, though it is no JSON."""


VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 7, 10**30, 10**320, 1e308, -1e308, 1e-320, -0.0),
    *("x", "", [], {}, [1], [None], [[1.0]], {"a": 1}),
    *(Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("1" + "0" * 5000), Raw("[" * 300 + "]" * 300)),
    HOSTILE,
)
"""What a field may be that is not what it should be."""


def project(folder: Path) -> Path:
    """A copy of the project."""
    shutil.copytree(DATA, folder, dirs_exist_ok=True)
    return folder


def places(document: Any, path: Place = ()) -> Iterator[Place]:
    """Where values stand in a document, of lists the first two."""
    inner = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document[:2])
        if isinstance(document, list)
        else ()
    )
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


def without(document: Any, place: Place) -> Any:
    """The document without a value."""
    new = copy.deepcopy(document)
    parent = _at(new, place[:-1])
    del parent[place[-1]]
    return new


def replaced(document: Any, place: Place, value: Any) -> Any:
    """The document with another value in a place."""
    new = copy.deepcopy(document)
    _at(new, place[:-1])[place[-1]] = value
    return new


def variants(document: Any) -> Iterator[Any]:
    """Every value left out, replaced by each of VALUES, lists of another length, and mappings with a hostile key."""
    for place in places(document):
        yield without(document, place)
        for value in VALUES:
            yield replaced(document, place, value)
        if isinstance(old := _at(document, place), list) and old:
            for other in (old[:-1], old + old, old[:1] * 300):
                yield replaced(document, place, other)
        if isinstance(old, dict):
            for key in (HOSTILE, "stage:", "stage:" + HOSTILE):
                yield replaced(document, (*place, key), 1.5)


def text_of(document: Any) -> bytes:
    """The document as a file."""
    raw: list[str] = []

    def kept(value: Any) -> Any:
        if isinstance(value, Raw):
            raw.append(str(value))
            return f"@@{len(raw) - 1}@@"
        if isinstance(value, dict):
            return {key: kept(item) for key, item in value.items()}
        return [kept(item) for item in value] if isinstance(value, list) else value

    text = json.dumps(kept(document))
    for number, value in enumerate(raw):
        text = text.replace(f'"@@{number}@@"', value)
    return text.encode()


def _at(document: Any, place: Place) -> Any:
    for key in place:
        document = document[key]
    return document


def everything(root: Path, *, quick: bool = False) -> Iterator[tuple[str, str]]:
    """What every part of the plugin says of the project, by the name of the output. A SgdiffError is an answer too.
    `quick`: without what takes its time, the page, the history and the commands that only print what others read."""
    for record in (False, True):
        result = yield from _result(root, record=record)
        if result is None:
            continue
        # As it crosses from a worker of xdist.
        again = from_plain(CaseResult, json.loads(json.dumps(to_plain(result), allow_nan=False)))
        assert to_plain(again) == to_plain(result)
        run = factories.run(result)
        for suffix, report in REPORTS.items():
            if not (quick and suffix == ".html"):
                yield suffix, report.render(run)
        for part in (message(result), renewal(result), case_line(result), closing(run), *remarks(result)):
            yield "terminal", part
        for command in github.commands(run):
            yield "annotation", command
        for name, value in properties(result):
            yield "property", f"{name}={value}"
        if not quick:
            yield from _history(root, run)
    for words in COMMANDS[:: 2 if quick else 1]:
        yield " ".join(words), _printed(root, words)


COMMANDS = (
    ("inspect", "--dump", DUMP, "--log", LOG),
    ("inspect", "--dump", DUMP, "--json"),
    ("compare", "rec", BASELINE),
    ("compare", DUMP, "rec/tiny/00", "--format", "markdown", "--anyway"),
    ("compare", BASELINE, "rec/tiny", "--anyway", "--format", "json"),
    ("baselines", "list"),
    ("baselines", "list", "--json"),
    ("baselines", "show", "tiny"),
    ("baselines", "check"),
    ("baselines", "diff", "baselines"),
    ("export", "NVIDIA H200"),
)


def _result(root: Path, *, record: bool) -> Generator[tuple[str, str], None, CaseResult | None]:
    """The result of replaying the recording; a generator that returns it."""
    (case,) = read_cases(root / "cases/tiny.yaml", root)
    folder = root / "baselines"
    try:
        launches = recordings.read_launches(root / "rec", case.id)
        job = Job(
            case=case,
            source=ReplaySource(launches),
            engine=ENGINES[case.engine],
            workload=workload(case, asset_hashes={}),
            baseline_for=lambda machine: baselines.find(folder, machine, case.id),
            only_machine=lambda: baselines.only_machine(folder, case.id),
            other_machines=lambda: baselines.others(folder, case.id),
            priors_for=lambda machine: suite_priors(baselines.suite(folder, machine)),
            problems=of_two_measurements(launches),
        )
        result = record_case(job) if record else gate(job)
        if record and result.recorded and result.machine and result.workload:
            counted = tuple(entry for entry in result.launches if entry.excluded is None)
            fresh = Measurement(case=case.id, machine=result.machine, workload=result.workload, launches=counted)
            recorded = Recorded(at="2026-11-24T02:00:00+00:00", command="pytest", sessions=("one",))
            old = baselines.find_replaceable(folder, result.machine, case.id)
            baselines.save(root / "candidates", renew(old, fresh, recorded, engine_version="0.5.17"))
    except SgdiffError as error:
        yield "error", str(error)
        return None
    return result


def _history(root: Path, run: Any) -> Iterator[tuple[str, str]]:
    path = root / "history.db"
    try:
        history.append(path, run, run_id="one")
    except SgdiffError as error:
        yield "error", str(error)
    yield "trend", _printed(root, ("trend", "history.db"))
    path.unlink(missing_ok=True)


def _printed(root: Path, words: tuple[str, ...]) -> str:
    out = io.StringIO()
    with (
        _chdir(root),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        contextlib.suppress(SystemExit),
    ):
        main(words)
    return out.getvalue()


_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]|##\\w*\\["
)


def orders(name: str, text: str) -> list[str]:
    """The lines of an output that would give an order to a terminal or to a CI system."""
    lines = text.split("\n")
    if name == "annotation":
        assert len(lines) == 1
        return lines if _FORBIDDEN.search(text) else []
    return [line for line in lines if line.lstrip().startswith("::") or "\t" in line or _FORBIDDEN.search(line)]


@contextlib.contextmanager
def _chdir(folder: Path) -> Iterator[None]:
    """`contextlib.chdir`, which Python 3.10 does not have."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
