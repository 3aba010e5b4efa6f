"""Where a change lies: stage, steps, parts, what differs beside it, and the engine's commits."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff import engine_commits
from pytest_sgdiff.data import Attribution, EngineCommits, Environment, GpuSeries, LaunchRecord, LongPause, Watch
from pytest_sgdiff.judging.attribution import attribution, commit_of, long_pause
from pytest_sgdiff.machine import engine_info
from pytest_sgdiff.reports import attribution_text
from tests import factories

STEPS = (50.0,) * 20


def launch(number: int, *, steps: tuple[float, ...] = STEPS, mhz: int = 1845, **environment: Any) -> LaunchRecord:
    denoise = sum(steps)
    series = GpuSeries(gpu_uuid="GPU-1", at_s=(0.0, 1.0), sm_mhz=(345, mhz), util_pct=(0, 97))
    return LaunchRecord(
        number=number,
        metrics={
            "e2e": denoise + 80,
            "denoise": denoise,
            "stage:TextEncodingStage": 20.0,
            "stage:DenoisingStage": denoise,
            "stage:DecodingStage": 50.0,
            "denoise_gap": 6.0,
            "peak_memory": 3000.0,
        },
        steps_ms=steps,
        watch=Watch(gpus=(series,)),
        environment=replace(Environment(engine_version="0.5.17", torch_version="2.11.0"), **environment),
    )


def launches(count: int = 3, **more: Any) -> tuple[LaunchRecord, ...]:
    return tuple(launch(number, **more) for number in range(count))


def test_the_stage_and_the_steps_that_hold_the_change_are_named() -> None:
    later = (*STEPS[:13], *(60.0 for _ in range(7)))
    found = attribution(launches(), launches(steps=later), ())
    assert found is not None
    assert found.stage is not None
    assert (found.stage.stage, found.stage.change_ms) == ("DenoisingStage", pytest.approx(70))
    assert found.steps is not None
    assert (found.steps.first, found.steps.last, found.steps.of, found.steps.now_ms) == (13, 19, 20, 420)


def test_a_change_of_every_step_alike_is_one_of_all_steps() -> None:
    found = attribution(launches(), launches(steps=(51.0,) * 20), ())
    assert found is not None
    assert found.steps is not None
    assert (found.steps.first, found.steps.last) == (0, 19)


def test_nothing_is_said_of_what_did_not_change() -> None:
    found = attribution(launches(), launches(), ())
    assert found is not None
    assert (found.stage, found.steps, found.beside, found.versions) == (None, None, (), ())
    assert (found.commits, found.pause) == (None, None)
    assert attribution(launches(), (), ()) is None


def test_a_stage_that_moves_against_the_change_is_not_named() -> None:
    moved = {"stage:DenoisingStage": 900.0, "stage:DecodingStage": 200.0}
    now = [replace(one, metrics={**one.metrics, **moved}) for one in launches()]
    found = attribution(launches(), now, ())
    assert found is not None
    assert found.stage is not None
    assert found.stage.stage == "DecodingStage"


def test_clocks_and_versions_that_differ_stand_beside() -> None:
    now = launches(mhz=1790, torch_version="2.12.0", packages={"triton": "3.7", "sgl-kernel": "1"})
    found = attribution(launches(packages={"triton": "3.6", "gone": "2"}), now, ())
    assert found is not None
    assert [(one.code, one.then, one.now) for one in found.beside] == [("sm-clock", 1845, 1790)]
    assert {(one.name, one.then, one.now) for one in found.versions} == {
        ("torch", ("2.11.0",), ("2.12.0",)),
        ("triton", ("3.6",), ("3.7",)),
        ("gone", ("2",), ()),
        ("sgl-kernel", (), ("1",)),
    }


def test_a_baseline_that_does_not_say_its_packages_differs_in_none() -> None:
    found = attribution(launches(), launches(packages={"triton": "3.7"}), ())
    assert found is not None
    assert found.versions == ()


@pytest.mark.parametrize(
    ("version", "commit", "expected"),
    [
        ("0.5.18", None, None),
        ("0.5.18.dev3+g1a2b3c4d5", None, "1a2b3c4d5"),
        ("0.5.18.dev3+local.g1a2b3c4d5.d20261130", None, "1a2b3c4d5"),
        ("0.5.18.dev3+g1a2b3c4d5", "f" * 40, "f" * 40),
        ("0.5.18+gpu", None, None),
    ],
)
def test_the_engines_commit_is_that_of_its_checkout_or_version(
    version: str, commit: str | None, expected: str | None
) -> None:
    assert commit_of(Environment(engine_version=version, engine_commit=commit)) == expected


def test_commits_are_compared_where_each_side_has_one() -> None:
    one, other = {"engine_commit": "a" * 40}, {"engine_commit": "b" * 40}
    found = attribution(launches(**one), launches(**other), ())
    assert found is not None
    assert found.commits == EngineCommits(then="a" * 40, now="b" * 40)
    same = attribution(launches(**one), launches(engine_version=f"0.6.dev1+g{'a' * 9}"), ())
    assert same is not None
    assert same.commits is None


def gaps(*values: float) -> list[LaunchRecord]:
    return [replace(one, metrics={"denoise_gap": gap}) for one, gap in zip(launches(len(values)), values, strict=True)]


def test_long_pauses_are_named_where_the_sides_differ_in_them() -> None:
    expected = LongPause(launches=3, of=5, then_launches=1, then_of=5, longest_ms=553)
    assert long_pause(gaps(6, 442, 8, 6, 6), gaps(470, 553, 8, 492, 9)) == expected
    # All of them pause, as where the model does it, or none does.
    assert long_pause(gaps(450, 460), gaps(470, 480)) is None
    assert long_pause(gaps(6, 7), gaps(8, 249)) is None
    # Once of five in the baseline, and not now, is what a rare pause looks like; in all of them it is not.
    assert long_pause(gaps(6, 442, 8, 6, 6), gaps(8)) is None
    assert long_pause(gaps(450, 460, 455), gaps(8, 9)) is not None


def git(folder: Path, *words: str) -> str:
    environment = {
        **os.environ,
        **{f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    argv = ["git", "-C", str(folder), *words]
    done = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, title: str) -> str:
    git(folder, "commit", "--quiet", "--allow-empty", "-m", title)
    return git(folder, "rev-parse", "HEAD")


def signed(folder: Path, made: str) -> str:
    """The commit with something that looks like a signature."""
    head, _, message = git(folder, "cat-file", "commit", made).partition("\n\n")
    lines = ("gpgsig -----BEGIN PGP SIGNATURE-----", " ", " x", " -----END PGP SIGNATURE-----")
    written = folder / "signed"
    written.write_text("\n".join([head, *lines]) + f"\n\n{message}\n")
    return git(folder, "hash-object", "-t", "commit", "-w", str(written))


def test_the_titles_come_from_the_checkout_and_run_nothing(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    first, *_, last = (commit(tmp_path, title) for title in ("Begin", "Fuse the norms", "Tune \x1b[31m the rest"))
    # Whatever the repository asks git to run is not run: a program that checks signatures, for one.
    trap, check = tmp_path / "trap", tmp_path / "check"
    check.write_text(f"#!/bin/sh\ntouch '{trap}'\nexit 1\n")
    check.chmod(0o755)
    for key in ("gpg.program", "core.pager", "core.fsmonitor", "core.sshCommand"):
        git(tmp_path, "config", key, str(check))
    git(tmp_path, "config", "log.showSignature", "true")
    last = signed(tmp_path, last)
    git(tmp_path, "log", "--max-count=1", last)
    assert trap.exists()
    trap.unlink()
    found = engine_commits.between(EngineCommits(then=first[:9], now=last), str(tmp_path))
    assert [title.split(" ", 1)[1] for title in found.titles] == ["Tune \x1b[31m the rest", "Fuse the norms"]
    assert (found.count, found.back, found.lack) == (2, False, None)
    assert not trap.exists()
    result = replace(factories.regressed(), attribution=Attribution(commits=found))
    assert "\x1b" not in attribution_text.line(result)

    back = engine_commits.between(EngineCommits(then=last, now=first), str(tmp_path))
    assert (back.titles, back.count, back.back) == ((), 0, True)
    lost = engine_commits.between(EngineCommits(then="ab" * 20, now=last), str(tmp_path))
    assert (lost.titles, lost.lack) == ((), "unknown-commit")
    option = engine_commits.between(EngineCommits(then="--output=x", now=last), str(tmp_path))
    assert option.lack == "unknown-commit"
    assert engine_commits.between(EngineCommits(then=first, now=last), None).lack == "no-checkout"
    assert engine_commits.between(EngineCommits(then=first, now=last), str(tmp_path / "none")).lack == "no-checkout"


@pytest.mark.parametrize("editable", [True, False])
def test_the_checkout_is_found_from_the_engines_install(tmp_path: Path, *, editable: bool) -> None:
    checkout = tmp_path / "a checkout"
    checkout.mkdir()
    git(checkout, "init", "--quiet")
    head = commit(checkout, "Begin")
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    origin = f'{{"url": "file://{tmp_path}/a%20checkout", "dir_info": {{"editable": {str(editable).lower()}}}}}'
    told = {"sglang": "0.5.18", "torch": None, "origin": origin, "packages": {"triton": "3.6"}}
    python.write_text(f"#!/bin/sh\ncat '{tmp_path}/told.json'\n")
    (tmp_path / "told.json").write_text(json.dumps(told))
    command = tmp_path / "bin" / "sglang"
    command.write_text(f"#!{python}\n")
    for path in (python, command):
        path.chmod(0o755)
    info = engine_info([str(command)])
    assert (info.commit, info.checkout) == ((head, str(checkout)) if editable else (None, None))
    assert info.packages == {"triton": "3.6"}
