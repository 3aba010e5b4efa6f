"""How an installed engine is asked for its flags: once, in time, and with an answer that is kept."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.data import Case, EngineInfo, Flag, Location
from pytest_sgdiff.launch import engine_help
from pytest_sgdiff.launch.engine_help import Answer, AskedEngines, ask

USAGE = "usage: sglang [-h] --model-path MODEL_PATH [--seed SEED] [--brand-new-flag NEW] [--warmup-mode {off,request}]"
FLAGS = {
    "model-path": Flag(kind="value"),
    "seed": Flag(kind="value"),
    "brand-new-flag": Flag(kind="value"),
    "warmup-mode": Flag(kind="value", choices=("off", "request")),
}


class Engine:
    """A script that answers `generate --help` with `body`, and writes down that it was asked."""

    def __init__(self, folder: Path, body: str = f"echo '{USAGE}'", version: str = "0.5.24") -> None:
        self.path, self.calls, self.version = folder / "sglang", folder / "calls", version
        self.answers(body)

    def answers(self, body: str) -> None:
        self.path.write_text(f'#!/bin/sh\necho "$*" >> {self.calls}\n{textwrap.dedent(body)}\n')
        self.path.chmod(0o755)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(command=(str(self.path),), version=self.version)

    @property
    def asked(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "pytest-sgdiff" / "engine-flags"


@pytest.fixture
def engine(tmp_path: Path, cache: Path) -> Engine:
    return Engine(tmp_path)


def case(**args: str) -> Case:
    here = Location(path="c.yaml", line=1, column=1)
    return Case(name="x", location=here, model="a/b", args={name.replace("_", "-"): v for name, v in args.items()})


def run(tmp_path: Path, name: str = "run") -> Path:
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    return folder


def test_an_engine_is_asked_once_and_its_answer_kept(engine: Engine, tmp_path: Path, cache: Path) -> None:
    said: list[str] = []
    assert ask(engine.info, run_folder=run(tmp_path), say=said.append) == Answer(flags=FLAGS)
    assert ask(engine.info, run_folder=run(tmp_path, "next"), say=said.append) == Answer(flags=FLAGS)
    assert engine.calls.read_text() == "generate --help\n"
    assert len(said) == 1
    (kept,) = cache.glob("*.json")
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert json.loads(kept.read_text())["version"] == "0.5.24"


def test_another_version_and_another_file_are_another_engine(engine: Engine, tmp_path: Path) -> None:
    keys = {engine_help.key_of(engine.info)}
    engine.version = "0.5.25"
    keys.add(engine_help.key_of(engine.info))
    engine.answers(f"echo '{USAGE} [--other]'")
    keys.add(engine_help.key_of(engine.info))
    os.utime(engine.path, (1, 1))
    keys.add(engine_help.key_of(engine.info))
    assert len(keys) == 4


def test_a_checkout_whose_parser_changes_is_another_engine(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install -e` gives no new version and no new command when a flag is added."""
    parser = tmp_path / "src" / "sglang" / "multimodal_gen" / "runtime" / "server_args.py"
    parser.parent.mkdir(parents=True)
    (tmp_path / "src" / "sglang" / "__init__.py").write_text("raise SystemExit('imported')")
    parser.write_text("flags = 1")
    script = tmp_path / "sglang"
    script.write_text(f"#!{sys.executable}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "src"))
    info = EngineInfo(command=(str(script),), version="0.5.6.post3.dev1278+g12ab34c")
    before = engine_help.key_of(info)
    assert engine_help.key_of(info) == before
    assert before[1]
    parser.write_text("flags = 1, 2")
    assert engine_help.key_of(info) != before


@pytest.mark.parametrize(
    "content", ["", '{"schema": 1, "ver', "[]", '{"schema": 99, "version": "0.5.24", "flags": {}}']
)
def test_a_torn_cache_is_asked_anew_and_mended(engine: Engine, tmp_path: Path, cache: Path, content: str) -> None:
    ask(engine.info, run_folder=run(tmp_path))
    (kept,) = cache.glob("*.json")
    whole = kept.read_text()
    kept.write_text(content)
    assert ask(engine.info, run_folder=run(tmp_path, "next")).flags == FLAGS
    assert engine.asked == 2
    assert kept.read_text() == whole


def test_a_file_of_the_cache_that_is_no_file_of_ours_is_not_read(engine: Engine, tmp_path: Path, cache: Path) -> None:
    ask(engine.info, run_folder=run(tmp_path))
    (kept,) = cache.glob("*.json")
    elsewhere = tmp_path / "elsewhere.json"
    kept.rename(elsewhere)
    kept.symlink_to(elsewhere)
    assert ask(engine.info, run_folder=run(tmp_path, "next")).flags == FLAGS
    kept.unlink()
    os.mkfifo(kept)
    assert ask(engine.info, run_folder=run(tmp_path, "third")).flags == FLAGS
    assert engine.asked == 3
    assert elsewhere.exists()


def test_an_answer_of_another_user_is_not_read(
    engine: Engine, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(engine.info, run_folder=run(tmp_path))
    (kept,) = cache.glob("*.json")
    assert engine_help._read_text(kept) == kept.read_text()
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(kept).st_uid + 1)
    assert engine_help._read_text(kept) is None


def test_an_answer_without_the_flag_that_every_engine_has_is_none(engine: Engine, tmp_path: Path, cache: Path) -> None:
    ask(engine.info, run_folder=run(tmp_path))
    (kept,) = cache.glob("*.json")
    document = json.loads(kept.read_text())
    del document["flags"]["model-path"]
    kept.write_text(json.dumps(document))
    assert ask(engine.info, run_folder=run(tmp_path, "next")).flags == FLAGS
    assert engine.asked == 2


@pytest.mark.parametrize("obstacle", ["file", "open to all", "relative"])
def test_without_a_usable_cache_the_answer_is_kept_for_the_run(
    engine: Engine, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    if obstacle == "file":
        cache.parent.parent.mkdir()
        cache.parent.write_text("in the way")
    elif obstacle == "open to all":
        cache.mkdir(parents=True)
        cache.chmod(0o777)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", "cache")
        monkeypatch.setenv("HOME", "/proc/no-home")
    here = run(tmp_path)
    assert ask(engine.info, run_folder=here).flags == FLAGS
    assert ask(engine.info, run_folder=here) == Answer(flags=FLAGS)
    assert engine.asked == 1
    assert ask(engine.info, run_folder=run(tmp_path, "next")).flags == FLAGS
    assert engine.asked == 2


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("exit 3", "it exited with 3"),
        ("echo usage: something else", "its output is not a list of flags"),
        ("sleep 600", "it did not end within 1 s"),
        # A child that holds the output open, and one in the background.
        ("sleep 600 & wait", "it did not end within 1 s"),
        ("kill -9 $$", "it exited with -9"),
    ],
)
def test_an_engine_that_does_not_answer_is_asked_once_in_a_run(
    engine: Engine, tmp_path: Path, body: str, why: str
) -> None:
    engine.answers(body)
    here = run(tmp_path)
    assert ask(engine.info, run_folder=here, timeout_s=1.0) == Answer(flags=None, why=why)
    assert ask(engine.info, run_folder=here, timeout_s=1.0) == Answer(flags=None, why=why)
    assert engine.asked == 1
    # The next run asks again: a disk may have been slow.
    engine.answers(f"echo '{USAGE}'")
    assert ask(engine.info, run_folder=run(tmp_path, "next")).flags == FLAGS


