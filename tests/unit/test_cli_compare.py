"""`sgdiff compare`, `import` and `export` on real files: what they print, and their exit codes."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.cli import compare, upstream
from pytest_sgdiff.errors import SgdiffError

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "examples" / "recordings" / "h200"
BASELINE = ROOT / "examples" / "baselines" / "nvidia-h200-x1" / "tiny_wan_unchanged.json"
H100 = ROOT / "tests" / "data" / "upstream_h100_0.5.23.json"


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for add in (compare.add, upstream.add_import, upstream.add_export):
        add(commands)
    chosen = parser.parse_args([str(word) for word in words])
    return int(chosen.run(chosen))


def dump(case: str, number: str = "00") -> Path:
    return RECORDINGS / case / number / "perf.json"


# ----------------------------------------------------------------------------------------------------------- compare


def test_two_dumps(capsys: pytest.CaptureFixture[str]) -> None:
    def result(*words: object) -> tuple[int, str]:
        code = run("compare", *words, "--format", "json")
        return code, json.loads(capsys.readouterr().out)["result"]

    old, new = dump("tiny_wan_unchanged"), dump("tiny_wan_slower")
    assert result(old, dump("tiny_wan_leave_out", "02")) == (0, "cannot-tell")
    # One launch that is 8 % slower shows nothing of the engine but its larger memory.
    assert result(old, new) == (1, "slower")
    assert result(old, dump("tiny_wan_fallback")) == (2, "not-comparable")
    assert result("--anyway", new, dump("tiny_wan_fallback")) == (0, "cannot-tell")
    assert result("--tolerances", "upstream", old, dump("tiny_wan_leave_out", "02")) == (0, "similar")
    assert result("--tolerances", "upstream", old, new) == (1, "slower")


def test_a_baseline_and_the_noisy_launches_that_it_was_made_of_have_the_same_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a busy CPU single steps of one launch differ by more than the launches do."""
    tutorial = ROOT / "tests" / "data" / "tutorial"
    assert (
        run(
            "compare",
            tutorial / "baselines" / "amd-epyc-x2" / "wan21_t2v.json",
            tutorial / "record",
            "--format",
            "json",
        )
        == 0
    )
    rows = {row["metric"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert {"denoise_core", "denoise_excess", "e2e"} <= rows.keys()
    assert [name for name, row in rows.items() if row["new"] != pytest.approx(row["old"], rel=1e-3, abs=1e-3)] == []


def test_a_recording_against_a_baseline_by_the_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", BASELINE, RECORDINGS / "tiny_wan_leave_out") == 0
    assert run("compare", BASELINE, RECORDINGS / "tiny_wan_slower") == 1
    out = capsys.readouterr().out
    assert "slower: 1.2 % allowed" in out
    assert f"new  {RECORDINGS / 'tiny_wan_slower'} (5 launches, sglang 0.5.17, 1 x NVIDIA H200)" in out


def test_a_dump_against_a_baseline() -> None:
    assert run("compare", BASELINE, dump("tiny_wan_unchanged")) == 0
    assert run("compare", BASELINE, dump("tiny_wan_diffusers")) == 2


def test_two_recordings_case_by_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for case in ("tiny_wan_slower", "tiny_wan_leave_out", "tiny_wan_port_lost"):
        shutil.copytree(RECORDINGS / case, tmp_path / "old" / case)
        shutil.copytree(RECORDINGS / case, tmp_path / "new" / case)
    shutil.copytree(RECORDINGS / "tiny_wan_cold", tmp_path / "old" / "tiny_wan_cold")
    assert run("compare", tmp_path / "old", tmp_path / "new", "--format", "json") == 2  # one case gave no numbers
    out, err = capsys.readouterr()
    assert set(json.loads(out)) == {"tiny_wan_slower", "tiny_wan_leave_out"}
    gone = f"tiny_wan_cold is only in {tmp_path / 'old'}"
    left_out = json.loads(out)["tiny_wan_slower"]["left_out"]
    assert left_out[0] == gone
    assert left_out[1].startswith(f"{tmp_path / 'old'}/tiny_wan_port_lost: no launch gave numbers")
    assert "tiny_wan_port_lost: no launch gave numbers" in err
    shutil.copytree(RECORDINGS / "tiny_wan_unchanged", tmp_path / "old" / "tiny_wan_port_lost", dirs_exist_ok=True)
    capsys.readouterr()
    assert run("compare", tmp_path / "old", tmp_path / "new") == 2
    assert "tiny_wan_port_lost is only in" not in capsys.readouterr().out
    for side in ("old", "new"):
        shutil.rmtree(tmp_path / side / "tiny_wan_port_lost")
    # A case that went missing may be the slower one; a new one has nothing to be slower than.
    capsys.readouterr()
    assert run("compare", tmp_path / "old", tmp_path / "new") == 2
    assert capsys.readouterr().out.endswith(f"\n\nnot compared: {gone}\n")
    assert run("compare", tmp_path / "old", tmp_path / "new", "--format", "markdown") == 2
    assert capsys.readouterr().out.endswith(f"\n\n- not compared: {gone}\n")
    assert run("compare", tmp_path / "old", tmp_path / "new", "--anyway") == 0
    shutil.rmtree(tmp_path / "new" / "tiny_wan_slower")
    assert run("compare", tmp_path / "old", tmp_path / "new") == 2
    capsys.readouterr()
    assert run("compare", tmp_path / "new", tmp_path / "old") == 0
    assert f"\nnot compared: {gone}\n" in capsys.readouterr().out


def test_recordings_without_a_case_in_common_are_not_comparable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for case in ("tiny_wan_slower", "tiny_wan_leave_out"):
        shutil.copytree(RECORDINGS / case, tmp_path / "old" / case)
    for case in ("tiny_wan_cold", "tiny_wan_unchanged"):
        shutil.copytree(RECORDINGS / case, tmp_path / "new" / case)
    assert run("compare", tmp_path / "old", tmp_path / "new") == 2
    assert capsys.readouterr().err == (
        f"sgdiff compare: no case is in both: tiny_wan_leave_out, tiny_wan_slower in {tmp_path / 'old'}, "
        f"tiny_wan_cold, tiny_wan_unchanged in {tmp_path / 'new'}\n"
    )


def test_markdown_and_json_are_offered(capsys: pytest.CaptureFixture[str]) -> None:
    old, new = dump("tiny_wan_unchanged"), dump("tiny_wan_slower")
    assert run("compare", old, new, "--format", "markdown") == 1
    assert capsys.readouterr().out.startswith("### Performance Comparison Report\n")
    assert run("compare", old, new, "--format", "json") == 1
    assert json.loads(capsys.readouterr().out)["exit_code"] == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 1}', "", "{}"])
def test_what_is_neither_dump_nor_baseline_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(SgdiffError, match=rf"^{file}"):
        run("compare", dump("tiny_wan_unchanged"), file)


# ----------------------------------------------------------------------------------------------- import and export


def test_import_writes_references_and_export_gives_them_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("import", H100, "--engine", "0.5.23", "--source", "sglang 0.5.23, h100.json") == 0
    out = capsys.readouterr().out
    assert "baselines/nvidia-h100-80gb-hbm3-x2/upstream.ltx_2_two_stage_t2v.json\n" in out
    assert out.endswith("\n7 of 8 imported, 1 holds no number\n")
    assert len(list(baselines.every(tmp_path / "baselines"))) == 7
    assert baselines.check(tmp_path / "baselines", {}) == ()
    assert run("export", "NVIDIA H100 80GB HBM3") == 0
    scenarios = json.loads(capsys.readouterr().out)["scenarios"]
    assert scenarios["ltx_2_two_stage_t2v"]["expected_e2e_ms"] == 6781.14
    assert len(scenarios) == 7
    with pytest.raises(SgdiffError) as caught:
        run("export", "NVIDIA B200")
    assert str(caught.value) == (
        "no baseline of 'NVIDIA B200' below baselines; there are some of: NVIDIA H100 80GB HBM3"
    )


def test_a_recorded_baseline_is_not_replaced_by_a_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("import", H100)
    path = tmp_path / "baselines" / "nvidia-h100-80gb-hbm3-x1" / "upstream.wan2_2_ti2v_5b.json"
    path.write_text(path.read_text().replace('"kind": "reference"', '"kind": "recorded"'))
    before = path.read_text()
    capsys.readouterr()
    run("import", H100)
    assert path.read_text() == before
    assert capsys.readouterr().out.endswith(
        "upstream.wan2_2_ti2v_5b.json: kept: recorded launches are better evidence than a reference\n"
        "6 of 8 imported, 1 holds no number, 1 kept as recorded\n"
    )


def test_an_import_of_nothing_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "h100.json"
    file.write_text('{"metadata": {"hardware": "H100"}, "scenarios": {"a": {"expected_e2e_ms": 1.0}}}')
    assert run("import", file) == 1
    named, counted = capsys.readouterr().out.splitlines()
    assert named.startswith(f"{file}:1: scenarios.a: ")
    assert counted == "0 of 1 imported, 1 needs --gpus N"
    assert run("import", file, "--gpus", "1") == 0
    assert capsys.readouterr().out.endswith("upstream.a.json\n1 of 1 imported\n")


def test_import_without_a_file_writes_the_published_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Wherever below the folder of cases a file lies: pytest collects it there, too.
    shutil.copytree(ROOT / "cases", tmp_path / "cases" / "images")
    monkeypatch.chdir(tmp_path)
    assert run("import") == 0
    assert capsys.readouterr().out.endswith("4 of 4 imported\n")
    assert {path.name for path in baselines.every(tmp_path / "baselines")} == {
        path.name for path in baselines.every(ROOT / "baselines")
    }
    with pytest.raises(SgdiffError, match="not JSON"):
        run("import", tmp_path / "cases" / "images" / "firered.yaml")
    odd = tmp_path / "odd.json"
    odd.write_text('{"metadata": {"hardware": "H100"}, "scenarios": {"a": 3}}')
    with pytest.raises(SgdiffError) as caught:
        run("import", odd)
    assert str(caught.value) == f"{odd}:1: scenarios.a: must be a mapping, got 3"
