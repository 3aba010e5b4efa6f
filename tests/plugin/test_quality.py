"""The quality guard in a run: references, another picture, a black one, and reports."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.quality import extra
from tests.plugin.conftest import CASE, Project

BASELINE = "baselines/nvidia-h200-x1/tiny"


@pytest.fixture
def drawn(project: Project) -> Project:
    """A project whose baseline has a picture."""
    project.write(
        "cases/tiny.yaml", CASE.replace("baseline: 5, checkpoints: [1, 3, 5]", "baseline: 3, checkpoints: [1]")
    )
    project.engine("picture:1")
    project.baseline()
    return project


def case_of(project: Project, *arguments: str) -> dict[str, Any]:
    project.run("--sgdiff-report=r.json", *arguments)
    (case,) = json.loads((project.root / "r.json").read_text())["cases"]
    return dict(case)


def test_a_faster_engine_with_another_picture_fails_and_the_reports_show_both(drawn: Project) -> None:
    folder = drawn.root / f"{BASELINE}.ref"
    (output,) = json.loads((drawn.root / f"{BASELINE}.json").read_text())["reference"]["outputs"]
    assert [file.name for file in folder.iterdir()] == [output["file"]]
    drawn.engine("picture:2+slow:0.8")
    reports = ("--sgdiff-report=r.html", "--sgdiff-report=r.md")
    live = case_of(drawn, "--sgdiff-gpus=4", "--sgdiff-out=kept", "--sgdiff-keep-outputs=1MB", *reports)
    assert (live["outcome"], live["reason_code"]) == ("regressed", "picture-changed")
    assert live["verdicts"][0]["outcome"] == "improved"
    assert (live["quality"]["code"], live["quality"]["other_picture"]) == ("changed", True)
    assert live["next_step_figures"]["code"] == "accept-picture"
    page = (drawn.root / "r.html").read_text()
    assert len(re.findall(r'<img src="data:image/png;base64,', page)) == 3
    assert "PSNR" in (drawn.root / "r.md").read_text()
    launch = drawn.root / "kept" / "tiny" / "00"
    assert (launch / "output_0.png").is_file()
    assert [file.name for file in (launch / "outputs").iterdir()] == ["a_cat.mp4"]
    replayed = case_of(drawn, "--sgdiff-replay=kept")
    assert replayed["quality"] == live["quality"]


def test_the_same_picture_passes_and_a_black_one_does_not_count(drawn: Project) -> None:
    same = case_of(drawn, "--sgdiff-gpus=4")
    assert (same["outcome"] != "regressed", same["quality"]["code"]) == (True, "same")
    assert "not-compared" not in same["warning_codes"]
    drawn.engine("black")
    black = case_of(drawn, "--sgdiff-gpus=4")
    assert (black["outcome"], [one["code"] for one in black["problems"]]) == ("invalid", ["blank-output"])


def test_what_is_not_compared_is_a_warning(drawn: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(extra, "missing", lambda: ("av",))
        lacking = case_of(drawn, "--sgdiff-gpus=4", "--sgdiff-out=kept")
    assert (lacking["quality"]["code"], "not-compared" in lacking["warning_codes"]) == ("no-library", True)
    path = drawn.root / f"{BASELINE}.json"
    document = json.loads(path.read_text())
    del document["reference"]
    path.write_text(json.dumps(document))
    shown = drawn.run("-q", "--sgdiff-report=r.json", "--sgdiff-replay=kept")
    (without,) = json.loads((drawn.root / "r.json").read_text())["cases"]
    assert (without["quality"]["code"], "not-compared" in without["warning_codes"]) == ("no-reference", True)
    # Whoever sees nothing but the summary sees that nobody looked.
    (warning,) = [line for line in shown.outlines if "warning" in line]
    assert without["quality"]["words"] in warning


def test_a_candidate_brings_its_own_pictures(drawn: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = (drawn.root / f"{BASELINE}.json").read_text()
    drawn.engine("picture:2")
    drawn.setenv("CI", "1")
    recorded = case_of(drawn, "--sgdiff-gpus=4", "--sgdiff-update", "--sgdiff-out=candidates")
    assert (recorded["recorded"], recorded["quality"]["code"]) == (True, "changed")
    assert (drawn.root / f"{BASELINE}.json").read_text() == before
    (old,) = (drawn.root / f"{BASELINE}.ref").iterdir()
    assert main(["baselines", "apply", str(drawn.root / "candidates"), "--folder", str(drawn.root / "baselines")]) == 0
    (new,) = (drawn.root / f"{BASELINE}.ref").iterdir()
    assert old.name != new.name
    capsys.readouterr()
    assert main(["baselines", "check", "--folder", str(drawn.root / "baselines")]) == 0
    assert "nothing wrong" in capsys.readouterr().out
