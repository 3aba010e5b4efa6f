"""`sgdiff cases --check`: what a gate would say of the files later, told where they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sgdiff.cli import main, marks
from tests.factories import NO_OTHER_PLUGINS

QUIET = """\
cases:
  quiet:
    model: a/b
    env: {SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1"}
    args: {seed: 1, dit-layerwise-offload: false, dit-cpu-offload: false}
"""
WARNING = re.compile(r"^cases/\w+\.yaml:\d+:\d+: warning: .+ \[[a-z0-9-]+\]$")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, value in NO_OTHER_PLUGINS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "a.yaml").write_text(QUIET)
    return tmp_path


def checked(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[str]]:
    code = main(["cases", "--check", *more])
    return code, capsys.readouterr().out.splitlines()


def test_a_case_without_warnings_has_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(capsys) == (0, ["1 case in 1 file, no mistakes"])


def test_warnings_have_file_and_line_and_leave_the_exit_code_zero(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = QUIET.replace("seed: 1, ", "")
    (here / "cases" / "a.yaml").write_text(text + text.replace("cases:\n", "").replace("quiet", "second"))
    code, lines = checked(capsys)
    assert code == 0
    assert [line.split(": ")[0] for line in lines[:-1]] == ["cases/a.yaml:5:5", "cases/a.yaml:9:5"]
    assert all(WARNING.fullmatch(line) and line.endswith("[no-seed]") for line in lines[:-1])
    assert lines[-1] == "2 cases in 1 file, no mistakes, 2 warnings"


def test_one_place_that_all_variants_share_is_told_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cases" / "a.yaml").write_text(
        QUIET.replace("seed: 1, ", "") + "    matrix: {size: {s: {}, m: {}, l: {}}}\n"
    )
    code, lines = checked(capsys)
    assert (code, len(lines), lines[-1]) == (0, 2, "3 cases in 1 file, no mistakes, 1 warning")


def test_warnings_stand_behind_mistakes_which_set_the_exit_code(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cases" / "a.yaml").write_text(QUIET.replace("seed: 1, ", "prompt: [a, b], "))
    code, lines = checked(capsys)
    assert code == 2
    assert [line.rpartition(" ")[2] for line in lines] == ["[several-prompts]", "[no-seed]"]
    assert (": warning: " in lines[0], ": warning: " in lines[1]) == (False, True)


def test_heads_in_the_folder_of_a_model_are_counted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "transformer").mkdir()
    config = '{"_class_name": "WanTransformer3DModel", "num_attention_heads": 12}'
    (here / "transformer" / "config.json").write_text(config)
    text = QUIET.replace("a/b", f"{here}\n    gpus: 8").replace("seed: 1", "seed: 1, ulysses-degree: 8")
    (here / "cases" / "a.yaml").write_text(text)
    code, lines = checked(capsys)
    assert (code, [line.rpartition(" ")[2] for line in lines]) == (2, ["[attention-heads]"])


@pytest.mark.parametrize(
    ("ini", "code"),
    [
        ("", 2),
        ("[pytest]\nmarkers =\n  weekly: every week\n", 0),
        ("[pytest]\nmarkers =\n  weekly\n", 0),
        ("[pytest]\nmarkers =\n  weekly(day): with an argument\n", 0),
        ("[pytest]\nmarkers =\n  weeklyy: not this one\n", 2),
        ("[pytest]\naddopts = --strict-markers -n 2 --sgdiff-gpus=64\nmarkers =\n  weekly: every week\n", 0),
    ],
)
def test_a_mark_that_pytest_does_not_know_is_a_mistake(
    here: Path, capsys: pytest.CaptureFixture[str], ini: str, code: int
) -> None:
    (here / "pytest.ini").write_text(ini)
    (here / "cases" / "a.yaml").write_text(QUIET + "    marks: [nightly, weekly]\n")
    found, lines = checked(capsys)
    assert found == code
    told = "cases/a.yaml:6:22: 'weekly' not found in `markers` configuration option"
    assert (told in lines) is (code == 2)


def test_marks_of_a_toml_file_and_of_a_conftest_are_known(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["weekly: every week"]\n')
    (here / "cases" / "conftest.py").write_text(
        "def pytest_configure(config):\n    config.addinivalue_line('markers', 'ours: of a plugin')\n"
    )
    (here / "cases" / "a.yaml").write_text(QUIET + "    marks: [weekly, ours, nightly, skip]\n")
    assert checked(capsys)[0] == 0


def test_marks_are_checked_in_a_file_with_other_mistakes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cases" / "a.yaml").write_text(QUIET + "    marks: [weekly]\n    gpu: 2\n")
    code, lines = checked(capsys)
    assert code == 2
    assert lines == [
        "cases/a.yaml:6:13: 'weekly' not found in `markers` configuration option",
        "cases/a.yaml:7:5: unknown key 'gpu', did you mean 'gpus'?",
    ]


def test_no_test_is_run_and_none_collected_for_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cases" / "a.yaml").write_text(QUIET + "    marks: [nightly]\n")
    (here / "test_ours.py").write_text("import pathlib\npathlib.Path('collected').touch()\ndef test_it(): ...\n")
    assert checked(capsys)[0] == 0
    assert not (here / "collected").exists()


def test_a_pytest_that_does_not_start_is_told_and_fails_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cases" / "a.yaml").write_text(QUIET + "    marks: [nightly]\n")
    (here / "conftest.py").write_text("raise RuntimeError('no driver here')\n")
    (here / "cases" / "conftest.py").write_text("raise RuntimeError('no driver here')\n")
    code, lines = checked(capsys)
    assert code == 0
    assert lines[0].startswith("warning: marks were not checked: pytest exited with 4: ")
    assert lines[-1] == "1 case in 1 file, no mistakes, 1 warning"


def test_a_pytest_that_hangs_or_is_not_there_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "cases" / "a.yaml").write_text(QUIET + "    marks: [nightly]\n")
    monkeypatch.setattr(marks, "TIMEOUT_S", 0.0)
    assert checked(capsys)[1][0] == (
        "warning: marks were not checked: pytest did not read its configuration: it did not end within 0 s"
    )
    monkeypatch.setattr(sys, "executable", str(here / "nowhere"))
    assert "pytest did not read its configuration: it cannot be run: No such file" in checked(capsys)[1][0]


def test_the_installed_command_says_so_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NO_OTHER_PLUGINS:
        monkeypatch.delenv(name)
    (here / "cases" / "a.yaml").write_text(QUIET + "    marks: [weekly]\n")
    command = str(Path(sys.executable).with_name("sgdiff"))
    done = subprocess.run([command, "cases", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == "cases/a.yaml:6:13: 'weekly' not found in `markers` configuration option\n"


@pytest.mark.parametrize("kind", ["pipe", "device", "huge"])
def test_what_is_no_case_file_is_named_without_waiting_or_reading_it(here: Path, kind: str) -> None:
    path = here / "x.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    code = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)); {RUN}"
    done = subprocess.run(
        [sys.executable, "-c", code, "cases", "--check", path.name], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert re.match(r"x\.yaml:1:1: (not a file|the file is larger than 1 MiB|a binary file)", done.stdout + done.stderr)


RUN = "import sys; from pytest_sgdiff.cli import main; sys.exit(main())"