def test_a_child_that_goes_on_does_not_hold_up_the_answer(engine: Engine, tmp_path: Path) -> None:
    engine.answers(f"sleep 600 & echo '{USAGE}'")
    assert ask(engine.info, run_folder=run(tmp_path), timeout_s=60.0).flags == FLAGS


def test_an_engine_that_is_not_there_is_a_reason(tmp_path: Path, cache: Path) -> None:
    info = EngineInfo(command=(str(tmp_path / "none"),), version="0.5.24")
    assert ask(info, run_folder=run(tmp_path)).why.startswith("it cannot be run: ")


def test_processes_of_a_run_ask_once_together(engine: Engine, tmp_path: Path) -> None:
    engine.answers(f"sleep 0.2; echo '{USAGE}'")
    program = (
        "import sys, pathlib\n"
        "from pytest_sgdiff.data import EngineInfo\n"
        "from pytest_sgdiff.launch.engine_help import ask\n"
        "info = EngineInfo(command=(sys.argv[1],), version='0.5.24')\n"
        "print(sorted(ask(info, run_folder=pathlib.Path(sys.argv[2])).flags))\n"
    )
    argv = [sys.executable, "-c", program, str(engine.path), str(run(tmp_path))]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {process.communicate(timeout=120)[0].strip() for process in running} == {str(sorted(FLAGS))}
    assert engine.asked == 1


