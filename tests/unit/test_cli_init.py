"""`sgdiff init` and `sgdiff schema` as they are typed: what they write, what they leave alone, what they print."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shlex
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_sgdiff.cases import json_schema
from pytest_sgdiff.cases.load import load_cases, read_cases
from pytest_sgdiff.cases.recipes import recipes, with_schema
from pytest_sgdiff.cli import init as command
from pytest_sgdiff.cli import main
from pytest_sgdiff.cli.first_case import FirstCase
from pytest_sgdiff.engines.flags.translate import VERSIONS, complaints, table_flags
from pytest_sgdiff.errors import CaseFileError
from pytest_sgdiff.lint import advise
from tests.examples import examples

ROOT = Path(__file__).parents[2]
H200 = ROOT / "tests" / "data" / "nvml" / "h200-x4.json"
WRITTEN = {
    "cases/wan2_1_t2v_1_3b.yaml",
    "cases/case.schema.json",
    "pytest.ini",
    ".gitignore",
    ".github/workflows/sgdiff.yml",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return tmp_path


class Typing(io.StringIO):
    """Somebody at a terminal."""

    def isatty(self) -> bool:
        return True


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and ".git/" not in path.as_posix()
    }


def told(out: str) -> dict[str, str]:
    """File -> what became of it."""
    lines = [
        re.match(r"(wrote|replaced|unchanged|left alone|added to|needed) +([^:\s]+)", line) for line in out.split("\n")
    ]
    return {match[2]: match[1] for match in lines if match}


def commands(out: str) -> list[list[str]]:
    return [shlex.split(line) for line in out.splitlines() if line.startswith("  pytest ")]


def test_an_empty_folder_gets_all_that_a_first_run_needs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--gpus", "1"]) == 0
    out = capsys.readouterr().out
    assert set(files(here)) == WRITTEN
    assert {name for name, what in told(out).items() if what == "wrote"} == WRITTEN
    (case,) = read_cases(here / "cases" / "wan2_1_t2v_1_3b.yaml", here)
    assert (case.model, case.gpus, case.args["width"], case.args["num-frames"]) == (
        "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        1,
        832,
        17,
    )
    file = "cases/wan2_1_t2v_1_3b.yaml"
    assert commands(out) == [
        ["pytest", file, "--sgdiff-dry-run"],
        ["pytest", file, "--sgdiff-gpus=1", "--sgdiff-update"],
        ["pytest", file, "--sgdiff-gpus=1"],
    ]
    assert json.loads(files(here)["cases/case.schema.json"]) == json_schema.document_schema()
    assert (here / "cases" / files(here)[file].splitlines()[0].partition("$schema=")[2]).is_file()
    workflow = yaml.safe_load(files(here)[".github/workflows/sgdiff.yml"])
    assert (
        "pytest cases --sgdiff-gpus=1 --sgdiff-engine-cmd=sglang --sgdiff-strict"
        in workflow["jobs"]["gate"]["steps"][2]["run"]
    )
    assert "@" not in workflow["jobs"]["gate"]["env"]["PLUGIN"]


def test_a_second_time_nothing_changes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "--gpus", "1"])
    before = files(here)
    capsys.readouterr()
    assert main(["init", "--gpus", "1"]) == 0
    assert files(here) == before
    assert set(told(capsys.readouterr().out).values()) <= {"unchanged", "needed"}


def test_what_is_there_stays_and_is_named_unless_it_may_be_replaced(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = "# mine\ncases: {mine: {model: m, gpus: 3}}\n"
    kept = {"cases/wan2_1_t2v_1_3b.yaml": mine, "pytest.ini": "[pytest]\naddopts = -q\n", ".gitignore": "dist"}
    for name, text in {**kept, ".github/workflows/sgdiff.yml": "mine", "cases/case.schema.json": "{}"}.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    before = files(here)
    assert main(["init", "--gpus", "1"]) == 0
    out = capsys.readouterr().out
    assert files(here) == {**before, ".gitignore": "dist\n.sgdiff/\nbaselines/.lock\n"}
    left = {name for name, what in told(out).items() if what == "left alone"}
    assert left == WRITTEN - {".gitignore"}
    # The commands are those for what lies there.
    assert "--sgdiff-gpus=3" in commands(out)[2]
    assert main(["init", "--gpus", "1", "--force"]) == 0
    now = files(here)
    assert now["pytest.ini"] == kept["pytest.ini"]
    assert all(now[name] != before[name] for name in WRITTEN - {"pytest.ini"})


def test_settings_go_to_the_command_line_where_another_file_configures_pytest(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-q'\n")
    assert main(["init", "--gpus", "1", "--engine-cmd", "my sglang"]) == 0
    out = capsys.readouterr().out
    assert not (here / "pytest.ini").exists()
    assert told(out)["pyproject.toml"] == "left alone"
    assert "sgdiff_engine_cmd = my sglang" in out
    assert all("--sgdiff-engine-cmd=my sglang" in words for words in commands(out))


def test_a_configuration_above_counts_within_the_repository_alone(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "pytest.ini").write_text("[pytest]\n")
    inner = here / "bench"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert main(["init", "--gpus", "1"]) == 0
    assert (inner / "pytest.ini").is_file()
    other = here / "other"
    other.mkdir()
    (here / ".git").mkdir()
    monkeypatch.chdir(other)
    capsys.readouterr()
    assert main(["init", "--gpus", "1"]) == 0
    # GitHub reads workflows at the top only.
    assert set(files(other)) == WRITTEN - {"pytest.ini", ".github/workflows/sgdiff.yml"}
    assert told(capsys.readouterr().out)[".github/workflows/sgdiff.yml"] == "left alone"


def test_recipes_are_copied_with_the_schema_beside_them(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--cases", "wan22,firered.yaml"]) == 0
    out = capsys.readouterr().out
    for name in ("wan22", "firered"):
        ours = (ROOT / "cases" / f"{name}.yaml").read_text()
        copy = (here / "cases" / f"{name}.yaml").read_text()
        assert copy.splitlines()[1:] == ours.splitlines()[1:]
        assert copy.splitlines()[0] == "# yaml-language-server: $schema=case.schema.json"
    # What runs every night wants four GPUs; other layouts of the same files want eight.
    assert commands(out)[2] == ["pytest", "cases/wan22.yaml", "cases/firered.yaml", "-m", "nightly", "--sgdiff-gpus=4"]
    assert told(out)["assets/cat.png"] == "needed"
    assert "sgdiff_assets = assets" in (here / "pytest.ini").read_text()


@pytest.mark.parametrize(
    ("words", "there", "told_of"),
    [
        (["--cases", "wan22"], False, "needed      4 GPUs: this machine has none"),
        (["--gpus", "8"], True, "needed      8 GPUs: this machine has 4;"),
        (["--gpus", "4"], True, ""),
        (["--gpus", "0"], False, ""),
        (["--gpus", "0", "--model", "/no/such/model"], False, "needed      the model: there is no /no/such/model on"),
        (["--gpus", "0", "--model", "no/such"], False, ""),
    ],
)
def test_what_a_run_will_want_and_this_machine_lacks_is_said(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    there: bool,
    told_of: str,
) -> None:
    nothing = here.parent / f"{here.name}.json"
    nothing.write_text('{"devices": []}')
    monkeypatch.setenv("SGDIFF_NVML_FILE", str(H200 if there else nothing))
    assert main(["init", *words]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match(r"needed +(\d+ GPU|the model)", line)]
    assert [line[: len(told_of)] for line in lines] == ([told_of] if told_of else [])


def test_every_recipe_is_shipped_and_can_be_copied(here: Path) -> None:
    assert set(recipes()) == {path.stem for path in (ROOT / "cases").glob("*.yaml")}
    # All at once: no two of them share an id.
    assert main(["init", "--cases", ",".join(recipes())]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--cases", "wan2"], "no recipe is called 'wan2', did you mean 'wan22'?"),
        (["--cases", "nothing"], "no recipe is called 'nothing'; there are cosmos3, "),
        (["--cases", ","], "--cases names no recipe"),
        (["--cases", "wan22", "--gpus", "2"], "leave out the options of a first case"),
        (["--size", "9x9", "--width", "9"], "give --size, or --width and --height"),
        (["--model", " "], "--model is empty"),
        (["--model", " m"], "'model' must be text without spaces around it"),
        (["--engine-cmd", "a 'b"], "no closing quotation"),
        (["--engine-cmd", ""], "must be a command"),
        (["--engine-cmd", "sglang\raddopts=--collect-only"], "must be a command in one line"),
        (["--engine-cmd", "sglang\f[evil]"], "must be a command in one line"),
        (["--engine-cmd", "sg\udcff"], "must be a command in one line"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(["init", *words]) == 2
    assert says in capsys.readouterr().err
    assert files(here) == {}


@pytest.mark.parametrize("model", ["~nosuchuser/m", "a" * 5000])
def test_what_is_no_folder_is_a_models_name(here: Path, model: str) -> None:
    assert main(["init", "--model", model]) in (0, 2)


NONE = (["--gpus", "-1"], ["--gpus", "many"], ["--gpus", "00000000099999"], ["--size", "9"], ["--size", "0x9"])


@pytest.mark.parametrize("words", NONE)
def test_a_value_that_is_none_is_refused(here: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["init", *words])
    assert (caught.value.code, files(here)) == (2, {})


def test_an_id_that_another_file_has_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cases").mkdir()
    (here / "cases" / "a.yaml").write_text("cases: {wan2_1_t2v_1_3b: {model: m}}\n")
    before = files(here)
    assert main(["init", "--gpus", "1"]) == 2
    assert "case id 'wan2_1_t2v_1_3b' is already used at cases/a.yaml:1:9" in capsys.readouterr().err
    assert files(here) == before


def test_a_project_whose_workflows_or_settings_are_links_keeps_them(
    here: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "pytest.ini").write_text("[pytest]\n")
    (here / "pytest.ini").symlink_to(outside / "pytest.ini")
    (here / ".github").symlink_to(outside)
    assert main(["init", "--gpus", "1"]) == 0
    assert files(outside) == {"pytest.ini": "[pytest]\n"}
    assert {what for name, what in told(capsys.readouterr().out).items() if name in ("pytest.ini", ".github")} == {
        "left alone"
    }


@pytest.mark.parametrize("name", ["cases", "pytest.ini", "cases/case.schema.json"])
def test_no_link_is_followed(here: Path, tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (here / name).parent.mkdir(exist_ok=True)
    (here / name).symlink_to(outside / "file" if "." in name[1:] else outside)
    assert main(["init", "--gpus", "1", "--force"]) == 2
    assert files(outside) == {}
    assert [path.name for path in here.rglob("*") if path.is_file()] == []


def test_at_a_terminal_it_asks_until_the_answer_makes_sense(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Typing("org/My-Model\nmany\n2\n1280 x 720\n0\n"))
    assert main(["init"]) == 0
    (case,) = read_cases(here / "cases" / "my_model.yaml", here)
    assert (case.model, case.gpus, case.args["width"], case.args["height"]) == ("org/My-Model", 2, 1280, 720)
    assert "num-frames" not in case.args
    assert "'many' is no whole number" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--model", "m"], ["--width", "64"], ["--cases", "sd3"]])
def test_what_is_stated_is_not_asked(here: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr("sys.stdin", Typing())
    assert main(["init", *words]) == 0


def test_an_end_of_the_answers_writes_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Typing("org/My-Model\n"))
    assert main(["init"]) == 2
    assert files(here) == {}


@pytest.mark.parametrize(("there", "gpus"), [(True, 1), (False, 0)])
def test_a_gpu_is_asked_for_where_one_is(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], there: bool, gpus: int
) -> None:
    nothing = here.parent / f"{here.name}.json"
    nothing.write_text('{"devices": []}')
    monkeypatch.setenv("SGDIFF_NVML_FILE", str(H200 if there else nothing))
    assert main(["init"]) == 0
    (case,) = read_cases(here / "cases" / "wan2_1_t2v_1_3b.yaml", here)
    assert case.gpus == gpus
    assert commands(capsys.readouterr().out)[2][-1] == f"--sgdiff-gpus={'1' if there else 'none'}"


def test_a_folder_of_a_model_is_named_in_full(here: Path) -> None:
    (here / "models" / "Tiny Wan").mkdir(parents=True)
    assert main(["init", "--model", "models/Tiny Wan", "--gpus", "0"]) == 0
    (case,) = read_cases(here / "cases" / "tiny_wan.yaml", here)
    assert case.model == str(here / "models" / "Tiny Wan")


def test_git_ignores_what_a_run_leaves(here: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=here, check=True)
    main(["init", "--gpus", "1"])
    (here / ".sgdiff" / "run").mkdir(parents=True)
    (here / ".sgdiff" / "run" / "x").touch()
    status = subprocess.run(["git", "status", "--short", "-uall"], cwd=here, capture_output=True, text=True, check=True)
    assert {line[3:] for line in status.stdout.splitlines()} == WRITTEN


@examples(50)
@given(
    model=st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip).map(str.strip),
    prompt=st.text(st.characters(codec="utf-8")),
    frames=st.none() | st.integers(1, 500),
)
def test_whatever_model_and_prompt_are_the_case_says_them(model: str, prompt: str, frames: int | None) -> None:
    case = FirstCase(model=model, gpus=1, width=64, height=32, frames=frames, prompt=prompt)
    try:
        (read,) = load_cases("x.yaml", case.text("s.json"))
    except CaseFileError:
        # A case can hold no zero bytes and halves of characters; whoever types `init` is told.
        assume(False)
    assert (read.name, read.model, read.args["prompt"], read.args.get("num-frames")) == (case.id, model, prompt, frames)


@pytest.mark.parametrize("gpus", [0, 1, 4])
def test_no_known_engine_refuses_the_first_case(gpus: int) -> None:
    case = FirstCase(model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers", gpus=gpus, width=832, height=480, frames=17)
    (read,) = load_cases("x.yaml", case.text("s.json"))
    assert [one for version in VERSIONS for one in complaints(read, table_flags(version)) if one.level == "error"] == []
    assert [one.slug for one in advise(read, engine=table_flags(VERSIONS[-1]))] == []


def test_a_case_file_names_one_schema() -> None:
    assert with_schema("# yaml-language-server: $schema=x\na: 1\n", "y") == "# yaml-language-server: $schema=y\na: 1\n"
    assert with_schema("a: 1\n", "y") == "# yaml-language-server: $schema=y\na: 1\n"


@pytest.mark.parametrize(
    ("version", "plugin"),
    [
        ("1.2.0", "pytest-sgdiff[html]==1.2.0"),
        ("1.2.1.dev3+g0a1b2c3", "./wheels/pytest_sgdiff-1.2.1.dev3+g0a1b2c3-py3-none-any.whl[html]"),
        ("0.0.0.dev0", "./wheels/pytest_sgdiff-0.0.0.dev0-py3-none-any.whl[html]"),
    ],
)
def test_the_workflow_installs_what_pip_can_find(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str, plugin: str
) -> None:
    monkeypatch.setattr(command, "__version__", version)
    assert main(["init", "--gpus", "0"]) == 0
    workflow = yaml.safe_load((here / ".github" / "workflows" / "sgdiff.yml").read_text())
    assert workflow["jobs"]["gate"]["env"]["PLUGIN"] == plugin
    wheel = plugin.removeprefix("./").removesuffix("[html]")
    assert (told(capsys.readouterr().out).get(wheel) == "needed") is ("dev" in version)
    if "dev" in version:
        (here / wheel).parent.mkdir()
        (here / wheel).touch()
        main(["init", "--gpus", "0"])
        assert wheel not in told(capsys.readouterr().out)


# ------------------------------------------------------------------------------------------------------------- schema


def test_the_schema_is_printed_alone_and_the_line_beside_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json_schema.document_schema()
    assert printed.err.splitlines()[-1] == "# yaml-language-server: $schema=case.schema.json"
    assert files(here) == {}


@pytest.mark.parametrize(
    ("words", "file", "line"),
    [([], "cases/case.schema.json", "case.schema.json"), (["s.json"], "s.json", "../s.json")],
)
def test_the_schema_is_written_and_an_earlier_one_replaced(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], file: str, line: str
) -> None:
    (here / "cases").mkdir()
    (here / file).write_text(json.dumps({"title": json_schema.TITLE}))
    assert main(["schema", "--write", *words]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"# yaml-language-server: $schema={line}"
    assert (here / file).read_text() == json_schema.text()


@pytest.mark.parametrize("text", ["{}", "[1]", "not JSON", '{"title": "mine"}'])
def test_the_schema_is_written_over_nothing_else(here: Path, text: str) -> None:
    (here / "s.json").write_text(text)
    assert main(["schema", "--write", "s.json"]) == 2
    assert (here / "s.json").read_text() == text


# ------------------------------------------------------------------------------------------ what cannot be written


@pytest.mark.parametrize("number", [1, 12])
def test_a_full_disk_is_one_message_and_the_project_is_as_it_was(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """`test_data_files.py` tries every moment."""
    (here / ".gitignore").write_text("dist")
    (here / ".gitignore").chmod(0o640)
    calls: list[int] = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        code = main(["init", "--gpus", "1"])
    if number > len(calls):
        assert (code, set(files(here))) == (0, WRITTEN)
        assert stat.S_IMODE((here / ".gitignore").stat().st_mode) == 0o640
        return
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "sgdiff: init: cases/wan2_1_t2v_1_3b.yaml cannot be written: No space left on device. Nothing"
    )
    assert [path.name for path in here.rglob("*")] == [".gitignore"]


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder of a user who may not write everywhere, in which this process is that user."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            monkeypatch.chdir(name)
            monkeypatch.setattr("sys.stdin", io.StringIO())
            yield Path(name)
        finally:
            if os.getuid() == 0:
                os.seteuid(0)


@pytest.mark.parametrize(
    ("closed", "says"),
    [
        (".", r"cases/wan2_1_t2v_1_3b\.yaml cannot be written: Permission denied\. Nothing was written"),
        ("cases", r"cases/wan2_1_t2v_1_3b\.yaml cannot be written: Permission denied\. Nothing was written"),
    ],
)
def test_a_folder_that_is_read_only_is_one_message_and_nothing_is_written(
    nobody: Path, capsys: pytest.CaptureFixture[str], closed: str, says: str
) -> None:
    (nobody / closed).mkdir(exist_ok=True)
    (nobody / closed).chmod(0o555)
    assert main(["init", "--gpus", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(says, line)
    assert files(nobody) == {}


@pytest.mark.parametrize(
    ("name", "mode", "left"),
    [
        (".gitignore", 0o000, ".gitignore"),
        (".gitignore", 0o444, ".gitignore"),
        (".github", 0o555, ".github/workflows/sgdiff.yml"),
        (".github/workflows", 0o555, ".github/workflows/sgdiff.yml"),
        (".github/workflows", 0o000, ".github/workflows/sgdiff.yml"),
    ],
)
def test_what_no_run_needs_is_left_alone_with_the_reason_where_it_cannot_be_written(
    nobody: Path, capsys: pytest.CaptureFixture[str], name: str, mode: int, left: str
) -> None:
    path = nobody / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch() if name == ".gitignore" else path.mkdir()
    path.chmod(mode)
    assert main(["init", "--gpus", "1"]) == 0
    out = capsys.readouterr().out
    path.chmod(0o755)
    assert told(out)[left] == "left alone"
    assert set(files(nobody)) | {left} == WRITTEN
    (line,) = [line for line in out.splitlines() if line.startswith("left alone")]
    assert "read-only" in line or "cannot be read: Permission denied" in line
    if name == ".gitignore":
        assert "lines to add: .sgdiff/, baselines/.lock" in line
