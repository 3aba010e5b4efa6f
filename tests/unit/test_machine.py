"""Machines, environments and the version of an engine that is never imported."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from pytest_sgdiff import __version__, machine
from pytest_sgdiff.data import EngineInfo, Gpu, Machine
from pytest_sgdiff.errors import EngineNotFoundError
from pytest_sgdiff.gpus.nvml_file import FileReader

FILE = Path(__file__).parents[1] / "data" / "nvml" / "h200-x4.json"
GPUS = tuple(
    Gpu(index=index, uuid=f"GPU-0000000{index}-0000-4000-8000-00000000000a", name="NVIDIA H200") for index in range(4)
)


def script(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def python_with(folder: Path, **packages: str) -> str:
    """An interpreter whose environment holds these packages, as far as importlib.metadata tells."""
    for name, version in packages.items():
        info = folder / "site" / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    wrapper = f'#!/bin/bash\nPYTHONPATH={folder}/site exec {sys.executable} "$@"\n'
    return script(folder / "bin" / "python3.12", wrapper)


@pytest.fixture(autouse=True)
def _no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SGDIFF_ENGINE_VERSION", raising=False)


def test_machines_of_gpus_are_told_apart_by_product_count_and_slice() -> None:
    assert machine.machine_of(GPUS[:2]) == Machine(kind="gpu", product="NVIDIA H200", count=2)
    mig = Gpu(index=0, uuid="MIG-1", name="NVIDIA H200", mig_profile="1g.18gb")
    assert machine.machine_of([mig]).slug == "nvidia-h200-mig-1g-18gb-x1"
    mixed = machine.machine_of([GPUS[0], Gpu(index=1, uuid="GPU-x", name="NVIDIA H100 PCIe")])
    assert (mixed.product, mixed.count) == ("NVIDIA H100 PCIe + NVIDIA H200", 2)


def test_without_gpus_the_machine_is_the_cpu_and_the_cores_that_may_be_used() -> None:
    here = machine.machine_of(())
    assert (here.kind, here.count) == ("cpu", len(os.sched_getaffinity(0)))
    assert here.product == machine.cpu_model()
    assert re.fullmatch(r"[a-z0-9-]+-x\d+", here.slug)


def test_the_environment_takes_the_figures_of_the_slowest_gpu(tmp_path: Path) -> None:
    content = json.loads(FILE.read_text())
    content["gpus"][1]["facts"].update(power_limit_w=500.0, persistence=False, mem_clock_max_mhz=None)
    content["gpus"][2]["facts"].update(power_limit_w=100.0)
    path = tmp_path / "nvml.json"
    path.write_text(json.dumps(content))
    engine = EngineInfo(command=("sglang",), version="0.5.17", torch="2.11.0")
    told = machine.environment(GPUS[:2], engine=engine, sync_stages=True, reader=FileReader(str(path)))
    assert told.gpu_uuids == tuple(gpu.uuid for gpu in GPUS[:2])
    assert (told.driver, told.cuda) == ("580.159.04", "13.0")
    assert (told.power_limit_w, told.sm_clock_max_mhz, told.mem_clock_max_mhz) == (500.0, 1980, 3201)
    assert told.persistence is False
    assert (told.engine_version, told.torch_version, told.plugin_version) == ("0.5.17", "2.11.0", __version__)
    assert told.sync_stages is True


def test_what_no_driver_tells_stays_unknown() -> None:
    for reader in (None, FileReader("/does/not/exist")):
        told = machine.environment(GPUS[:1], engine=None, sync_stages=False, reader=reader)
        assert (told.driver, told.cuda, told.power_limit_w, told.persistence) == (None, None, None, None)
        assert told.engine_version is None


def test_the_host_is_recorded_as_a_hash_and_not_by_name() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", machine.host_hash())
    assert os.uname().nodename not in machine.host_hash()


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("#!/opt/venv/bin/python\n", ("/opt/venv/bin/python",)),
        ("#! /opt/venv/bin/python3.12 -I\n", ("/opt/venv/bin/python3.12",)),
        ("#!/usr/bin/env python3\n", ("python3",)),
        ("#!/usr/bin/env -S python3 -I\n", ("python3",)),
        (
            "#!/bin/sh\n'''exec' \"/very long/venv/bin/python3\" \"$0\" \"$@\"\n' '''\n",
            ("/very long/venv/bin/python3",),
        ),
        ("#!/bin/sh\n'''exec' /very/long/bin/python3 \"$0\" \"$@\"\n' '''\n", ("/very/long/bin/python3",)),
        ('#!/bin/bash\nexec python3 -m sglang "$@"\n', None),
        ("#!/bin/sh\necho 'unbalanced\n", None),
        ("\x7fELF", None),
        ("", None),
    ],
)
def test_the_interpreter_of_a_console_script_is_found(tmp_path: Path, head: str, found: tuple[str, ...] | None) -> None:
    assert machine.interpreter_of(script(tmp_path / "sglang", head)) == found


def test_a_python_is_its_own_interpreter() -> None:
    assert machine.interpreter_of("/opt/venv/bin/python3.12") == ("/opt/venv/bin/python3.12",)


def test_the_version_comes_from_the_engines_own_environment(tmp_path: Path) -> None:
    python = python_with(tmp_path, sglang="0.5.17", torch="2.11.0")
    command = script(tmp_path / "bin" / "sglang", f"#!{python}\nimport this_must_never_run\n")
    assert machine.engine_info([command]) == EngineInfo(
        command=(command,), version="0.5.17", torch="2.11.0", packages={}, installed=True
    )


def test_a_command_on_the_path_through_env_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python_with(tmp_path, sglang="0.5.9")
    (tmp_path / "bin" / "python3.12").rename(tmp_path / "bin" / "python3")
    script(tmp_path / "bin" / "sglang", "#!/usr/bin/env python3\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    expected = EngineInfo(command=("sglang",), version="0.5.9", packages={}, installed=True)
    assert machine.engine_info(["sglang"]) == expected


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("sglang 0.5.17", "0.5.17"),
        ("Python 3.12.3\nsglang version: 0.5.23.post1", "0.5.23.post1"),
        ("0.5.18rc1", "0.5.18rc1"),
        # Builds from source.
        ("sglang: 0.0.0.dev1+gc6416b13d", "0.0.0.dev1+gc6416b13d"),
        ("sglang version: 0.1.dev1", "0.1.dev1"),
        ("sglang version: 0.5.6.post3.dev1278+g12ab34c", "0.5.6.post3.dev1278+g12ab34c"),
        ("sglang version: unknown\\ngit revision: 1a2b3c4", "unknown"),
        ("sglang version: 0+unknown", "0+unknown"),
    ],
)
def test_a_wrapper_that_is_no_python_is_asked(tmp_path: Path, said: str, version: str) -> None:
    command = script(tmp_path / "sglang", f'#!/bin/bash\n[ "$1" = version ] || exit 2\nprintf "{said}\\n"\n')
    assert machine.engine_info([command]).version == version


def test_a_python_script_without_an_installed_sglang_is_asked(tmp_path: Path) -> None:
    command = script(tmp_path / "sglang", f"#!{python_with(tmp_path)}\nprint('sglang version: 0.5.17')\n")
    assert machine.engine_info([command]) == EngineInfo(command=(command,), version="0.5.17")


def test_a_wrapper_may_know_only_the_flag(tmp_path: Path) -> None:
    command = script(tmp_path / "sglang", '#!/bin/bash\n[ "$2" = --version ] || exit 2\necho sglang 0.5.20\n')
    assert machine.engine_info([command, "sub"]) == EngineInfo(command=(command, "sub"), version="0.5.20")


def test_the_environment_may_say_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGDIFF_ENGINE_VERSION", "0.5.8")
    assert machine.engine_info([script(tmp_path / "sglang", "#!/bin/false\n")]).version == "0.5.8"


def test_a_command_that_does_not_exist_says_how_to_name_another() -> None:
    with pytest.raises(EngineNotFoundError) as caught:
        machine.engine_info(["no-such-engine", "--flag"])
    assert str(caught.value) == (
        "the engine's command no-such-engine --flag was not found; install SGLang with its diffusion extra "
        "(pip install 'sglang[diffusion]'), or name it with --sgdiff-engine-cmd=/path/to/sglang"
    )


def test_a_base_engine_that_does_not_exist_is_named_with_its_own_option() -> None:
    with pytest.raises(EngineNotFoundError) as caught:
        machine.engine_info(["/opt/base/sglnag"], option="--sgdiff-against")
    assert str(caught.value) == (
        "the engine's command /opt/base/sglnag was not found; name it with --sgdiff-against=/path/to/sglang"
    )


def test_a_command_that_tells_no_version_says_how_to_give_one(tmp_path: Path) -> None:
    command = script(tmp_path / "sglang", "#!/bin/bash\nexit 0\n")
    with pytest.raises(EngineNotFoundError) as caught:
        machine.engine_info([command])
    assert str(caught.value) == (
        f"the engine's command {command} ({command}) does not report its version: it is not an installed sglang, and "
        f"`{command} version` prints none; name another command with --sgdiff-engine-cmd, or set "
        "SGDIFF_ENGINE_VERSION=0.5.17"
    )


@pytest.mark.parametrize(
    ("numbers", "text"), [((), ""), ((3,), "3"), ((0, 1, 2, 3), "0-3"), ((47, 0, 1, 32, 33, 5, 5), "0-1,5,32-33,47")]
)
def test_cpus_are_listed_as_the_kernel_lists_them(numbers: tuple[int, ...], text: str) -> None:
    assert machine.ranges(numbers) == text
