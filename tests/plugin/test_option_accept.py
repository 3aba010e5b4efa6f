"""`sgdiff-accept.txt` and `--sgdiff-accept`: slowdowns that are accepted for a time, and are seen in every report."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from tests.plugin.conftest import CASE, Project

TODAY = datetime.now(timezone.utc).date()
SOON, OVER = TODAY + timedelta(days=30), TODAY - timedelta(days=2)
WHY = "the new sampler needs *more* passes"


def line(case: str = "tiny", metric: str = "denoise", size: str = "+9 %", until: object = SOON) -> str:
    return f"sgdiff-accept: {case} {metric} {size} until {until} because {WHY}\n"


def recorded(project: Project) -> None:
    """Leave a recording of an engine whose everything takes 6 % longer, and the baseline of the one before."""
    project.write("cases/tiny.yaml", CASE)
    project.baseline()
    project.engine("slow:1.06")
    assert project.run("--sgdiff-gpus=1", "--sgdiff-out=kept").ret == pytest.ExitCode.TESTS_FAILED


def test_an_accepted_slowdown_does_not_fail_and_is_in_every_report(project: Project) -> None:
    recorded(project)
    project.write("sgdiff-accept.txt", line() + line(metric="e2e") + line(metric="stage:TextEncodingStage", until=OVER))
    suffixes = ("json", "md", "html", "csv", "txt")
    reports = [f"--sgdiff-report=out.{suffix}" for suffix in suffixes]
    result = project.run("--sgdiff-replay=kept", "--sgdiff-strict", "--junit-xml=junit.xml", *reports)
    output = result.stdout.str()
    assert result.ret == 0, output
    assert "· 1 accepted ·" in output
    texts = {suffix: (project.root / f"out.{suffix}").read_text() for suffix in suffixes}
    report = json.loads(texts["json"])
    (case,) = report["cases"]
    assert (case["outcome"], case["accepted"], report["outcomes"]["regressed"]) == ("regressed", True, 1)
    told = {one["line"]: (one["metric"], one["state"]) for one in report["acceptances"]}
    assert told == {
        1: ("denoise", "used"),
        2: ("e2e", "not-needed"),
        3: ("stage:TextEncodingStage", "expired"),
    }
    assert {one["metric"] for one in case["verdicts"] if one["accepted"] is not None} == {"denoise_core", "e2e"}
    places = [f"sgdiff-accept.txt:{number}: " for number in told]
    for text in (output, texts["txt"], texts["html"], texts["md"], (project.root / "junit.xml").read_text()):
        assert [place for place in places if place not in text] == []
    assert "🟣 accepted" in texts["md"]
    assert "*more*" not in texts["md"]
    assert texts["csv"].splitlines()[0].endswith(",accepted")
    assert any(row.endswith(",0.09") for row in texts["csv"].splitlines())

    # What covers nothing changes nothing, and is named.
    for text, state in (
        (line(size="+2 %") + line(metric="e2e", size="+2 %"), "exceeded"),
        (line(until=OVER), "expired"),
        (line(case="tinny"), "unknown-case"),
    ):
        project.write("sgdiff-accept.txt", text)
        result = project.run("--sgdiff-replay=kept", "--sgdiff-report=out.json")
        report = json.loads((project.root / "out.json").read_text())
        (first, *_) = report["acceptances"]
        assert (result.ret, report["cases"][0]["accepted"], first["state"]) == (1, False, state)
        assert first["words"] in result.stdout.str()

    # A text that is named stands for the file, and a mistake stops the run.
    project.write("sgdiff-accept.txt", line())
    project.write("text.md", "Faster.\n\n" + line(size="+1 %"))
    for given in ("text.md", "none"):
        assert project.run("--sgdiff-replay=kept", f"--sgdiff-accept={given}").ret == pytest.ExitCode.TESTS_FAILED
    project.write("text.md", line(size="-1 %"))
    result = project.run("--sgdiff-replay=kept", "--sgdiff-accept=text.md")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "text.md:1: is not of the form" in result.stderr.str()
