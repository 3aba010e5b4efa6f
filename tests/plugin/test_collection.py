"""YAML cases are collected as functions, so everything that works on tests works on them."""

from __future__ import annotations

from functools import partial

import pytest

from pytest_sgdiff.plugin import collect as collecting
from tests.plugin.conftest import CASE, Project

MANY = """
cases:
  wan2.1_t2v:
    marks: [nightly]
    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    args: {prompt: a cat}
  firered:
    marks: [topology]
    model: FireRedTeam/FireRed-Image-Edit-1.1
    gpus: 2
    args: {prompt: a cat}
    matrix:
      topology:
        cfg: {args: {enable-cfg-parallel: true}}
        ulysses: {args: {ulysses-degree: 2}}
"""


@pytest.fixture
def many(project: Project) -> Project:
    """A project with three cases of two names."""
    (project.root / "cases" / "tiny.yaml").unlink()
    project.write("cases/many.yaml", MANY)
    return project


BROKEN = "cases:\n  broken:\n    model: a/b\n    gpu: 4\n"

FAST = "cases:\n  fast:\n    model: a/b\n    faster_than: {case: tiny}\n"

OTHER_PLUGIN = """
import pytest

class Api(pytest.Item):
    def runtest(self):
        pass

class ApiFile(pytest.File):
    def collect(self):
        yield Api.from_parent(self, name="api")

def pytest_collect_file(file_path, parent):
    if file_path.name.endswith(".tavern.yaml"):
        return ApiFile.from_parent(parent, path=file_path)
"""

BOTH = pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])


def collected(project: Project, *arguments: str) -> list[str]:
    """Node ids that pytest selects."""
    result = project.run("--collect-only", "-q", *arguments)
    return [line for line in result.outlines if "::" in line]


def test_node_ids_are_file_and_case_and_variant(many: Project) -> None:
    assert collected(many) == [
        "cases/many.yaml::wan2.1_t2v",
        "cases/many.yaml::firered[cfg]",
        "cases/many.yaml::firered[ulysses]",
    ]


@pytest.mark.parametrize("asked", [(), ("--sgdiff-dry-run",)], ids=["not-measuring", "measuring"])
def test_a_case_file_that_is_named_is_collected_wherever_it_lies(many: Project, asked: tuple[str, ...]) -> None:
    """As a Python file is. YAML of others, which has no `cases`, is left to them, and neither is found in folders."""
    many.write("elsewhere/one.yaml", MANY)
    many.write("elsewhere/other.yaml", "stages: []\n")
    wanted = [f"elsewhere/one.yaml::{name}" for name in ("wan2.1_t2v", "firered[cfg]", "firered[ulysses]")]
    assert collected(many, *asked, "elsewhere/one.yaml") == wanted
    assert collected(many, *asked, "elsewhere/one.yaml::firered[cfg]") == wanted[1:2]
    assert collected(many, *asked, "elsewhere/other.yaml") == collected(many, *asked, "elsewhere") == []


def test_mistakes_in_a_case_file_that_is_named_are_told(many: Project) -> None:
    many.write("elsewhere/one.yaml", MANY.replace("gpus: 2", "gpus: two"))
    result = many.run("--sgdiff-dry-run", "elsewhere/one.yaml")
    assert "elsewhere/one.yaml:10:11: 'gpus' must be int, got 'two'" in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-m", "nightly"], ["cases/many.yaml::wan2.1_t2v"]),
        (["-m", "topology and not nightly"], ["cases/many.yaml::firered[cfg]", "cases/many.yaml::firered[ulysses]"]),
        (["-k", "wan2.1"], ["cases/many.yaml::wan2.1_t2v"]),
        (["-k", "firered and ulysses"], ["cases/many.yaml::firered[ulysses]"]),
        (["cases/many.yaml::firered[cfg]"], ["cases/many.yaml::firered[cfg]"]),
        (["cases/many.yaml::wan2.1_t2v"], ["cases/many.yaml::wan2.1_t2v"]),
        (["--import-mode=importlib", "cases"], None),
        (["-m", "sgdiff", "--strict-markers"], None),
    ],
)
def test_cases_are_selected_as_tests_are(many: Project, arguments: list[str], expected: list[str] | None) -> None:
    everything = ["cases/many.yaml::wan2.1_t2v", "cases/many.yaml::firered[cfg]", "cases/many.yaml::firered[ulysses]"]
    assert collected(many, *arguments) == (expected or everything)


