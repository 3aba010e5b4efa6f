"""The run of pytest that `sgdiff tune` starts: tests of the variants of a case, where the case stands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.data import Case, Location
from pytest_sgdiff.tuning.bench import Bench, Plan
from pytest_sgdiff.tuning.rounds import SETTINGS, Round, read_endings, write_round
from tests.plugin.conftest import CASE, Project
from tests.tuning_space import space_of

CONFTEST = """
import pytest

@pytest.fixture
def sgdiff_env():
    return {"FROM_THE_PROJECT": "1"}

def pytest_collection_modifyitems(items):
    print("seen", sorted(item.nodeid for item in items))
"""


@pytest.fixture
def folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = project.root / "round"
    monkeypatch.setenv(SETTINGS, json.dumps({"round": str(where)}))
    return where


def run(project: Project, folder: Path, asked: Round, *more: str) -> pytest.RunResult:
    write_round(folder, asked, below=folder)
    return project.run(
        *("-p", "pytest_sgdiff.plugin.tuned", "cases/tiny.yaml::tiny", "--sgdiff-gpus=4", "--sgdiff-out=out"),
        *(f"--sgdiff-baselines={folder / 'none'}", *more),
    )


def variants_of(text: str, plays: dict[str, str]) -> tuple[Case, ...]:
    case = next(case for case in load_cases("cases/tiny.yaml", text) if case.id.startswith("tiny"))
    return tuple(one.case for one in space_of(case, plays).variants)


def test_each_variant_is_launched_once_and_what_came_of_it_is_kept(project: Project, folder: Path) -> None:
    project.write("cases/conftest.py", CONFTEST)
    # Another case of the file is not launched.
    project.write("cases/tiny.yaml", CASE + "  tiny_other:\n    model: m\n    args: {prompt: a}\n")
    cases = variants_of(CASE, {"quick": "slow:0.7", "crashes": "oom"})
    result = run(project, folder, Round(case="tiny", cases=cases))
    result.stdout.fnmatch_lines(["*measured 2 of 3*"])
    ended = {one.case: one.result for one in read_endings(folder, cases, below=folder)}
    assert set(ended) == {case.id for case in cases}
    written, quick, crashed = (ended[case.id] for case in cases)
    assert written is not None
    assert quick is not None
    assert crashed is not None
    assert [len(one.launches) for one in (written, quick)] == [1, 1]
    ratio = quick.launches[0].metrics["denoise_steps"] / written.launches[0].metrics["denoise_steps"]
    assert ratio == pytest.approx(0.7)
    assert crashed.problems[0].cause == "memory"
    # The project's fixtures act on the variants, and its hooks see them where the case stands.
    assert written.workload is not None
    assert written.workload.fields["env.FROM_THE_PROJECT"] == "1"
    seen = next(line for line in result.outlines if line.startswith("seen "))
    assert "cases/tiny.yaml::tiny[tune0]" in seen
    assert "tiny_other" not in seen


def test_of_a_case_with_a_matrix_one_variant_is_tuned(project: Project, folder: Path) -> None:
    text = CASE + "    matrix: {way: {a: {}, b: {args: {seed: 43}}}}\n"
    project.write("cases/tiny.yaml", text)
    cases = variants_of(text, {"quick": "slow:0.7"})
    result = run(project, folder, Round(case="tiny[a]", cases=cases[1:]))
    result.stdout.fnmatch_lines(["*measured 1 of 1*"])
    (ending,) = read_endings(folder, cases[1:], below=folder)
    assert ending.result is not None
    assert len(ending.result.launches) == 1


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        ("raise OSError('no\\nroom')", ["cases/conftest.py:5: OSError: no", "room"]),
        # Who says it without a traceback says where it is as well.
        ("pytest.fail('cases/tiny.yaml:3: no picture', pytrace=False)", ["cases/tiny.yaml:3: no picture"]),
    ],
)
def test_of_a_fixture_that_fails_no_traceback_is_kept(
    project: Project, folder: Path, fails: str, why: list[str]
) -> None:
    """It is in the log: in a ranking it would fill the screen."""
    project.write("cases/conftest.py", f"import pytest\n\n@pytest.fixture\ndef sgdiff_env():\n    {fails}\n")
    cases = variants_of(CASE, {})
    run(project, folder, Round(case="tiny", cases=cases))
    (ending,) = read_endings(folder, cases, below=folder)
    assert ending.why.splitlines() == why


def test_why_there_is_no_result_is_kept(project: Project, folder: Path) -> None:
    text = CASE.replace("marks: [nightly]", "requires: {gpu: [RTX 4090]}")
    project.write("cases/tiny.yaml", text)
    skipped = variants_of(text, {})
    run(project, folder, Round(case="tiny", cases=skipped))
    (ending,) = read_endings(folder, skipped, below=folder)
    assert (ending.result, ending.broke) == (None, False)
    assert "RTX 4090" in ending.why


def test_a_file_whose_path_no_argument_of_pytest_can_name_is_launched_all_the_same(
    project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither a folder that is left out otherwise, nor a name that no glob has, keeps it away.
    text = CASE.replace("marks: [nightly]", "requires: {gpu: [RTX 4090]}")
    project.write("cases/.a[b]/c]/x[1].yaml", text)
    project.write("cases/.a[b]/other.yaml", CASE.replace("tiny", "other"))
    case = next(iter(load_cases("cases/.a[b]/c]/x[1].yaml", text)))
    plan = Plan(case=case, metric="denoise", engine_cmd=("sglang",), gpus="4", cwd=project.root)
    bench = Bench(plan=plan, folder=folder.parent)
    told = json.loads(bench._environment(folder)[SETTINGS])
    monkeypatch.setenv(SETTINGS, json.dumps({**told, "parent": None}))
    write_round(folder, Round(case="tiny", cases=(case,)), below=folder)
    words = bench._words(folder, at_once=1)
    result = project.run(*words[words.index("pytest") + 1 :])
    # The other file is not even read.
    result.stdout.fnmatch_lines(["collected 1 item"])
    (ending,) = read_endings(folder, (case,), below=folder)
    assert ending.result is None
    assert "cases/.a[b]/c]/x[1].yaml" in ending.why
    assert "RTX 4090" in ending.why


def test_that_a_disk_was_full_is_kept_whatever_the_words(project: Project, folder: Path) -> None:
    full = "try: raise OSError(28, 'No space left')\n    except OSError as error: raise RuntimeError('mine') from error"
    project.write("cases/conftest.py", f"import pytest\n\n@pytest.fixture\ndef sgdiff_env():\n    {full}\n")
    cases = variants_of(CASE, {})
    run(project, folder, Round(case="tiny", cases=cases))
    (ending,) = read_endings(folder, cases, below=folder)
    assert (ending.result, ending.broke, ending.full) == (None, True, True)


def test_what_the_project_chooses_for_other_runs_keeps_no_variant_away(project: Project, folder: Path) -> None:
    chosen = '-m "not nightly" -k other --strict-markers --sgdiff-accept=mine.txt --sgdiff-assets=pictures'
    project.write("pytest.ini", f"[pytest]\naddopts = {chosen}\n")
    cases = variants_of(CASE, {})
    case = replace(cases[0], location=Location(path="cases/tiny.yaml", line=1, column=1))
    plan = Plan(case=case, metric="denoise", engine_cmd=("sglang",), gpus="4", cwd=project.root)
    write_round(folder, Round(case="tiny", cases=cases), below=folder)
    words = Bench(plan=plan, folder=folder)._words(folder, at_once=1)
    project.run(*words[words.index("pytest") + 1 :])
    (ending,) = read_endings(folder, cases, below=folder)
    assert ending.result is not None
    assert len(ending.result.launches) == 1
    assert ending.assets == str(project.root / "pictures")
