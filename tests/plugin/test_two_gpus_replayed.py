"""The bundled launches over two real GPUs: they are judged again as they were on the machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import Launch
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.watch import disturbances
from tests.factories import NO_OTHER_PLUGINS

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "examples" / "recordings" / "h200-x2"
LAUNCHES = {"tiny_firered[cfg]": 3, "tiny_firered[ulysses]": 3, "tiny_ltx2[cfg]": 1}
# By a script, which did not sample the GPUs.
UNWATCHED = {"tiny_wan22[cfg]": 1, "tiny_wan22[ulysses]": 1}


def launches() -> list[tuple[str, Launch]]:
    return [(case, launch) for case in LAUNCHES for launch in recordings.read_launches(RECORDED, case)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("replayed") / "report.json"
    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "examples/cases/two_gpus.yaml"),
        "--sgdiff-replay=examples/recordings/h200-x2",
        "--sgdiff-assets=examples/assets",
        f"--sgdiff-report={file}",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | dict(NO_OTHER_PLUGINS)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    told["printed"] = done.stdout.splitlines()
    return told


def test_every_launch_over_two_gpus_counts(report: dict[str, Any]) -> None:
    """There is no baseline of them, and nothing in them is refused."""
    cases = {case["case"]: case for case in report["cases"]}
    assert {name: len(case["launches"]) for name, case in cases.items()} == LAUNCHES | UNWATCHED
    for case in cases.values():
        assert case["outcome"] == "no-baseline"
        assert case["machine"]["count"] == 2
        assert [(launch["excluded"], launch["warmup"]) for launch in case["launches"]] == [
            (None, "proven") for _ in case["launches"]
        ]


def test_the_page_about_tuning_shows_what_is_printed(report: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
    (shown,) = [text for text in re.findall(r"```console\n(.*?)```", page, re.DOTALL) if "…" in text]
    assert [line for line in shown.splitlines()[1:] if line != "…" and line not in report["printed"]] == []


def test_the_relation_between_two_topologies_is_what_the_run_found(report: dict[str, Any]) -> None:
    relation, _ = report["relations"]
    assert (relation["case"], relation["than"]) == ("tiny_firered[cfg]", "tiny_firered[ulysses]")
    assert (relation["metric"], relation["outcome"]) == ("denoise_steps", "pass")
    found = tuple(relation[name] for name in ("ratio", "low", "high"))
    assert found == pytest.approx((0.5455677, 0.5149534, 0.5780021), rel=1e-6)


def test_one_launch_against_one_shows_a_relation_and_does_not_prove_it(report: dict[str, Any]) -> None:
    _, relation = report["relations"]
    assert (relation["case"], relation["than"]) == ("tiny_wan22[cfg]", "tiny_wan22[ulysses]")
    assert relation["outcome"] == "inconclusive"
    assert relation["ratio"] == pytest.approx(0.827, abs=0.001)


def test_each_launch_held_two_gpus_and_ran_two_ranks_with_one_dump() -> None:
    for case, launch in launches():
        assert launch.watch is not None
        uuids = [series.gpu_uuid for series in launch.watch.gpus]
        assert len(set(uuids)) == 2
        assert set(launch.environment.gpu_uuids) == set(uuids)
        for series in launch.watch.gpus:
            assert max(mb for mb in series.memory_mb if mb is not None) > 10_000, case
        assert launch.dump is not None
        log = (RECORDED / case / f"{launch.number:02d}" / "engine.log").read_text(encoding="utf-8")
        assert len(re.findall("Using (?:pipeline from|explicitly specified pipeline)", log)) == 1
        assert log.count("Initializing distributed environment with world_size=2") == 1


def test_memory_that_no_list_shows_grows_far_less_than_the_limit_over_two_gpus() -> None:
    grown = {launch.watch.hidden_mb for _, launch in launches() if launch.watch}
    assert grown == {14, 20}
    assert [disturbances(launch.watch) for _, launch in launches() if launch.watch] == [()] * 7


def test_nothing_in_the_recordings_names_the_machine_they_came_from() -> None:
    for file in RECORDED.rglob("*"):
        if file.is_file():
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
            assert not [path for path in ("/root", "/home", "/tmp/", "/opt/") if path in text], file


def test_the_page_about_tuning_shows_the_claim_as_it_is_printed(report: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```console\n(\$ pytest --sgdiff-replay=.*?)^```", page, re.MULTILINE | re.DOTALL)
    command, *shown = (line for line in block.splitlines() if line != "…")
    assert command == (
        "$ pytest --sgdiff-replay=examples/recordings/h200-x2 --sgdiff-assets=examples/assets "
        "examples/cases/two_gpus.yaml"
    )
    assert len(shown) == 1
    assert shown[0] in report["printed"]
