"""`sgdiff gpus` on a faked machine: what no run can use, and where it looks for leases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sgdiff.cli import main

NVML = Path(__file__).parents[1] / "data" / "nvml" / "h200-x4.json"
MODES = {
    2: "compute mode PROHIBITED: nvidia-smi -c 0",
    3: "compute mode EXCLUSIVE_PROCESS, in which the engine's workers fail: nvidia-smi -c 0",
}

Change = Callable[..., None]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Change:
    """Changes facts of the first of four H200s, of which the others are idle."""

    def change(processes: tuple[object, ...] = (), **facts: object) -> None:
        content = json.loads(NVML.read_text())
        content["gpus"][0]["facts"].update(facts)
        content["gpus"][0]["processes"] = list(processes)
        (tmp_path / "nvml.json").write_text(json.dumps(content))

    change()
    monkeypatch.setenv("SGDIFF_NVML_FILE", str(tmp_path / "nvml.json"))
    monkeypatch.delenv("SGDIFF_LOCK_DIR", raising=False)
    return change


def first(capsys: pytest.CaptureFixture[str], folder: Path) -> tuple[str, str]:
    assert main(["gpus", "--json", "--lock-dir", str(folder / "locks")]) == 0
    rows = json.loads(capsys.readouterr().out)["gpus"]
    assert [(row["state"], row["why"]) for row in rows[1:]] == [("free", "")] * 3
    return rows[0]["state"], rows[0]["why"]


@pytest.mark.parametrize("mode", MODES)
def test_a_gpu_whose_compute_mode_keeps_the_engine_away_is_left_out(
    machine: Change, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: int
) -> None:
    machine(compute_mode=mode)
    assert first(capsys, tmp_path) == ("left out", MODES[mode])
    assert main(["gpus", "--lock-dir", str(tmp_path / "locks")]) == 0
    shown = f"GPU 0  NVIDIA H200  GPU-00000000-0000-4000-8000-00000000000a  left out: {MODES[mode]}"
    assert shown in capsys.readouterr().out.splitlines()


def test_a_gpu_whose_fabric_is_not_ready_is_for_cases_with_one_gpu(
    machine: Change, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = (
        "cases with several GPUs cannot use it: the NVSwitch fabric of GPU 0 is not ready (state 2): "
        "systemctl status nvidia-fabricmanager"
    )
    machine(fabric_state=2)
    assert first(capsys, tmp_path) == ("free", why)
    machine(({"pid": 419, "name": "python3", "used_mb": 1002},), fabric_state=2)
    assert first(capsys, tmp_path) == ("busy", f"process 419 (python3, 1002 MiB); {why}")
    machine(fabric_state=2, compute_mode=3)
    assert first(capsys, tmp_path) == ("left out", MODES[3])


CONFIGURATIONS = {
    "pytest.ini": "[pytest]\nsgdiff_lock_dir = {}\n",
    "pyproject.toml": "[tool.pytest.ini_options]\nsgdiff_lock_dir = '{}'\n",
    "tox.ini": "[pytest]\nsgdiff_lock_dir = {}\n",
    "setup.cfg": "[tool:pytest]\nsgdiff_lock_dir = {}\n",
}


def looked_in(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["gpus", *words]) == 0
    return capsys.readouterr().out.splitlines()[0].removeprefix("lock directory ")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_leases_are_looked_for_where_pytest_is_configured_to_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    (tmp_path / name).write_text(CONFIGURATIONS[name].format("mine"))
    assert looked_in(capsys) == str(tmp_path / "mine")
    (tmp_path / name).write_text(CONFIGURATIONS[name].format(tmp_path / "absolute"))
    assert looked_in(capsys) == str(tmp_path / "absolute")
    monkeypatch.setenv("SGDIFF_LOCK_DIR", str(tmp_path / "of-variable"))
    assert looked_in(capsys) == str(tmp_path / "of-variable")
    assert looked_in(capsys, "--lock-dir", str(tmp_path / "of-option")) == str(tmp_path / "of-option")


@pytest.mark.usefixtures("machine")
def test_a_configuration_that_pytest_cannot_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.cfg").write_text("[pytest]\nsgdiff_lock_dir = mine\n")
    assert main(["gpus"]) == 2
    assert capsys.readouterr().err == (
        "sgdiff: pytest's configuration cannot be read: [pytest] section in setup.cfg files is no longer supported, "
        "change to [tool:pytest] instead.; correct it, or give --lock-dir\n"
    )