def test_a_release_of_the_tables_is_asked_only_about_a_flag_that_they_lack(engine: Engine, tmp_path: Path) -> None:
    engine.version = "0.5.23"
    asked = AskedEngines(run(tmp_path), lambda text: None)
    asked.ask(engine.info, [case(seed="1")])
    assert (engine.asked, asked.of(engine.info).flags) == (0, None)
    asked.ask(engine.info, [case(seed="1", brand_new_flag="x")])
    assert (engine.asked, asked.of(engine.info).flags) == (1, FLAGS)


@pytest.mark.parametrize("version", ["0.5.24", "0.1.dev1", "0.5.7"])
def test_any_other_engine_is_asked_whatever_its_cases_say(engine: Engine, tmp_path: Path, version: str) -> None:
    engine.version = version
    asked = AskedEngines(run(tmp_path), lambda text: None)
    asked.ask(engine.info, [case(seed="1")])
    assert (engine.asked, asked.of(engine.info).flags) == (1, FLAGS)


def test_for_cases_of_other_engines_and_for_none_nothing_is_asked(engine: Engine, tmp_path: Path) -> None:
    asked = AskedEngines(run(tmp_path), lambda text: None)
    asked.ask(engine.info, [])
    asked.ask(engine.info, [replace(case(brand_new_flag="x"), engine="my-server")])
    assert engine.asked == 0


@pytest.mark.parametrize(("version", "anew"), [("0.1.dev1", True), ("0.5.24", False)])
def test_a_build_whose_files_are_out_of_sight_is_asked_anew_before_its_flag_is_refused(
    engine: Engine, tmp_path: Path, version: str, anew: bool
) -> None:
    """As in a container: its version, made up, stays, and so does the command. A release is known by its version."""
    engine.version = version
    ask(engine.info, run_folder=run(tmp_path))
    told = os.stat(engine.path)
    engine.answers(f"echo '{USAGE.replace('brand-new', 'later-one')}'")
    os.utime(engine.path, ns=(told.st_atime_ns, told.st_mtime_ns))
    here = run(tmp_path, "next")
    asked = AskedEngines(here, lambda text: None)
    asked.ask(engine.info, [case(seed="1")])
    assert engine.asked == 1
    for _ in range(2):
        asked.ask(engine.info, [case(later_one_flag="x")])
    assert ("later-one-flag" in (asked.of(engine.info).flags or {})) is anew
    assert engine.asked == 1 + anew
    # Another worker of the run finds the new answer.
    other = AskedEngines(here, lambda text: None)
    other.ask(engine.info, [case(later_one_flag="x")])
    assert engine.asked == 1 + anew


def test_without_any_folder_that_is_ours_the_answer_is_still_used(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    here = run(tmp_path)
    here.chmod(0o777)
    assert ask(engine.info, run_folder=here) == Answer(flags=FLAGS)
    # What lies in a folder that others can write to is neither read nor added to.
    assert list(here.iterdir()) == []
