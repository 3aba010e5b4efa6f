"""`sgdiff tune` from its command line, with launches that nobody makes."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.cli import main, tune
from pytest_sgdiff.cli.tune_file import NotCollectedError
from pytest_sgdiff.cli.tune_plan import prepared_for
from pytest_sgdiff.data import Dropped, Quality, Tried, TuneLaunch, TuneNote, TuneTrouble, Variant
from pytest_sgdiff.tuning.bench import Bench, MeasuringError

CASE = """\
cases:
  tiny:
    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    gpus: 0
    args: {prompt: a cat, seed: 1, width: 832, height: 480, num-frames: 17, num-inference-steps: 20}
"""
TUNE = ["tune", "tiny", "--gpus", "none", "--axes", "compile", "--engine-cmd", "true"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SGDIFF_ENGINE_VERSION", "0.5.17")
    monkeypatch.delenv("SGDIFF_ENGINE_CMD", raising=False)
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "tiny.yaml").write_text(CASE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def measuring(monkeypatch: pytest.MonkeyPatch, ms: Callable[[str], float | None]) -> list[str]:
    """Have variants take so long, or fail where that is None; which were launched."""
    launched: list[str] = []

    def measure(
        self: Bench, number: int, variants: Sequence[Variant], *, timeout_s: float | None
    ) -> tuple[TuneLaunch, ...]:
        launched.extend(one.name for one in variants)
        return tuple(_launch(number, one.name, ms(one.name)) for one in variants)

    monkeypatch.setattr(Bench, "measure", measure)
    return launched


def _launch(number: int, name: str, ms: float | None) -> TuneLaunch:
    if ms is None:
        return TuneLaunch(round=number, variant=name, dropped=Dropped(code="failed", why="broken"), took_s=1.0)
    return TuneLaunch(round=number, variant=name, tried=Tried(variant=name, ms=ms, memory_mib=1000.0), took_s=1.0)


def quick(name: str) -> float:
    return 700.0 if name == "compile" else 1000.0


def test_the_best_is_named_kept_and_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched = measuring(monkeypatch, quick)
    files = ["--report", "x.json", "--report", "x.html", "--report", "x.md", "--report", "x.txt"]
    assert main([*TUNE, *files, "--write", "cases/mine.yaml"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("tiny: compile is the fastest")
    assert all((project / name).stat().st_size > 500 for name in ("x.json", "x.html", "x.md", "x.txt"))
    told = json.loads((project / "x.json").read_text())
    assert (told["code"], told["best"], told["file"]) == ("decided", "compile", "cases/mine.yaml")
    mine = load_cases("cases/mine.yaml", (project / "cases" / "mine.yaml").read_text())
    assert mine[0].args["enable-torch-compile"] is True
    assert mine[0].faster_than is not None
    count = len(launched)
    # The same command has nothing to launch, and writes the same files.
    assert main([*TUNE, *files, "--write", "cases/mine.yaml"]) == 0
    assert len(launched) == count
    assert main([*TUNE, "--restart"]) == 0
    assert len(launched) == 2 * count
    assert (project / ".sgdiff" / "tune" / ".gitignore").read_text().endswith("*\n")


@pytest.mark.parametrize(
    ("ms", "more", "code"),
    [
        (lambda name: 1000.0, [], 0),
        (lambda name: 1000.0, ["--launches", "1"], 1),
        (quick, ["--budget", "0.9s"], 1),
        (lambda name: None, [], 4),
        (quick, ["--memory", "900MiB"], 4),
    ],
    ids=["equal", "launches", "budget", "nothing-runs", "nothing-fits"],
)
def test_exit_codes(
    project: Path, monkeypatch: pytest.MonkeyPatch, ms: Callable[[str], float | None], more: list[str], code: int
) -> None:
    measuring(monkeypatch, ms)
    assert main([*TUNE, *more]) == code


def test_ctrl_c_is_130_and_what_keeps_gpus_away_is_2(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(name: str) -> float:
        raise KeyboardInterrupt

    measuring(monkeypatch, interrupt)
    assert main(TUNE) == 130

    def busy(name: str) -> float:
        raise MeasuringError("as-written: GPU 0 is busy", "and here is why")

    measuring(monkeypatch, busy)
    assert main(TUNE) == 2
    assert "GPU 0 is busy\nand here is why\n" in capsys.readouterr().err

    def full(name: str) -> float:
        raise MeasuringError(troubles=[TuneTrouble(code="disk", variant=one, why="full") for one in ("a", "b")])

    measuring(monkeypatch, full)
    assert main(TUNE) == 2
    # What helps is said once.
    assert capsys.readouterr().err.count("make room") == 1


def test_what_was_found_out_is_printed_though_files_cannot_be_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(monkeypatch, quick)
    assert main([*TUNE, "--report", "pytest.ini/x.json"]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("tiny: compile is the fastest")
    assert "pytest.ini/x.json" in said.err
    assert main([*TUNE, "--write", "pytest.ini/x.sgdiff.yaml", "--report", "x.json"]) == 2
    assert "pytest.ini/x.sgdiff.yaml" in capsys.readouterr().err
    assert json.loads((project / "x.json").read_text())["file"] == ""


def test_a_case_that_cannot_be_launched_is_refused_with_the_reason(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched = measuring(monkeypatch, quick)
    (project / "cases" / "tiny.yaml").write_text(CASE + "    env: {SGDIFF_LEASE: x}\n")
    assert main(TUNE) == 2
    assert "owned-variable" in capsys.readouterr().err
    assert launched == []


MATRIX = """\
cases:
  mine:
    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    gpus: 0
    args: {prompt: a cat, seed: 1, width: 832, height: 480, num-frames: 17, num-inference-steps: 20}
    matrix:
      attention:
        sdpa: {args: {attention-backend: torch_sdpa}}
        fa: {args: {attention-backend: fa}}
        fp16: {args: {dit-precision: fp16}}
