"""`--sgdiff-engine-cmd`: which engine is launched."""

from __future__ import annotations

import pytest

from pytest_sgdiff.machine import _Installed
from tests.plugin.conftest import CASE, FAKE_BIN, Project


def test_an_engine_that_is_not_there_is_a_usage_error_before_the_first_case(project: Project) -> None:
    result = project.run("--sgdiff-gpus=1", "--sgdiff-engine-cmd=/nowhere/sglang")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "/nowhere/sglang" in result.stderr.str()
    assert "--sgdiff-engine-cmd" in result.stderr.str()


def test_a_command_of_several_words_is_launched_as_such(project: Project) -> None:
    project.setenv("PATH", "/usr/bin:/bin")
    result = project.run(
        "--sgdiff-gpus=1", "--sgdiff-update", f"--sgdiff-engine-cmd=env PATH=/usr/bin {FAKE_BIN}/sglang"
    )
    assert result.ret == 0, result.stdout.str() + result.stderr.str()


MOVED = CASE.replace("model: Wan-AI/", "model: {root}/models/")


def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stand-in be a script of a Python that has sglang."""
    found = _Installed(sglang="0.5.17", torch=None, packages=None, checkout=None, commit=None)
    monkeypatch.setattr("pytest_sgdiff.machine.interpreter_of", lambda path: ("python",))
    monkeypatch.setattr("pytest_sgdiff.machine._installed", lambda python, abandoned: found)


def test_a_folder_that_an_engine_of_this_machine_will_not_find_fails_before_a_launch(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("cases/tiny.yaml", MOVED.replace("{root}", str(project.root)))
    installed(monkeypatch)
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update")
    result.assert_outcomes(errors=1)
    assert f"there is no {project.root}/models/Wan2.1-T2V-1.3B-Diffusers on this machine" in result.stdout.str()
    assert not list(project.root.glob(".sgdiff/*/tiny/*"))
    # What a hook makes of the command may see other folders.
    project.write("conftest.py", "def pytest_sgdiff_command(command):\n    return None\n")
    project.run("--sgdiff-gpus=4").assert_outcomes(failed=1)
    assert list(project.root.glob(".sgdiff/*/tiny/*"))


def test_a_fixture_may_make_the_folder_before_the_launch(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    cases = MOVED.replace("{root}", str(project.root))
    project.write("cases/tiny.yaml", f"{cases}    fixtures: [fetched]\n")
    project.write(
        "conftest.py",
        "import pytest\n\n@pytest.fixture\ndef fetched(request):\n"
        "    (request.config.rootpath / 'models' / 'Wan2.1-T2V-1.3B-Diffusers').mkdir(parents=True)\n",
    )
    assert "no baseline for" in project.run("--sgdiff-gpus=4").stdout.str()


def test_a_secret_in_the_command_of_the_engine_is_kept_nowhere(project: Project) -> None:
    command = f"env HF_TOKEN=short-secret {FAKE_BIN / 'sglang'}"
    output = project.run(
        "--sgdiff-gpus=1", f"--sgdiff-engine-cmd={command}", "--sgdiff-report=r.json", "--sgdiff-report=r.html"
    ).stdout.str()
    assert "no baseline for" in output
    kept = [path for path in project.root.rglob("*") if path.is_file() and path.suffix in (".json", ".html", ".log")]
    assert {"r.json", "r.html", "launch.json"} <= {path.name for path in kept}
    assert [str(path) for path in kept if "short-secret" in path.read_text(errors="replace")] == []
    assert "short-secret" not in output
