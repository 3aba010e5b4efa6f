"""`--sgdiff-against`: base and current engine in turn, judged pair by pair, without a baseline."""

from __future__ import annotations

import os
import re
import shlex
import subprocess

import pytest

from pytest_sgdiff.data import NextStep
from pytest_sgdiff.reports import next_text
from tests.plugin.conftest import CASE, FAKE_BIN, Project


def engine(project: Project, name: str, scenario: str) -> str:
    """An engine command of its own, behaving as the scenario says."""
    path = project.write(
        f"{name}/sglang",
        f'#!/bin/sh\nSGDIFF_FAKE_SCENARIO={scenario} exec {shlex.quote(f"{FAKE_BIN}/sglang")} "$@"\n',
    )
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("scenario", "outcome", "code"), [("native", "pass", 0), ("slow:1.08", "regressed", 1)], ids=["same", "slower"]
)
def test_pairs_are_judged_without_a_baseline(project: Project, scenario: str, outcome: str, code: int) -> None:
    base, now = engine(project, "base", "native"), engine(project, "now", scenario)
    result = project.run("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}")
    output = result.stdout.str()
    assert result.ret == code, output
    assert f"measured 1 of 1 · 1 {outcome}" in output
    assert not (project.root / "baselines").exists()


def test_engines_are_launched_in_the_order_abba(project: Project) -> None:
    base, now = engine(project, "base", "native"), engine(project, "now", "native")
    project.run("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}", "--sgdiff-out=kept")
    launches = [
        *(project.root / "kept").glob("tiny/*/launch.json"),
        *(project.root / "kept").glob("against/tiny/*/launch.json"),
    ]
    ordered = sorted(launches, key=lambda path: os.stat(path).st_mtime_ns)
    assert ["B" if "against" in path.parts else "A" for path in ordered][:6] == ["B", "A", "A", "B", "B", "A"]


