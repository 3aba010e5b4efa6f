"""Recordings, baselines and output folders that others filled: run as a user would, alone and with workers."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.foreign import HOSTILE, orders
from tests.plugin.conftest import Project

WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])


def each(name: str, *values: str) -> pytest.MarkDecorator:
    """A test of every value, and of the first one in a worker too: what differs there is the way out, for all alike."""
    rows = [pytest.param(value, (), id=value or "itself") for value in values]
    rows.append(pytest.param(values[0], ("-n", "1"), id=f"{values[0]}-xdist"))
    return pytest.mark.parametrize((name, "workers"), rows)


SECRET = "hunter2-is-the-secret"
REPORTS = tuple(f"--sgdiff-report=r.{suffix}" for suffix in ("md", "html", "json", "csv", "txt"))


@pytest.fixture
def recorded(project: Project) -> Project:
    """A project with a baseline, a recording of one launch in `rec`, and a secret beside both."""
    project.baseline()
    project.kept("--sgdiff-gpus=4", "--sgdiff-out=rec")
    project.no_gpus()
    project.write("secret.env", f"DEPLOY_PASSWORD={SECRET}\n")
    return project


def edit(project: Project, change: Any, *, name: str = "rec/tiny/00/launch.json") -> None:
    """Change a JSON file in its place."""
    path = project.root / name
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def written(project: Project, result: pytest.RunResult) -> dict[str, str]:
    """Everything that the run said, by where."""
    files = {path.name: path.read_text() for path in (*project.root.glob("r.*"), *project.root.glob("j.xml"))}
    return {"terminal": result.stdout.str() + result.stderr.str(), **files}


def assert_no_traceback(text: str) -> None:
    assert "INTERNALERROR" not in text
    assert "Traceback (most recent call last)" not in text
    assert re.search(r"pytest_sgdiff/\w+\.py:\d+: \w+", text) is None


@each("name", "engine.log", "perf.json", "launch.json", "")
def test_a_link_in_a_recording_shows_nothing_of_what_it_leads_to(
    recorded: Project, name: str, workers: tuple[str, ...]
) -> None:
    folder = recorded.root / "rec" / "tiny" / "00"
    edit(recorded, lambda launch: launch.pop("returncode"))
    (folder / "perf.json").unlink()
    if name:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(recorded.root / "secret.env")
    else:
        shutil.move(folder, recorded.root / "elsewhere")
        (recorded.root / "elsewhere" / "engine.log").write_text(SECRET)
        folder.symlink_to(recorded.root / "elsewhere")
    result = recorded.run("--sgdiff-replay=rec", *REPORTS, *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = written(recorded, result)
    assert f"{folder / name if name else folder}: is a link, and links are not followed" in told["terminal"]
    assert_no_traceback(told["terminal"])
    assert [where for where, text in told.items() if SECRET in text] == []


def test_a_fifo_in_a_recording_ends_the_case_and_not_the_patience(recorded: Project) -> None:
    log = recorded.root / "rec" / "tiny" / "00" / "engine.log"
    log.unlink()
    os.mkfifo(log)
    result = recorded.run_apart("--sgdiff-replay=rec")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert f"{log}: is not a regular file" in result.stdout.str()


def outside(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder that belongs to nobody's project, and what is in it."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("2023/a.pdf", "00/engine.log", "notes"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    return folder, contents(folder)


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@each("place", "out/tiny", "out/tiny/00", "out/against")
def test_a_live_run_neither_removes_nor_writes_through_a_link(
    project: Project, tmp_path_factory: pytest.TempPathFactory, place: str, workers: tuple[str, ...]
) -> None:
    home, kept = outside(tmp_path_factory)
    link = project.root / place
    link.parent.mkdir(parents=True)
    link.symlink_to(home)
    against = ("--sgdiff-against=sglang",) if place == "out/against" else ()
    result = project.run("--sgdiff-gpus=4", "--sgdiff-out=out", *against, *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert f"{link}: is a link, and links are not followed" in result.stdout.str()
    assert_no_traceback(result.stdout.str())
    assert contents(home) == kept


@WORKERS
def test_a_live_run_removes_launches_of_its_own_and_nothing_else(project: Project, workers: tuple[str, ...]) -> None:
    project.baseline()
    for name in ("2024/photos/a.jpg", "7/thesis.txt", "notes"):
        project.write(f"out/tiny/{name}", "mine")
    kept = contents(project.root / "out")
    for _ in range(2):
        assert project.run("--sgdiff-gpus=4", "--sgdiff-out=out", *workers).ret == 0
    left = contents(project.root / "out")
    assert {name: left[name] for name in kept} == kept
    assert sorted(left.keys() - kept.keys()) == [
        f"tiny/00/{name}" for name in ("engine.log", "launch.json", "perf.json")
    ]


def test_candidates_are_not_written_through_a_link(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    home, kept = outside(tmp_path_factory)
    (project.root / "out").mkdir()
    (project.root / "out" / "baselines").symlink_to(home)
    project.setenv("CI", "true")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "--sgdiff-out=out")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert f"{project.root / 'out' / 'baselines'}: is a link" in result.stdout.str()
    assert contents(home) == kept


@each("place", "workload.fields.args.prompt", "workload.digest", "engine.log", "watch", "baseline")
def test_no_output_holds_an_order_of_a_recording(recorded: Project, place: str, workers: tuple[str, ...]) -> None:
    hostile = HOSTILE.removesuffix("\ud800")
    log = recorded.root / "rec" / "tiny" / "00" / "engine.log"
    if place == "engine.log":
        log.write_text(f"{hostile}\nRuntimeError: {hostile}\n")
        edit(recorded, lambda launch: launch.update(returncode=1))
    elif place == "baseline":
        edit(recorded, lambda file: file["workload"].update(digest=hostile), name="baselines/nvidia-h200-x1/tiny.json")
    elif place == "watch":
        process = {"gpu_uuid": "GPU-1", "pid": 1, "name": hostile, "used_mb": 1, "when": "during"}
        edit(recorded, lambda launch: launch["watch"].update(foreign=[process], events=[hostile], co_runners=[hostile]))
    elif place == "workload.digest":
        edit(recorded, lambda launch: launch["workload"].update(digest=hostile, fields={}))
    else:
        edit(recorded, lambda launch: launch["workload"]["fields"].update({"args.prompt": hostile}))
    recorded.setenv("GITHUB_ACTIONS", "true")
    summary = recorded.write("r.summary", "")
    recorded.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = recorded.run("--sgdiff-replay=rec", "-v", "-rA", "--junit-xml=j.xml", *REPORTS, *workers)
    told = written(recorded, result)
    ours = re.compile(r"::(error|warning|notice) file=cases/tiny\.yaml,line=\d+,title=[A-Z-]* ?tiny::")
    own = [line for line in told["terminal"].split("\n") if ours.match(line)]
    told["terminal"] = "\n".join(line for line in told["terminal"].split("\n") if line not in own)
    assert {where: bad for where, text in told.items() if (bad := orders(where, text))} == {}
    assert [line for line in own if orders("annotation", line)] == []
    assert_no_traceback(told["terminal"])


@each("column", "util_pct", "sm_mhz", "reasons", "at_s")
def test_a_column_that_was_not_sampled_is_unknown(recorded: Project, column: str, workers: tuple[str, ...]) -> None:
    def drop(launch: Any) -> None:
        series = launch["watch"]["gpus"][0]
        del series[column]
        if column == "at_s":
            launch["watch"]["gpus"] = [{"gpu_uuid": series["gpu_uuid"]}]

    edit(recorded, drop)
    result = recorded.run("--sgdiff-replay=rec", *REPORTS, *workers)
    assert_no_traceback(result.stdout.str())
    assert result.ret == 0
    assert "measured 1 of 1 · 1 pass" in result.stdout.str()


# tests/property/test_foreign.py tries many more of them, in the process.
NUMBERS = ("NaN", "9" * 5000, "[" * 5000, "1e308")


@pytest.mark.parametrize("text", NUMBERS, ids=range(len(NUMBERS)))
@pytest.mark.parametrize("file", ["launch.json", "perf.json", "baseline"])
def test_a_number_that_is_none_is_an_answer_and_no_traceback(recorded: Project, file: str, text: str) -> None:
    name, place = {
        "launch.json": ("rec/tiny/00/launch.json", lambda launch: launch.update(wall_s="@")),
        "perf.json": ("rec/tiny/00/perf.json", lambda dump: dump.update(total_duration_ms="@")),
        "baseline": ("baselines/nvidia-h200-x1/tiny.json", lambda file: file["metrics"]["e2e"].__setitem__(0, "@")),
    }[file]
    edit(recorded, place, name=name)
    path = recorded.root / name
    path.write_text(path.read_text().replace('"@"', text))
    result = recorded.run("--sgdiff-replay=rec", *REPORTS)
    assert_no_traceback(result.stdout.str())
    assert result.ret in (0, 1)


@WORKERS
def test_a_case_file_whose_name_is_an_order_is_not_collected(project: Project, workers: tuple[str, ...]) -> None:
    name = "cases/x\n::error file=a::p\x1b[31m.yaml"
    project.write(name, (project.root / "cases" / "tiny.yaml").read_text().replace("tiny:", "other:"))
    result = project.run("--sgdiff-dry-run", *workers)
    assert result.ret != 0
    text = result.stdout.str() + result.stderr.str()
    assert r"cases/x\n::error file=a::p\x1b[31m.yaml: the name of a case file" in text
    assert orders("terminal", text) == []
    assert_no_traceback(text)