def test_without_an_option_that_measures_cases_are_skipped_with_the_reason(many: Project) -> None:
    result = many.run("-rs")
    assert result.ret == 0
    result.assert_outcomes(skipped=3)
    assert (
        "SKIPPED [1] cases/many.yaml:3: not measuring: give --sgdiff-gpus=N to launch the engine, "
        "--sgdiff-replay=DIR to judge recorded launches, or --sgdiff-dry-run to see the command lines"
    ) in result.outlines


def test_every_mistake_of_a_file_is_listed_without_a_traceback(project: Project) -> None:
    project.write(
        "cases/bad.yaml",
        "cases:\n  broken:\n    model: a/b\n    gpu: 4\n    gpus: four\n    marks: [nightlyy]\n",
    )
    result = project.run("--sgdiff-dry-run")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    output = result.stdout.str()
    assert "cases/bad.yaml:4:5: unknown key 'gpu', did you mean 'gpus'?" in output
    assert "cases/bad.yaml:5:11: 'gpus' must be int, got 'four'" in output
    assert "cases/bad.yaml:6:13: 'nightlyy' not found in `markers` configuration option" in output
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output


def test_under_xdist_mistakes_stop_the_run_before_the_first_case(project: Project) -> None:
    project.write("cases/bad.yaml", BROKEN)
    project.write("cases/worse.yaml", "cases: []\n")
    result = project.run("--sgdiff-gpus=4", "-n", "2")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    output = result.stdout.str()
    assert "cases/bad.yaml:4:5: unknown key 'gpu', did you mean 'gpus'?" in output
    assert "cases/worse.yaml:1:8: 'cases' must map case ids to cases, got a list" in output
    assert "Interrupted: mistakes in case files" in output
    result.assert_outcomes(errors=2)
    assert not list(project.root.glob(".sgdiff/*/tiny"))


@BOTH
def test_a_case_file_that_pytest_ignores_has_no_mistakes(project: Project, workers: tuple[str, ...]) -> None:
    project.write("cases/bad.yaml", BROKEN)
    project.write("cases/worse.yaml", BROKEN)
    project.write("cases/conftest.py", "collect_ignore = ['worse.yaml']\n")
    result = project.run("--sgdiff-dry-run", "--ignore=cases/bad.yaml", *workers)
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    assert "# cases/tiny.yaml::tiny" in result.outlines


@BOTH
def test_a_relation_to_no_case_is_a_mistake(project: Project, workers: tuple[str, ...]) -> None:
    project.write("cases/fast.yaml", FAST.replace("tiny", "tini"))
    result = project.run("--sgdiff-dry-run", *workers)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "cases/fast.yaml:4:19: no case is called 'tini', did you mean 'tiny'?" in result.stdout.str()


@BOTH
def test_a_relation_to_a_case_that_is_not_selected_is_none(project: Project, workers: tuple[str, ...]) -> None:
    project.write("other/cases/fast.yaml", FAST)
    result = project.run("--sgdiff-dry-run", "other/cases", *workers)
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    assert "# other/cases/fast.yaml::fast" in result.outlines


@BOTH
def test_yaml_tests_of_other_plugins_are_not_counted(project: Project, workers: tuple[str, ...]) -> None:
    project.write("conftest.py", OTHER_PLUGIN)
    project.write("test_x.tavern.yaml", "test_name: api\n")
    project.baseline("--sgdiff-out=kept", "cases")
    result = project.run("--sgdiff-replay=kept", *workers)
    result.assert_outcomes(passed=2)
    assert "measured 1 of 1 · 1 pass" in result.stdout.str()


def test_a_name_used_in_two_files_is_a_mistake(project: Project) -> None:
    project.write("cases/tiny.yaml", CASE + "  small: {model: a/b}\n")
    project.write("cases/zwei.yaml", "cases:\n  tiny: {model: a/b}\n  other: {model: a/b}\n  small: {model: a/b}\n")
    result = project.run("--sgdiff-dry-run")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert (
        "cases/zwei.yaml:2:3: the case 'tiny' is defined already at cases/tiny.yaml:5:3; ids are unique over files\n"
        "cases/zwei.yaml:4:3: the case 'small' is defined already at cases/tiny.yaml:12:3; ids are unique over files\n"
    ) in result.stdout.str()


def test_yaml_of_other_tools_is_left_alone(project: Project) -> None:
    project.write("cases/other.yaml", "jobs:\n  build: {}\n")
    project.write("config.yaml", "cases: nothing of ours\n")
    assert collected(project) == ["cases/tiny.yaml::tiny"]
    # Named on the command line, a file is meant to hold cases.
    result = project.run("--collect-only", "cases/other.yaml")
    assert "cases/other.yaml:1:1: unknown key 'jobs'" in result.stdout.str()