def test_a_base_engine_that_falls_back_is_named(project: Project) -> None:
    base, now = engine(project, "base", "fallback"), engine(project, "now", "native")
    result = project.run("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "base engine: ran on the diffusers backend" in result.stdout.str()


def test_a_base_engine_that_is_not_there_is_a_usage_error_before_the_first_case(project: Project) -> None:
    result = project.run("--sgdiff-gpus=1", "--sgdiff-against=/nowhere/sglang")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().strip() == (
        "ERROR: the engine's command /nowhere/sglang was not found; name it with --sgdiff-against=/path/to/sglang"
    )


def test_a_command_may_be_a_path_from_here(project: Project) -> None:
    engine(project, "base", "native")
    result = project.run("--sgdiff-gpus=1", "--sgdiff-against=base/sglang")
    assert result.ret == 0, result.stdout.str()


def test_the_base_engine_is_what_a_slowdown_is_told_against(project: Project) -> None:
    base, now = engine(project, "base", "native"), engine(project, "now", "slow:1.30")
    reports = [f"--sgdiff-report=out.{suffix}" for suffix in ("md", "html")]
    options = ("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}", "--sgdiff-out=kept")
    output = project.run(*options, *reports).stdout.str()
    written = [(project.root / f"out.{suffix}").read_text() for suffix in ("md", "html")]
    assert re.search(r", sglang \S+, base engine: \S+/base/sglang\n", output)
    assert re.search(r"denoising is \S+ % slower than the base engine \(sglang \S+, \d launches\)\n", output)
    step = NextStep(code="see-differences", command="sgdiff compare kept/against/tiny kept/tiny")
    assert f"  next        {next_text.words(step)}\n" in output
    assert re.search(r"\n  metric +base engine +now +change ", output)
    assert all(" than the base engine (sglang " in text for text in written)
    assert "| metric | base engine | now | change |" in written[0]
    assert '<th scope="col" class="num">base engine</th>' in written[1]
    assert '<th role="columnheader" scope="col" class="num">base engine</th>' in written[1]
    assert "Stages, base engine → now" in written[1]
    assert "base engine launch 0: " in written[1]
    assert " · grey is the base engine, colour is this run · " in written[1]
    for text in (output, *written):
        assert not re.search(r"than the baseline|baselines in|--sgdiff-update|in the baseline|the baseline's", text)
    # The command that is named compares the two.
    (command,) = re.findall(r"  next  .*: (sgdiff compare .+)", output)
    ran = subprocess.run(shlex.split(command), cwd=project.root, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "slower" in ran.stdout


def test_a_replay_of_pairs_judges_the_pairs_again_whatever_baseline_there_is(project: Project) -> None:
    project.engine("slow:1.30")
    project.baseline()
    base, now = engine(project, "base", "native"), engine(project, "now", "slow:1.30")
    live = project.run("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}", "--sgdiff-out=ab")
    told = [line for line in live.outlines if re.match(r"  (metric|denoise|e2e|next) ", line)]
    step = NextStep(code="see-differences", command="sgdiff compare ab/against/tiny ab/tiny")
    assert f"  next        {next_text.words(step)}" in told
    project.no_gpus()
    replayed = project.run("--sgdiff-replay=ab")
    output = replayed.stdout.str()
    assert "sgdiff: replay of ab, base engine in ab/against, baselines in baselines\n" in output
    assert [line for line in replayed.outlines if re.match(r"  (metric|denoise|e2e|next) ", line)] == told
    assert "measured 1 of 1 · 1 regressed" in output
    # Of another run, they are not what these launches were made in turn with.
    for record in (project.root / "ab" / "against" / "tiny").glob("*/launch.json"):
        record.write_text(re.sub(r'("session": ")[^"]*', r"\g<1>another", record.read_text()))
    assert "measured 1 of 1 · 1 pass" in project.run("--sgdiff-replay=ab").stdout.str()


def test_each_engine_has_flags_of_its_own(project: Project) -> None:
    """The base engine, an older build from source, lacks the flag that the current one has."""
    project.write("cases/tiny.yaml", CASE.replace("seed: 42", "seed: 42, brand-new-flag: 3"))
    project.help("--brand-new-flag NEW", version="0.1.dev1")
    now = engine(project, "now", "native")
    base = project.write(
        "base/sglang",
        f'#!/bin/sh\nSGDIFF_FAKE_HELP={project.root}/old.txt SGDIFF_FAKE_CALLED=0.0.0.dev1 exec {now} "$@"\n',
    )
    base.chmod(0o755)
    text = (project.root / "help.txt").read_text()
    (project.root / "old.txt").write_text(text.replace("brand-new", "brand-old"))
    result = project.run("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "sglang 0.0.0.dev1 has no --brand-new-flag; did you mean `brand-old-flag`? [flag-unknown]" in (
        result.stdout.str()
    )
    assert [(project.root / f"{name}.txt.asked").read_text() for name in ("help", "old")] == ["asked\n"] * 2

    (project.root / "old.txt").write_text(text)
    assert project.run("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}").ret == 0


def test_the_base_engine_must_meet_what_the_case_requires_too(project: Project) -> None:
    project.write("cases/tiny.yaml", CASE.replace("    timeout:", "    requires: {engine: '>=0.5.13'}\n    timeout:"))
    now, base = engine(project, "now", "native"), project.write("base/sglang", "")
    base.write_text(f'#!/bin/sh\nSGDIFF_FAKE_VERSION=0.5.12 exec {now} "$@"\n')
    base.chmod(0o755)
    result = project.run("-rs", "--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}")
    result.assert_outcomes(skipped=1)
    assert "needs sglang >=0.5.13, the base engine is 0.5.12" in result.stdout.str()


@pytest.mark.parametrize("version", ["0.0.0.dev1+gc6416b13d", "0.1.dev1"])
def test_builds_from_source_are_measured_whatever_a_case_requires(project: Project, version: str) -> None:
    """As a clone without tags installs them: nothing is passed over for its version."""
    project.write("cases/tiny.yaml", CASE.replace("    timeout:", "    requires: {engine: '>=0.5.13'}\n    timeout:"))
    project.setenv("SGDIFF_FAKE_VERSION", "0.5.23")
    project.setenv("SGDIFF_FAKE_CALLED", version)
    base, now = engine(project, "base", "native"), engine(project, "now", "native")
    result = project.run("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}", "--sgdiff-strict")
    assert result.ret == 0, result.stdout.str()
    assert "measured 1 of 1 · 1 pass" in result.stdout.str()
