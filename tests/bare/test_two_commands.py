"""What the README's users do: `pip install .` into an environment of its own, then two commands in the checkout."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pytest_sgdiff.cases.load import read_cases

pytestmark = pytest.mark.install

ROOT = Path(__file__).parents[2]
FAKE_BIN = ROOT / "tests" / "fake_bin"
RECORD = "pytest --sgdiff-gpus=4 --sgdiff-update -m nightly"
GATE = "pytest --sgdiff-gpus=4 -m nightly"
SCHEMA = "pytest_sgdiff/cases/case.schema.json"


def run(*argv: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the working tree, without what git does not keep."""
    folder = tmp_path_factory.mktemp("bare") / "checkout"
    listed = run("git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed.returncode == 0 and (ROOT / ".git").exists():
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
    else:  # an unpacked archive
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".venv", ".engine", ".sgdiff", "build", "dist"))
    # Three launches for a baseline in place of ten: what is tested is the command, and a launch takes its time.
    for file in (folder / "cases").glob("*.yaml"):
        few = r"\g<0>\n\1launches: {baseline: 3}"
        file.write_text(re.sub(r"^( +)marks: \[nightly.*\]$", few, file.read_text(), flags=re.MULTILINE))
    return folder


@pytest.fixture(scope="module")
def bare(checkout: Path) -> Path:
    """An environment that holds what `pip install .` brings and nothing else."""
    folder = checkout.with_name("venv")
    assert run(sys.executable, "-m", "venv", "--without-pip", folder).returncode == 0
    # The pip at hand installs into it, and Python compiles what is imported: half the time of a venv with its own pip.
    install = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-compile")
    done = run(*install, checkout)
    if done.returncode != 0:
        offline = run(*install, "--dry-run", "--no-deps", "--ignore-installed", "hatchling").returncode != 0
        if offline and not os.environ.get("CI"):
            pytest.skip("pip reaches no package index")
        pytest.fail(done.stdout)
    return folder


@pytest.fixture(scope="module")
def environment(bare: Path) -> dict[str, str]:
    """A machine with four H200s and the stand-in engine, with a token and the input files that cases ask for."""
    assets = bare.with_name("assets")
    assets.mkdir()
    (assets / "cat.png").write_bytes(b"a picture")
    return {
        "PATH": f"{bare / 'bin'}:{FAKE_BIN}:/usr/bin:/bin",
        "HOME": str(bare.parent),
        "HF_TOKEN": "hf_of_nobody",
        "SGDIFF_NVML_FILE": str(ROOT / "tests" / "data" / "nvml" / "h200-x4.json"),
        "SGDIFF_LOCK_DIR": str(bare.with_name("locks")),
        "SGDIFF_ASSETS": str(assets),
        "COLUMNS": "200",
    }


def test_nothing_is_installed_but_what_the_wheel_asks_for(bare: Path) -> None:
    listing = "from importlib.metadata import distributions; print(*(d.metadata['Name'] for d in distributions()))"
    there = {canonicalize_name(name) for name in run(bare / "bin" / "python", "-c", listing).stdout.split()}
    asked = [Requirement(text) for text in importlib.metadata.requires("pytest-sgdiff") or ()]
    needed = {canonicalize_name(one.name) for one in asked if one.marker is None}
    assert needed | {"pytest-sgdiff"} <= there
    assert there & {canonicalize_name(one.name) for one in asked if one.marker is not None} == set()


def test_the_two_commands(checkout: Path, environment: dict[str, str]) -> None:
    files = sorted((checkout / "cases").glob("*.yaml"))
    nightly = [case for file in files for case in read_cases(file, checkout) if "nightly" in case.marks]
    recorded = run(*RECORD.split(), cwd=checkout, env=environment)
    assert recorded.returncode == 0, recorded.stdout
    assert f"measured {len(nightly)} of {len(nightly)} · {len(nightly)} recorded" in recorded.stdout
    baselines = {path.stem for path in (checkout / "baselines").glob("nvidia-h200-x*/*.json")}
    assert baselines == {case.id for case in nightly}
    gated = run(*GATE.split(), cwd=checkout, env=environment)
    assert gated.returncode == 0, gated.stdout
    assert f"measured {len(nightly)} of {len(nightly)} · {len(nightly)} pass" in gated.stdout
    assert "warnings summary" not in gated.stdout
    launched = [json.loads(path.read_text()) for path in (checkout / ".sgdiff").glob("2*/*/00/launch.json")]
    assert {record["machine"]["product"] for record in launched} == {"NVIDIA H200"}


def test_a_bare_pytest_and_one_of_everything_collect_the_cases_alone(
    checkout: Path, environment: dict[str, str]
) -> None:
    for words in ([], ["--strict-config", "."]):
        listed = run("pytest", "--co", "-q", *words, cwd=checkout, env=environment)
        assert listed.returncode == 0, listed.stdout
        assert {line.partition("/")[0] for line in listed.stdout.splitlines() if "::" in line} == {"cases"}


def test_an_empty_folder_is_set_up_and_the_printed_commands_work_as_typed(
    bare: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """What a newcomer does with the wheel alone."""
    written = run("sgdiff", "init", "--frames", "5", cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL)
    assert written.returncode == 0, written.stdout
    typed = [line.strip() for line in written.stdout.splitlines() if line.startswith("  pytest ")]
    assert len(typed) == 3
    for line, says in zip(typed, ("sglang generate --model-path", "1 recorded", "1 pass"), strict=True):
        done = run("/bin/sh", "-c", line, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stdout
        assert says in done.stdout
    assert [path.stem for path in (tmp_path / "baselines").glob("nvidia-h200-x1/*.json")] == ["wan2_1_t2v_1_3b"]


def test_the_wheel_has_the_recipes_and_the_schema(bare: Path, environment: dict[str, str], tmp_path: Path) -> None:
    copied = run("sgdiff", "init", "--cases", "wan22,firered", cwd=tmp_path, env=environment)
    assert copied.returncode == 0, copied.stdout
    listed = run("pytest", "--co", "-q", cwd=tmp_path, env=environment)
    assert listed.returncode == 0, listed.stdout
    ids = {line.partition("::")[0] for line in listed.stdout.splitlines() if "::" in line}
    assert ids == {"cases/wan22.yaml", "cases/firered.yaml"}
    assert (tmp_path / "cases" / "case.schema.json").read_text() == (ROOT / SCHEMA).read_text()