def test_without_the_plugin_nothing_is_collected(project: Project) -> None:
    result = project.run("-p", "no:pytest_sgdiff.plugin", "--collect-only")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_fixtures_of_cases_may_be_overridden_and_parametrized(project: Project) -> None:
    project.write(
        "cases/conftest.py",
        "import pytest\n"
        "@pytest.fixture(params=['fa', 'torch_sdpa'])\n"
        "def sgdiff_env(request):\n"
        "    return {'SGLANG_ATTENTION': request.param}\n"
        "@pytest.fixture(autouse=True, scope='module')\n"
        "def module_wide(request):\n"
        "    print('module is', request.module.__name__)\n",
    )
    assert collected(project) == ["cases/tiny.yaml::tiny[fa]", "cases/tiny.yaml::tiny[torch_sdpa]"]
    result = project.run("--sgdiff-dry-run", "-s", "cases/tiny.yaml::tiny[fa]")
    assert "module is tiny" in result.stdout.str()
    assert "SGLANG_ATTENTION=fa" in result.stdout.str()


MAKER = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector, name, obj):
    found = yield
    return [] if name == "beta" else found
"""
GENERATOR = """
def pytest_generate_tests(metafunc):
    if metafunc.definition.name == "beta":
        metafunc.parametrize("sgdiff_env", [{}, {"A": "1"}], ids=["0", "1"])
"""


class Unused:
    """In place of what nobody is to ask for."""

    def __get__(self, *_: object) -> object:
        raise AssertionError("was asked for")


@pytest.mark.parametrize(
    ("conftest", "lacks", "unused", "betas"),
    [
        ("", "", "", ["beta"]),
        ("", "_fixtureinfo", "CaseFile._others_generate", ["beta"]),
        ("", "_genfunctions", "_MakingCases.__init__", ["beta"]),
        (GENERATOR, "", "", ["beta[0]", "beta[1]"]),
        (GENERATOR, "_calls", "", ["beta[0]", "beta[1]"]),
        (MAKER, "", "_MakingCases.__init__", []),
    ],
    ids=["", "no-fixtureinfo", "no-genfunctions", "generator", "generator-no-calls", "maker"],
)
def test_cases_are_the_same_whatever_other_plugins_do_and_wherever_pytest_keeps_things(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    conftest: str,
    lacks: str,
    unused: str,
    betas: list[str],
) -> None:
    """What is done once for all cases of a file rests on names that pytest may change: where one `lacks`, what needs it
    is `unused`."""
    project.write("conftest.py", conftest)
    case = CASE.partition("  tiny:")[2]
    project.write("cases/tiny.yaml", CASE + "".join(f"  {name}:{case}" for name in ("alpha", "beta", "gamma")))

    def other(name: str) -> str:
        return "no such name" if name == lacks else name

    for function in (hasattr, getattr):
        renamed = partial(lambda usual, thing, name, *default: usual(thing, other(name), *default), function)
        monkeypatch.setattr(collecting, function.__name__, renamed, raising=False)
    if unused:
        monkeypatch.setattr(f"pytest_sgdiff.plugin.collect.{unused}", Unused())
    assert collected(project) == [f"cases/tiny.yaml::{name}" for name in ("tiny", "alpha", *betas, "gamma")]


def test_a_variant_uses_its_own_fixtures(project: Project) -> None:
    project.write(
        "conftest.py",
        "import pytest\n"
        "@pytest.fixture\n"
        "def cold(request):\n    print(request.node.name, 'is cold')\n"
        "@pytest.fixture\n"
        "def warm(request):\n    print(request.node.name, 'is warm')\n"
        "@pytest.fixture\n"
        "def sgdiff_gpus(request):\n    print(request.node.name, 'has its lease')\n",
    )
    project.write(
        "cases/tiny.yaml",
        CASE.replace(
            "model:", "fixtures: [cold]\n    matrix: {heat: {one: {}, two: {fixtures: [warm, cold]}}}\n    model:"
        ),
    )
    result = project.run("--sgdiff-dry-run", "-sq")
    assert [line.lstrip(".") for line in result.outlines if line.lstrip(".").startswith("tiny[")] == [
        "tiny[one] is cold",
        "tiny[one] has its lease",
        "tiny[two] is cold",
        "tiny[two] is warm",
        "tiny[two] has its lease",
    ]
    project.write(
        "cases/tiny.yaml", CASE.replace("model:", "matrix: {a: {one: {}, two: {fixtures: [no]}}}\n    model:")
    )
    result = project.run("--sgdiff-dry-run", "-k", "two")
    result.assert_outcomes(errors=1)
    assert "E       fixture 'no' not found" in result.outlines
