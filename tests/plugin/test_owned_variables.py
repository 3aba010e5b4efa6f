"""What the plugin sets for every launch is set by nobody else, whoever tries."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import CASE, Project

NAMES = ("SGDIFF_LEASE", "SGDIFF_RUN", "SGDIFF_GPU_UUIDS", "SGDIFF_LAUNCH", "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES")
HOOK = """
import dataclasses

def pytest_sgdiff_command(command):
    return dataclasses.replace(command, {})
"""


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (('PROFILING: "1"}', 'PROFILING: "1", SGDIFF_LEASE: x}'), 3),
        (("    marks: [nightly]", "    env: {SGDIFF_LEASE: x}"), 7),
        (("    timeout: 60s", "    matrix: {way: {a: {env: {SGDIFF_LEASE: x}}}}"), 11),
    ],
    ids=["defaults", "case", "variant"],
)
def test_a_case_is_refused_at_its_line(project: Project, where: tuple[str, str], line: int) -> None:
    project.write("cases/tiny.yaml", CASE.replace(*where))
    result = project.run("--sgdiff-gpus=4")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"cases/tiny.yaml:{line}:*error: the plugin sets SGDIFF_LEASE*[[]owned-variable]"])
    result.stdout.fnmatch_lines(["*measured 0 of 1*"])


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_is_refused_by_name(project: Project, name: str) -> None:
    project.write("conftest.py", f"import pytest\n@pytest.fixture\ndef sgdiff_env():\n    return {{'{name}': 'x'}}\n")
    result = project.run("--sgdiff-gpus=4")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*the fixture sgdiff_env gives {name}, which the plugin sets for every launch*"])


@pytest.mark.parametrize(
    "change",
    [
        "env={**command.env, 'SGDIFF_LEASE': 'x'}",
        "unset=(*command.unset, 'SGDIFF_LEASE')",
        "argv=('env', 'SGDIFF_LEASE=x', *command.argv)",
    ],
    ids=["env", "unset", "argv"],
)
def test_a_hook_is_refused_by_name(project: Project, change: str) -> None:
    project.write("conftest.py", HOOK.format(change))
    result = project.run("--sgdiff-gpus=4")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["cases/tiny.yaml:*the hook pytest_sgdiff_command changes SGDIFF_LEASE*"])


def test_an_adapter_of_another_engine_is_refused_by_name(project: Project) -> None:
    project.write("cases/tiny.yaml", CASE.replace("    model:", "    engine: mine\n    model:"))
    project.write(
        "conftest.py",
        "import dataclasses\nfrom pytest_sgdiff.engines import ENGINES\n"
        "class Mine:\n"
        "    name = 'mine'\n"
        "    def command(self, case, **given):\n"
        "        command = ENGINES['sglang-generate'].command(case, **given)\n"
        "        return dataclasses.replace(command, env={**command.env, 'SGDIFF_RUN': 'x'})\n"
        "    def read(self, launch, case):\n"
        "        return ENGINES['sglang-generate'].read(launch, case)\n"
        "def pytest_sgdiff_engine(case):\n"
        "    return Mine()\n",
    )
    result = project.run("--sgdiff-gpus=4")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["cases/tiny.yaml:*the adapter of the engine 'mine' sets SGDIFF_RUN*"])
