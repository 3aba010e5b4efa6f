"""`--sgdiff-gpus`: what to measure on."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from pytest_sgdiff.machine import ranges
from tests.plugin.conftest import CASE, Project

WIDE = CASE.replace("tiny:", "wide:").replace("model:", "gpus: 4\n    model:")


def test_a_case_is_measured_on_no_product_but_those_that_it_requires(project: Project) -> None:
    project.gpus(4, first="NVIDIA L40S")
    project.write("cases/tiny.yaml", CASE.replace("baseline: 5", "baseline: 3") + "    requires: {gpu: [H200]}\n")
    project.record()
    (made,) = (project.root / "baselines").iterdir()
    assert made.name == "nvidia-h200-x1"
    project.gpus(2, name="NVIDIA H200")
    project.write("cases/tiny.yaml", CASE + "    requires: {gpu: [H20]}\n")
    result = project.run("--sgdiff-gpus=1", "-rs")
    result.assert_outcomes(skipped=1)
    why = "cases/tiny.yaml:12:5: needs one of H20, this machine has NVIDIA H200"
    assert f"sgdiff: not measured: cases/tiny.yaml::tiny (skipped: {why})" in result.outlines


def test_a_machine_without_a_gpu_is_a_usage_error(project: Project) -> None:
    project.no_gpus()
    result = project.run("--sgdiff-gpus=4", "-m", "nightly")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().strip() == (
        "ERROR: --sgdiff-gpus=4: no GPU was found: the NVIDIA driver does not answer (NVML Shared Library Not Found)"
    )


@pytest.mark.parametrize("option", ["--sgdiff-gpus", "--sgdiff-replay", "--sgdiff-update", "--sgdiff-out"])
def test_an_empty_value_is_a_usage_error_and_no_run_without_measuring(project: Project, option: str) -> None:
    result = project.run(f"{option}=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().strip() == (
        f"ERROR: {option} has an empty value, as of a shell variable that is not set: give one, or leave the option out"
    )


def test_more_gpus_than_there_are_is_a_usage_error(project: Project) -> None:
    result = project.run("--sgdiff-gpus=5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--sgdiff-gpus=5 asks for 5 GPUs, but this machine has 4; ask for at most 4, or for `all`" in (
        result.stderr.str()
    )


def test_a_case_without_a_baseline_fails_and_names_the_command_that_records_one(project: Project) -> None:
    result = project.run("--sgdiff-gpus=1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    output = result.stdout.str()
    assert "no baseline for nvidia-h200-x1" in output
    assert "pytest --sgdiff-gpus=1 --sgdiff-update cases/tiny.yaml::tiny" in output


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_an_unchanged_engine_passes_after_one_launch(project: Project, workers: tuple[str, ...]) -> None:
    project.baseline()
    result = project.run("--sgdiff-gpus=4", *workers)
    output = result.stdout.str()
    assert result.ret == 0, output
    assert "measured 1 of 1 · 1 pass" in output
    assert "1 launch " in output


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_a_slower_engine_regresses_after_five_launches(project: Project, workers: tuple[str, ...]) -> None:
    project.baseline()
    project.engine("slow:1.08")
    result = project.run("--sgdiff-gpus=4", *workers)
    output = result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "measured 1 of 1 · 1 regressed" in output
    assert "5 launches" in output
    assert "Traceback" not in output


def test_a_case_wider_than_the_pool_is_skipped_and_strict_fails_it(project: Project) -> None:
    project.write("cases/wide.yaml", WIDE)
    project.baseline("cases/tiny.yaml")
    result = project.run("--sgdiff-gpus=2", "-rs", "--sgdiff-report=r.md")
    assert result.ret == 0
    assert "needs 4 GPUs, and --sgdiff-gpus=2 gives only 2 of them" in result.stdout.str()
    assert "measured 1 of 2" in result.stdout.str()
    report = (project.root / "r.md").read_text()
    assert report.startswith("## sgdiff: 1 of 2 cases not measured\n")
    assert "- <code>cases/wide.yaml::wide</code>: skipped: cases/wide.yaml:" in report
    strict = project.run("--sgdiff-gpus=2", "--sgdiff-strict")
    assert strict.ret == pytest.ExitCode.TESTS_FAILED


def test_a_run_that_measures_nothing_is_not_green(project: Project) -> None:
    (project.root / "cases" / "tiny.yaml").unlink()
    project.write("cases/wide.yaml", WIDE)
    result = project.run("--sgdiff-gpus=2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "measured 0 of 1" in result.stdout.str()
    assert "failed: nothing was measured" in result.stdout.str()


def test_none_allows_only_cases_without_gpus(project: Project) -> None:
    project.write("cases/cpu.yaml", CASE.replace("tiny:", "cpu:").replace("model:", "gpus: 0\n    model:"))
    project.no_gpus()
    result = project.run("--sgdiff-gpus=none", "--sgdiff-update", "-rs")
    output = result.stdout.str()
    assert result.ret == 0, output
    assert "measured 1 of 2" in output
    assert len(list((project.root / "baselines").glob("*/cpu.json"))) == 1


def test_the_header_tells_gpus_driver_and_engine(project: Project) -> None:
    result = project.run("--sgdiff-gpus=2", "--sgdiff-update")
    assert "sgdiff: 2 x NVIDIA H200 (driver 580.159.04), sglang 0.5.17, baselines in baselines" in result.outlines


def test_the_header_tells_the_settings_of_the_machine(project: Project) -> None:
    result = project.run("--sgdiff-gpus=2", "--collect-only", "--sgdiff-update")
    assert not [line for line in result.outlines if line.startswith("sgdiff: CUDA")]
    result = project.run("--sgdiff-gpus=2", "--sgdiff-update")
    clocks = "SM clock up to 1980 MHz, memory clock up to 3201 MHz"
    told = f"sgdiff: CUDA 13.0, power limit 700 W, {clocks}, persistence mode on, CPU "
    assert [line for line in result.outlines if line.startswith(told)]


def test_gpus_can_be_named_where_no_driver_tells_of_them(project: Project) -> None:
    """The file of docs/gpus.md: locks hold, and every counter is unknown."""
    text = (Path(__file__).parents[2] / "docs" / "gpus.md").read_text()
    (shown,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    project.setenv("SGDIFF_NVML_FILE", str(project.write("gpus.json", shown)))
    result = project.run("--sgdiff-gpus=all", "--sgdiff-report=r.json", "-v")
    unknown = ["sm_mhz", "mem_mhz", "power_w", "temperature_c", "util_pct", "used_mb", "reasons", "processes"]
    assert f"  launch 0: not reported by the driver, so not checked: {', '.join(unknown)}" in result.outlines
    (launch,) = json.loads((project.root / "r.json").read_text())["cases"][0]["launches"]
    assert launch["watch"]["unknown"] == unknown
    (series,) = launch["watch"]["gpus"]
    figures = {name: value for name, value in series.items() if name not in ("gpu_uuid", "samples")}
    assert set(figures.values()) == {None}


def test_a_launch_knows_its_gpus_and_is_recorded_with_what_it_ran_on(project: Project) -> None:
    engine = project.write(
        "engine.sh",
        """#!/bin/sh
        if [ "$1" = generate ]; then
            echo "TMPDIR=$TMPDIR UUIDS=$SGDIFF_GPU_UUIDS TORCH=$TORCHINDUCTOR_CACHE_DIR" > "$SEEN"
            echo left > "$TMPDIR/left"
        fi
        exec sglang "$@"
        """,
    )
    engine.chmod(0o755)
    project.setenv("SEEN", str(project.root / "seen.txt"))
    project.setenv("TMPDIR", "/tmp")
    result = project.run("--sgdiff-gpus=idx:2", f"--sgdiff-engine-cmd={engine}", "--sgdiff-report=r.json", "-v")
    told = (project.root / "seen.txt").read_text().strip()
    found = re.fullmatch(r"TMPDIR=(/tmp/sgdiff-tmp-\w+) UUIDS=(GPU-\S+) TORCH=/tmp/torchinductor_\w+", told)
    assert found is not None, told
    assert found[2] == "GPU-00000000-0000-4000-8000-000000000002"
    assert not Path(found[1]).exists()
    report = json.loads((project.root / "r.json").read_text())
    assert report["header"][0].endswith(", 1 case selected")
    assert "sgdiff: 1 case selected" in result.outlines
    (launch,) = report["cases"][0]["launches"]
    assert launch["server_args"]["num_gpus"] == 1
    assert launch["environment"]["launch_cpus"] == ranges(os.sched_getaffinity(0))
    assert (launch["watch"]["to_be_alone"], launch["watch"]["alone"]) == (False, True)
    note = "not reported by the driver, so not checked: mem_mhz, power_w"
    assert launch["watch"]["notes"] == [note]
    assert f"  launch 0: {note}" in result.outlines


def test_cases_that_are_compared_take_launches_until_that_can_be_told(project: Project) -> None:
    for name, steps in (("same", 20), ("fast", 10)):
        case = CASE.replace("tiny:", f"{name}:").replace("steps: 20", f"steps: {steps}")
        project.write(
            f"cases/{name}.yaml", case.replace("model:", "faster_than: {case: tiny, at_least: 10%}\n    model:")
        )
    project.baseline("-k", "tiny")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-out=kept")
    told = [line for line in result.outlines if ", 5 against 5 launches" in line]
    assert [" does not hold, " in line for line in told if " same " in line] == [True]
    assert [" holds, " in line for line in told if " fast " in line] == [True]
    # The baseline of one of them is not needed for that, but its lack fails the case.
    assert "no baseline for nvidia-h200-x1" in result.stdout.str()
    assert result.ret == 1
    assert project.run("--sgdiff-replay=kept", "--sgdiff-update", "-k", "same or fast").ret == 0
    assert project.run("--sgdiff-replay=kept", "-k", "tiny or same").ret == 1
    assert project.run("--sgdiff-replay=kept", "-k", "tiny or fast").ret == 0


def test_a_lock_directory_that_loses_a_folder_during_a_run_leaves_the_case_undecided(project: Project) -> None:
    """After the GPUs are leased, before the launch."""
    project.write(
        "conftest.py",
        "import os\n"
        "import pytest\n"
        "@pytest.fixture\n"
        "def sgdiff_env(sgdiff_gpus):\n"
        "    os.rmdir(os.path.join(os.environ['SGDIFF_LOCK_DIR'], 'launch'))\n"
        "    return {}\n",
    )
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update")
    assert "sgdiff: failed: nothing was measured" in result.outlines
    why = f"{project.root}/locks/launch/[0-9a-f]+: No such file or directory; correct that, or name another lock "
    told = f"^cases/tiny.yaml:5: environment: tiny cannot be launched: {why}directory with --sgdiff-lock-dir, "
    assert re.search(told, result.stdout.str(), re.MULTILINE)
    assert "Traceback" not in result.stdout.str()


def test_numbers_that_only_cuda_can_read_are_a_usage_error_and_measure_nothing(project: Project) -> None:
    """Of several products CUDA counts the fastest as 0: position 0 need not be the GPU that the job was given."""
    project.gpus(2, name="NVIDIA H100 PCIe", first="NVIDIA RTX A2000 12GB")
    project.setenv("CUDA_VISIBLE_DEVICES", "0")
    result = project.run("--sgdiff-gpus=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    error = result.stderr.str().strip()
    assert error.startswith("ERROR: CUDA_VISIBLE_DEVICES=0 has numbers that only CUDA can resolve")
    assert "Set CUDA_DEVICE_ORDER=PCI_BUS_ID" in error
    assert not (project.root / ".sgdiff").exists()
    project.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert "no baseline for nvidia-rtx-a2000-12gb-x1" in project.run("--sgdiff-gpus=1").stdout.str()


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
@pytest.mark.parametrize("spec", ["1", "auto"])
def test_a_gpu_with_a_display_is_measured_and_the_launch_says_so(
    project: Project, spec: str, workers: tuple[str, ...]
) -> None:
    project.baseline()
    project.gpus(1)
    listed(project, {"pid": 2210, "name": "/usr/lib/xorg/Xorg", "used_mb": 43}, {"pid": 2391, "name": "gnome-shell"})
    result = project.run(f"--sgdiff-gpus={spec}", "-v", "--sgdiff-report=report.json", *workers)
    assert result.ret == 0, result.stdout.str()
    report = json.loads((project.root / "report.json").read_text())
    (launch,) = report["cases"][0]["launches"]
    assert launch["watch"]["foreign"] == []
    assert "a display was drawn on the GPUs: Xorg, gnome-shell" in launch["watch"]["notes"]
    assert "a display was drawn on the GPUs: Xorg, gnome-shell" in result.stdout.str()


def test_a_display_that_draws_much_is_answered_at_once_with_the_fix(project: Project) -> None:
    """Xorg does not end within the hour for which a case waits."""
    project.gpus(1)
    listed(project, {"pid": 2210, "name": "Xorg", "used_mb": 900})
    output = project.run("--sgdiff-gpus=1").stdout.str()
    assert (
        "environment: tiny got no 1 GPU, and waiting does not help: GPU 0: busy, Xorg draws on it with 900 MiB"
        in output
    )
    assert "sudo systemctl isolate multi-user.target" in output
    assert "settle      the process on the GPUs does not end by itself" in output
    assert "when the machine is quiet" not in output
    assert "1 inconclusive" in output


@pytest.mark.parametrize("spec", ["1", "all", "auto", "idx:0", "MIG-377e"])
def test_the_only_mig_slice_is_measured_on(project: Project, spec: str) -> None:
    slices(project, "MIG-377e0049-0000-4000-8000-000000000002")
    output = project.run(f"--sgdiff-gpus={spec}", "--sgdiff-out=out").stdout.str()
    assert "no baseline for nvidia-h100-80gb-hbm3" in output
    launch = json.loads((project.root / "out" / "tiny" / "00" / "launch.json").read_text())
    assert launch["environment"]["gpu_uuids"] == ["MIG-377e0049-0000-4000-8000-000000000002"]


def test_of_several_mig_slices_each_is_named(project: Project) -> None:
    slices(project, "MIG-11111111-0000", "MIG-22222222-0000")
    result = project.run("--sgdiff-gpus=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().strip() == (
        "ERROR: --sgdiff-gpus=1 asks for 1 GPU, but every GPU of this machine is split into MIG slices; "
        "name a slice: --sgdiff-gpus=MIG-11111111, --sgdiff-gpus=MIG-22222222"
    )
    assert "no baseline for" in project.run("--sgdiff-gpus=MIG-22222222").stdout.str()


def listed(project: Project, *rows: dict[str, object]) -> None:
    """Let the driver list these processes on every GPU."""
    path = project.root / "nvml.json"
    document = json.loads(path.read_text())
    for gpu in document["gpus"]:
        gpu["processes"] = list(rows)
    path.write_text(json.dumps(document))


def slices(project: Project, *uuids: str) -> None:
    """Let the machine be one H100 that is cut into these."""
    facts = {"nvml_index": 0, "name": "NVIDIA H100 80GB HBM3", "pci": "00000000:1B:00.0"}
    whole = {"facts": {**facts, "uuid": "GPU-a", "mig_enabled": True}}
    cut = [{"facts": {**facts, "uuid": uuid, "mig_profile": "2g.20gb", "parent": "GPU-a"}} for uuid in uuids]
    (project.root / "nvml.json").write_text(json.dumps({"driver": "580.105.08", "gpus": [whole, *cut]}))