"""


def test_the_cases_of_a_matrix_are_ranked(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "cases" / "tiny.yaml").write_text(MATRIX)
    launched = measuring(monkeypatch, {"sdpa": 1000.0, "fa": 700.0, "fp16": 900.0}.get)
    words = ["tune", "mine", "--gpus", "none", "--engine-cmd", "true", "--out", "search"]
    assert main([*words, "--report", "x.json"]) == 0
    told = json.loads((project / "x.json").read_text())
    assert (told["case"], told["best"], told["written"]) == ("mine", "fa", "sdpa")
    assert launched[:2] == ["sdpa", "sdpa"]
    assert set(launched) == {"sdpa", "fa", "fp16"}
    # One of its cases has variants as any other, and the matrix has no other ones.
    assert main(["tune", "mine[fa]", "--gpus", "none", "--engine-cmd", "true", "--axes", "compile", "--dry-run"]) == 0
    assert "mine[fa]" in capsys.readouterr().out
    assert main([*words, "--axes", "compile"]) == 2
    assert "--axes" in capsys.readouterr().err


def test_variants_of_a_matrix_that_are_other_requests_are_named_before_and_after(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = MATRIX.replace("fa: {args: {attention-backend: fa}}", "few: {args: {num-inference-steps: 10, width: 640}}")
    text = text.replace("fp16: {args: {dit-precision: fp16}}", "same: {args: {attention-backend: fa}}")
    (project / "cases" / "tiny.yaml").write_text(text)
    launched = measuring(monkeypatch, {"sdpa": 1000.0, "few": 700.0, "same": 900.0}.get)
    words = ["tune", "mine", "--gpus", "none", "--engine-cmd", "true", "--allow-lossy"]
    assert main([*words, "--dry-run"]) == 0
    assert "few (another size, other steps)" in capsys.readouterr().out
    forms = [f"x{suffix}" for suffix in (".json", ".md", ".html", ".txt")]
    assert main([*words, *(word for form in forms for word in ("--report", form))]) == 0
    said = capsys.readouterr()
    # Once, before the first round.
    assert said.err.count("few (another size, other steps)") == 1
    assert said.err.index("few (another size") < said.err.index("round 1")
    told = json.loads((project / "x.json").read_text())
    assert told["other_requests"] == [{"variant": "few", "parts": ["size", "steps"]}]
    assert all("few (another size, other steps)" in (project / form).read_text().replace("\\", "") for form in forms)
    assert set(launched) == {"sdpa", "few", "same"}


def test_a_dry_run_launches_and_writes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched = measuring(monkeypatch, quick)
    assert main([*TUNE, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "--enable-torch-compile" in said
    assert "left out:" in said
    assert main([*TUNE, "--dry-run", "--only", "compile"]) == 0
    assert "\ncompile-regional " not in capsys.readouterr().out
    # Neither an engine nor a GPU is needed.
    assert main(["tune", "tiny", "--gpus", "4", "--engine-cmd", "no-such-engine", "--dry-run"]) == 0
    assert "ulysses4" in capsys.readouterr().out
    bare = ["tune", "--model", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "--width", "832", "--height", "480"]
    assert main([*bare, "--gpus", "1", "--dry-run"]) == 0
    assert launched == []
    assert sorted(path.name for path in project.iterdir()) == ["cases", "pytest.ini"]


def test_a_model_without_a_case_gets_a_file_that_pytest_finds(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring(monkeypatch, quick)
    bare = ["tune", "--model", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "--width", "832", "--height", "480"]
    assert main([*bare, "--gpus", "none", "--axes", "compile", "--engine-cmd", "true", "--out", "search"]) in (0, 1)
    (case,) = load_cases("search/model.yaml", (project / "search" / "model.yaml").read_text())
    assert case.model == "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tune", "tinny", "--gpus", "none"], "did you mean tiny?"),
        (["tune", "--gpus", "none"], "name a case"),
        (["tune", "tiny", "--model", "m"], "not both"),
        ([*TUNE, "--width", "3"], "--width"),
        (["tune", "--model", "m", "--width", "0"], "--width 0"),
        ([*TUNE, "--memory", "40"], "--memory 40"),
        ([*TUNE, "--memory", "0GiB"], "--memory 0GiB"),
        ([*TUNE, "--budget", "soon"], "--budget soon"),
        ([*TUNE, "--budget", "0h"], "--budget 0h"),
        ([*TUNE, "--budget", "1h30"], "--budget 1h30"),
        ([*TUNE, "--within", "2"], "--within 2"),
        ([*TUNE, "--within", "0%"], "--within 0%"),
        ([*TUNE, "--launches", "0"], "--launches 0"),
        ([*TUNE, "--axes", "compile,ofload"], "ofload"),
        ([*TUNE, "--preset", "low-vrm"], "low-vram"),
        ([*TUNE, "--only", "compil"], "use some of compile, compile-regional"),
        ([*TUNE, "--only", "cuda-graphs"], "--dry-run says why"),
        ([*TUNE, "--metric", "peak_memory"], "--metric peak_memory"),
        ([*TUNE, "--report", "x.pdf"], "--report x.pdf"),
        ([*TUNE, "--write", "cases/tiny.yaml"], "--write cases/tiny.yaml"),
        ([*TUNE, "--write", "mine.json"], "--write mine.json"),
        ([*TUNE, "--pytest", "'"], "--pytest"),
        ([*TUNE[:-1], "'"], "--engine-cmd"),
        ([*TUNE[:-1], "no-such-engine"], "no-such-engine"),
        (["tune", "tiny", "--gpus", "x"], "x"),
        (["tune", "tiny", "--gpus", "9"], "sgdiff: --gpus=9"),
        (["tune", "", "--gpus", "none"], "CASE ''"),
        (["tune", "test_speed", "--gpus", "none"], "FILE::ID"),
        (["tune", "tests/test_x.py::test_speed", "--gpus", "none"], "tests/test_x.py: is no file of cases"),
        (["tune", "cases/tiny.yaml", "--gpus", "none"], "give one of its cases: tiny"),
        (["tune", "cases/tiny.yaml::tinny", "--gpus", "none"], "did you mean tiny?"),
        (["tune", "--model", " "], "--model ' '"),
        (["tune", "--model", "/nonexistent/x", "--dry-run"], "--model /nonexistent/x"),
        ([*TUNE, "--metric", ""], "--metric ''"),
        (["tune", "tiny", "--gpus", "", "--dry-run"], "--gpus ''"),
        ([*TUNE[:-1], ""], "--engine-cmd ''"),
        ([*TUNE, "--memory", ""], "--memory ''"),
        ([*TUNE, "--transformer", "/nonexistent/x", "--dry-run"], "--transformer /nonexistent/x"),
        ([*TUNE, "--transformer", "a/b,~/x", "--dry-run"], "--transformer ~/x"),
        ([*TUNE, "--transformer", "cases", "--dry-run"], "/cases"),
        ([*TUNE, "--retry", "compil"], "use some of as-written, compile, compile-regional"),
        ([*TUNE, "--retry", ""], "--retry ''"),
        ([*TUNE, "--only", "eager"], "eager is what as-written is: leave eager out, or use some of compile"),
    ],
)
def test_a_wrong_command_is_2_and_names_the_option(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert not (project / ".sgdiff").exists()


@pytest.mark.parametrize(
    ("ini", "more", "path", "setting", "fix"),
    [
        ("", [], "cases/sub/x.yaml", "sgdiff_files", "cases/x.yaml"),
        ("", [], "tuned/tiny.yaml", "sgdiff_files", "tuned/tiny.sgdiff.yaml"),
        ("", [], "cases/.hidden/x.sgdiff.yaml", "norecursedirs", "cases/x.sgdiff.yaml"),
        ("norecursedirs = sub", [], "sub/cases/x.yaml", "norecursedirs", "cases/x.yaml"),
        ("sgdiff_files =\n  perf/*.yaml", [], "cases/x.yaml", "sgdiff_files", None),
        ("sgdiff_files =\n  perf/*.yaml", [], "perf/x.yaml", None, None),
        ("sgdiff_files =\n  perf/*.yaml", ["--pytest=--sgdiff-files=a/*.yaml"], "perf/x.yaml", "sgdiff_files", None),
        ("addopts = -ra --sgdiff-files 'b/*.yaml'", [], "b/x.yaml", None, None),
        ("", [], "sub/cases/x.yaml", None, None),
        ("", [], "x.sgdiff.yaml", None, None),
    ],
)
def test_a_case_that_pytest_would_not_collect_is_refused_before_anything_is_launched(
    project: Path, monkeypatch: pytest.MonkeyPatch, ini: str, more: list[str], path: str, setting: str, fix: str | None
) -> None:
    (project / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    chosen = argparse.ArgumentParser()
    tune.add(chosen.add_subparsers())
    asked = chosen.parse_args([*TUNE, *more, "--write", path])
    if setting is None:
        assert prepared_for(asked).named == "tiny"
        return
    with pytest.raises(NotCollectedError) as raised:
        prepared_for(asked)
    error = raised.value
    assert (error.setting, error.fix) == (setting, None if fix is None else Path(fix))
    assert str(error.path) == path
    assert error.patterns


def test_the_engine_of_the_project_is_asked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "pytest.ini").write_text("[pytest]\nsgdiff_engine_cmd = no-such-engine --mine\n")
    assert main(TUNE[:-2]) == 2
    assert " no-such-engine --mine " in capsys.readouterr().err


def test_two_commands_do_not_work_in_one_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(monkeypatch, quick)
    folder = project / "search"
    folder.mkdir()
    monkeypatch.setattr("pytest_sgdiff.launch.child.GRACE_S", 0.0)
    holder = (
        "import os, sys; from pathlib import Path; from pytest_sgdiff.files.run_folders import hold; "
        f"lock = hold(Path({str(folder)!r}), shared=False); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert main([*TUNE, "--out", "search"]) == 2
        assert "at work" in capsys.readouterr().err
        os.kill(other.pid, signal.SIGTERM)
    assert main([*TUNE, "--out", "search"]) == 0


def test_lossy_variants_may_draw_what_they_like_also_where_the_space_has_none(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(monkeypatch, quick)
    compared: list[str] = []

    def pictures(bench: Bench, written: Variant, variant: Variant, launches: Sequence[TuneLaunch]) -> Quality | None:
        compared.append(variant.name)
        return None if variant is written else Quality(code="changed")

    monkeypatch.setattr("pytest_sgdiff.tuning.pictures.pictures", pictures)

    def best(*more: str) -> str | None:
        assert main([*TUNE, *more, "--report", "x.json"]) in (0, 1)
        told: dict[str, str | None] = json.loads((project / "x.json").read_text())
        return told["best"]

    assert best("--out", "no") == "as-written"
    assert best("--out", "yes", "--allow-lossy") == "compile"
    # What was given up for its picture stays so in the search in which it was.
    assert main([*TUNE, "--out", "no", "--allow-lossy"]) == 2
    assert "lossy variants" in capsys.readouterr().err
    # A recipe allows them by itself.
    assert best("--out", "preset", "--preset", "lossy", "--only", "compile") == "compile"


def test_a_comment_above_the_case_is_no_other_search(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launched = measuring(monkeypatch, quick)
    assert main(TUNE) == 0
    count = len(launched)
    path = project / "cases" / "tiny.yaml"
    path.write_text("# a comment\n" + CASE + "    summary: the smallest\n    source: a note\n")
    assert main(TUNE) == 0
    assert len(launched) == count
    path.write_text(CASE.replace("a cat", "a dog"))
    assert main(TUNE) == 2


def test_a_state_with_an_unknown_variant_is_damaged(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(monkeypatch, quick)
    assert main([*TUNE, "--out", "search"]) == 0
    path = project / "search" / "state.jsonl"
    path.write_text(path.read_text().replace('"compile"', '"zzz"'))
    capsys.readouterr()
    assert main([*TUNE, "--out", "search"]) == 2
    assert "is damaged" in capsys.readouterr().err


def test_winners_of_two_variants_of_a_matrix_have_two_ids(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "cases" / "tiny.yaml").write_text(MATRIX)
    launched = measuring(monkeypatch, quick)
    for variant in ("sdpa", "fa"):
        words = ["tune", f"mine[{variant}]", *TUNE[2:], "--write"]
        assert main([*words, f"cases/{variant}.yaml"]) == 0
    names = {load_cases(name, (project / name).read_text())[0].name for name in ("cases/sdpa.yaml", "cases/fa.yaml")}
    assert names == {"mine_sdpa_tuned", "mine_fa_tuned"}
    count = len(launched)
    capsys.readouterr()
    # An id that another file has is refused before anything is launched.
    assert main([*words, "cases/again.yaml", "--out", "search"]) == 2
    assert "cases/fa.yaml" in capsys.readouterr().err
    assert (len(launched), (project / "cases" / "again.yaml").exists()) == (count, False)


def test_a_case_may_be_named_as_pytest_names_its_test(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "cases/tiny.yaml::tiny", *TUNE[2:], "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("tiny: ")
    (project / "cases" / "tiny.yaml").write_text(MATRIX)
    for name, more in (("mine", []), ("mine[fa]", ["--axes", "compile"])):
        assert main(["tune", f"cases/tiny.yaml::{name}", "--gpus", "none", *TUNE[6:], "--dry-run", *more]) == 0
        assert capsys.readouterr().out.startswith(f"{name}: ")


@pytest.mark.parametrize("option", ["--out", "--write", "--report"])
def test_an_empty_path_is_none(project: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    with pytest.raises(SystemExit) as raised:
        main([*TUNE, option, ""])
    assert raised.value.code == 2
    assert option in capsys.readouterr().err


def test_other_limits_and_another_timeout_go_on_with_what_was_measured(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched = measuring(monkeypatch, quick)
    words = [*TUNE, "--only", "compile"]
    assert main(words) == 0
    count = len(launched)
    for more, code in ((["--memory", "900MiB"], 4), (["--within", "30%"], 0), (["--launches", "1"], 0)):
        assert main([*words, *more]) == code
    path = project / "cases" / "tiny.yaml"
    path.write_text(CASE + "    timeout: 1h\n")
    assert main([*words, "--memory", "40GiB"]) == 0
    assert len(launched) == count
    assert capsys.readouterr().out.count("tiny: compile is the fastest") == 4


def notes(monkeypatch: pytest.MonkeyPatch) -> list[TuneNote]:
    """What is said beside the result."""
    said: list[TuneNote] = []
    monkeypatch.setattr(tune, "_note", lambda note, _: said.append(note))
    return said


def test_only_the_variants_that_are_named_are_tried_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = notes(monkeypatch)
    measuring(monkeypatch, lambda name: 1000.0 if name == "as-written" else None)
    assert main(TUNE) == 0
    launched = measuring(monkeypatch, quick)
    assert main(TUNE) == 0
    assert launched == []
    assert (
        main([*TUNE, "--retry", "compile (lossy) (other steps, other frames), as-written", "--report", "x.json"]) == 0
    )
    assert set(launched) == {"compile"}
    assert json.loads((project / "x.json").read_text())["best"] == "compile"
    assert said == [TuneNote(code="not-retried", variants=("as-written",))]


@pytest.mark.parametrize(
    ("ms", "more", "told"),
    [
        (lambda name: None, [], [TuneNote(code="not-written", path="cases/x.yaml", why="nothing")]),
        (quick, ["--budget", "0.9s"], []),
        (
            quick,
            ["--memory", "900MiB"],
            [
                TuneNote(code="not-written", path="cases/x.yaml", why="nothing"),
                TuneNote(code="memory", variants=("as-written",), memory_mib=1000.0),
            ],
        ),
    ],
    ids=["nothing-runs", "best-so-far", "nothing-fits"],
)
def test_why_no_file_is_written_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, ms: Callable[[str], float | None], more: list[str], told: object
) -> None:
    said = notes(monkeypatch)
    measuring(monkeypatch, ms)
    main([*TUNE, *more, "--write", "cases/x.yaml"])
    assert said == told
    assert (project / "cases" / "x.yaml").exists() is not bool(told)


def test_a_line_that_was_cut_off_is_left_out_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = notes(monkeypatch)
    launched = measuring(monkeypatch, quick)
    assert main([*TUNE, "--out", "search"]) == 0
    count = len(launched)
    with (project / "search" / "state.jsonl").open("a") as file:
        file.write('{"came": {"rou')
    lines = (project / "search" / "state.jsonl").read_text().count("\n") + 1
    for _ in range(2):
        assert main([*TUNE, "--out", "search"]) == 0
    assert said == [TuneNote(code="cut", path="search/state.jsonl", line=lines)]
    assert len(launched) == count
