"""The engine's conditioning cache, which from 0.5.21 on has the encoders' work done by the warmup."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import CASE, Project

STAGE = CASE + "    metrics: {gate: [denoise, 'stage:TextEncodingStage']}\n"
ASKED_FOR = STAGE.replace("seed: 42", "seed: 42, disable-conditioning-cache: false")
WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])


@pytest.fixture
def project(project: Project) -> Project:
    """On 0.5.23, with a gate on the text encoder."""
    project.write("cases/tiny.yaml", STAGE)
    project.setenv("SGDIFF_FAKE_VERSION", "0.5.23")
    return project


def report(project: Project, *arguments: str) -> dict[str, object]:
    project.run("--sgdiff-gpus=1", "--sgdiff-report=r.json", *arguments)
    (case,) = json.loads((project.root / "r.json").read_text())["cases"]
    found: dict[str, object] = case
    return found


@WORKERS
def test_a_slower_encoder_is_found(project: Project, workers: tuple[str, ...]) -> None:
    project.baseline()
    assert report(project, *workers)["outcome"] == "pass"
    project.engine("encoder:2")
    slower = report(project, *workers)
    assert slower["outcome"] == "regressed"


def test_with_the_cache_asked_for_it_is_not_and_the_advice_says_so(project: Project) -> None:
    project.write("cases/tiny.yaml", ASKED_FOR)
    project.baseline()
    project.engine("encoder:2")
    found = report(project)
    assert found["outcome"] == "pass"
    assert "[conditioning-cache]" in str(found["warnings"])


def test_a_launch_whose_encoders_did_not_work_is_invalid(project: Project) -> None:
    project.baseline()
    project.engine("cached")
    found = report(project)
    assert found["outcome"] == "invalid"
    assert [problem["cause"] for problem in found["problems"]] == ["conditioning-cache"]  # type: ignore[attr-defined]
    assert found["verdicts"] == []


def test_no_baseline_is_recorded_of_it(project: Project) -> None:
    project.engine("cached")
    result = project.run("--sgdiff-gpus=1", "--sgdiff-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert not list(project.root.glob("baselines/**/*.json"))


@pytest.mark.parametrize("called", ["0.5.23", "0.0.0.dev1+gc6416b13d"])
def test_a_baseline_of_an_engine_without_the_cache_compares_with_one_that_has_it(project: Project, called: str) -> None:
    project.setenv("SGDIFF_FAKE_VERSION", "0.5.20")
    project.baseline()
    project.setenv("SGDIFF_FAKE_VERSION", "0.5.23")
    project.setenv("SGDIFF_FAKE_CALLED", called)
    assert report(project)["outcome"] == "pass"


def test_a_baseline_that_was_recorded_with_the_cache_on_is_none_for_it_off(project: Project) -> None:
    """As it was recorded before the plugin turned the cache off: it does not say how the cache was."""
    project.baseline()
    (path,) = project.root.glob("baselines/*/tiny.json")
    text = path.read_text()
    assert '"conditioning_cache": false' in text
    path.write_text("".join(line for line in text.splitlines(keepends=True) if "conditioning_cache" not in line))
    found = report(project)
    assert found["outcome"] == "no-baseline"
    assert "conditioning cache: on in the baseline, off now" in str(found["reason"])
    # Neither are launches added to it.
    result = project.run("--sgdiff-gpus=1", "--sgdiff-update=extend")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "cannot be extended: the conditioning cache was on, and is off" in result.stdout.str()


def test_a_recording_with_the_cache_on_is_refused_when_it_is_replayed(project: Project) -> None:
    project.baseline()
    project.write("cases/tiny.yaml", ASKED_FOR)
    project.run("--sgdiff-gpus=1", "--sgdiff-out=kept")
    project.write("cases/tiny.yaml", STAGE)
    # As a recording of old is: it does not say what its case asked for.
    for path in (project.root / "kept").glob("tiny/*/launch.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "workload": None}))
    project.run("--sgdiff-replay=kept", "--sgdiff-report=r.json")
    (found,) = json.loads((project.root / "r.json").read_text())["cases"]
    assert (found["outcome"], found["problems"][0]["cause"]) == ("invalid", "conditioning-cache")
