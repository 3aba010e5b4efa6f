"""What a launch ran on: the machine that must be equal, and the environment that explains a difference."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shlex
import shutil
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from pytest_sgdiff import __version__, engine_commits
from pytest_sgdiff.data import EngineInfo, Environment, Gpu, GpuFacts, Machine
from pytest_sgdiff.errors import EngineNotFoundError, SgdiffError
from pytest_sgdiff.files.procfs import cpu_facts
from pytest_sgdiff.files.programs import ask

VERSION_VARIABLE = "SGDIFF_ENGINE_VERSION"
# Asks the package index of the engine's own environment: 30 ms, where importing sglang takes 10 s and more.
PACKAGES = (
    *("sgl-kernel", "sglang-kernel", "flashinfer-python", "flash-attn", "flash-attn-4", "sageattention", "xformers"),
    *("triton", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13", "nvidia-cublas", "nvidia-nccl-cu12", "nvidia-nccl-cu13"),
    *("diffusers", "transformers", "cache-dit"),
)
"""Packages that bring kernels, or code of models that the engine runs."""
_PROBE = (
    "import importlib.metadata as m, json\n"
    "def v(n):\n"
    "    try: return m.version(n)\n"
    "    except m.PackageNotFoundError: return None\n"
    "def o(n):\n"
    "    try: return m.distribution(n).read_text('direct_url.json')\n"
    "    except Exception: return None\n"
    f"found = {{n: v(n) for n in {PACKAGES!r}}}\n"
    "print(json.dumps({'sglang': v('sglang'), 'torch': v('torch'), 'origin': o('sglang'), "
    "'packages': {n: w for n, w in found.items() if w}}))"
)
_VERSION = re.compile(r"\b\d+\.\d+(?:\.\d+)?(?:\.?(?:a|b|rc|post|dev)\d+)*(?:\+[A-Za-z0-9.]+)?")
_SAID = re.compile(r"\bsglang(?: version)?: *([\w.+!-]+) *$", re.IGNORECASE)
_PROBE_TIMEOUT_S = 120.0


class FactsReader(Protocol):
    """The driver, as far as it is asked here; `pytest_sgdiff.gpus.NvmlReader` is one."""

    def driver(self) -> str | None: ...

    def cuda(self) -> str | None: ...

    def facts(self) -> tuple[GpuFacts, ...]: ...


def machine_of(gpus: Sequence[Gpu]) -> Machine:
    """The kind of hardware and how much of it; without GPUs the CPU's model and its cores that this process may use."""
    if not gpus:
        return Machine(kind="cpu", product=cpu_model() or "unknown CPU", count=len(os.sched_getaffinity(0)))
    # Mixed GPUs are a machine of their own: no measurement on them compares with one on either kind.
    names = sorted({gpu.name for gpu in gpus})
    profiles = sorted({gpu.mig_profile for gpu in gpus if gpu.mig_profile})
    return Machine(kind="gpu", product=" + ".join(names), count=len(gpus), mig_profile=" + ".join(profiles) or None)


def environment(
    gpus: Sequence[Gpu],
    *,
    engine: EngineInfo | None,
    sync_stages: bool,
    reader: FactsReader | None = None,
    launch_cpus: Iterable[int] = (),
    inherited: Mapping[str, str] | None = None,
) -> Environment:
    """Everything else that is recorded with a launch. Without a `reader` nothing is known of the driver.
    `launch_cpus` are those that the launch was bound to, none if nobody knows; `inherited` what it inherited that the
    engine reads, without secrets.

    Where GPUs differ in a figure, the lowest is taken: the slowest GPU sets the pace.
    """
    driver = cuda = None
    facts: list[GpuFacts] = []
    if reader is not None and gpus:
        used = {gpu.uuid for gpu in gpus}
        try:
            driver, cuda = reader.driver(), reader.cuda()
            facts = [fact for fact in reader.facts() if fact.uuid in used]
        except SgdiffError:
            facts = []
    persistence = [fact.persistence for fact in facts if fact.persistence is not None]
    return Environment(
        gpu_uuids=tuple(gpu.uuid for gpu in gpus),
        driver=driver,
        cuda=cuda,
        power_limit_w=min((f.power_limit_w for f in facts if f.power_limit_w is not None), default=None),
        sm_clock_max_mhz=min((f.sm_clock_max_mhz for f in facts if f.sm_clock_max_mhz is not None), default=None),
        mem_clock_max_mhz=min((f.mem_clock_max_mhz for f in facts if f.mem_clock_max_mhz is not None), default=None),
        persistence=all(persistence) if persistence else None,
        cpu_model=cpu_model(),
        cpu_count=len(os.sched_getaffinity(0)),
        launch_cpus=ranges(launch_cpus) or None,
        host=host_hash(),
        engine_version=None if engine is None else engine.version,
        torch_version=None if engine is None else engine.torch,
        packages=None if engine is None else engine.packages,
        engine_commit=None if engine is None else engine.commit,
        plugin_version=__version__,
        sync_stages=sync_stages,
        inherited=inherited,
    )


def ranges(numbers: Iterable[int]) -> str:
    """`0-15,32-47`, as the kernel writes lists of CPUs."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def host_hash() -> str:
    """12 hex digits that tell hosts apart without naming them in files that are published."""
    return hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:12]


@functools.cache
def cpu_model() -> str | None:
    """The CPU's name as the kernel reports it: `model name` on x86, implementer and part on Arm."""
    told = cpu_facts()
    if "model name" in told:
        return re.sub(r"\s+", " ", told["model name"])
    if "CPU implementer" in told:
        return f"Arm {told['CPU implementer']}-{told.get('CPU part', '?')}"
    return os.uname().machine or None


def engine_info(
    command: Sequence[str], *, option: str = "--sgdiff-engine-cmd", abandoned: Callable[[], bool] = lambda: False
) -> EngineInfo:
    """The engine behind a command, its version read without importing it. `option` is what names the command;
    `abandoned` says that nobody waits for the answer any more, as to `files.programs.ask`.

    The interpreter is found from the command's shebang, and asked for the package versions of its environment; what
    has no such interpreter is asked itself, `<command> version`, then `--version`. SGDIFF_ENGINE_VERSION overrides
    both. Raises EngineNotFoundError if there is no such command or it reports no version.
    """
    words = tuple(command)
    named = shlex.join(words)
    path = shutil.which(words[0]) if words else None
    if path is None:
        current = option == "--sgdiff-engine-cmd"
        install = "install SGLang with its diffusion extra (pip install 'sglang[diffusion]'), or " if current else ""
        raise EngineNotFoundError(
            f"the engine's command {named or '(empty)'} was not found; {install}name it with {option}=/path/to/sglang"
        )
    override = os.environ.get(VERSION_VARIABLE)
    if override:
        return EngineInfo(command=words, version=override)
    python = interpreter_of(path)
    told = None if python is None else _installed(python, abandoned)
    if told is not None and told.sglang:
        return EngineInfo(
            command=words,
            version=told.sglang,
            torch=told.torch,
            packages=told.packages,
            commit=told.commit,
            checkout=told.checkout,
            installed=True,
        )
    version = _asked(words, abandoned)
    if version is None:
        raise EngineNotFoundError(
            f"the engine's command {named} ({path}) does not report its version: it is not an installed sglang, and "
            f"`{named} version` prints none; name another command with {option}, or set {VERSION_VARIABLE}=0.5.17"
        )
    return EngineInfo(command=words, version=version, torch=None if told is None else told.torch)


def interpreter_of(path: str) -> tuple[str, ...] | None:
    """The Python that runs a console script, as words; None if the script is not Python's.

    A Python itself (`python -m sglang...`) is its own. Follows `#!/path/python`, `#!/usr/bin/env python3` (also with
    -S and options) and pip's form for paths that are long or hold blanks: `#!/bin/sh` and, on the second line,
    `'''exec' "/long path/python" "$0" "$@"`.
    """
    if _is_python(path):
        return (os.path.abspath(path),)
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return None
    if not head.startswith(b"#!"):
        return None
    lines = head.decode(errors="replace").splitlines()
    try:
        words = shlex.split(lines[0][2:])
        if words and os.path.basename(words[0]) == "env":
            words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        elif words and os.path.basename(words[0]) == "sh" and len(lines) > 1 and lines[1].startswith("'''exec'"):
            words = shlex.split(lines[1].removeprefix("'''exec'"))[:1]
    except ValueError:
        return None
    return (words[0],) if words and _is_python(words[0]) else None


def _is_python(path: str) -> bool:
    return re.fullmatch(r"(python|pypy)[\d.]*", os.path.basename(path)) is not None


class _Installed(NamedTuple):
    """What a Python's environment says of its engine."""

    sglang: str | None
    torch: str | None
    packages: Mapping[str, str] | None
    checkout: str | None
    commit: str | None


def _installed(python: Sequence[str], abandoned: Callable[[], bool]) -> _Installed | None:
    """The engine in that Python's environment; None if it cannot be asked."""
    output = output_of([*python, "-c", _PROBE], cwd="/", abandoned=abandoned)  # not here, where a json.py may lie
    try:
        told = json.loads((output or "").strip().splitlines()[-1])
        packages = told.get("packages")
        checkout, commit = _origin(told.get("origin"))
        return _Installed(
            sglang=told["sglang"],
            torch=told["torch"],
            packages={str(k): str(v) for k, v in packages.items()} if isinstance(packages, dict) else None,
            checkout=checkout,
            commit=commit if checkout is None else engine_commits.head(checkout),
        )
    except (IndexError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _origin(text: object) -> tuple[str | None, str | None]:
    """The folder that an engine is installed from, or the commit that it was built of (PEP 610, direct_url.json)."""
    if not isinstance(text, str):
        return None, None
    told = json.loads(text)
    commit = told.get("vcs_info", {}).get("commit_id")
    if isinstance(commit, str) and engine_commits.COMMIT.fullmatch(commit):
        return None, commit
    url = urllib.parse.urlsplit(str(told.get("url")))
    editable = url.scheme == "file" and url.netloc == "" and told.get("dir_info", {}).get("editable") is True
    return (urllib.parse.unquote(url.path), None) if editable else (None, None)


def _asked(command: Sequence[str], abandoned: Callable[[], bool]) -> str | None:
    for word in ("version", "--version"):
        output = output_of([*command, word], abandoned=abandoned)
        if output is None:
            continue
        line = next((line for line in output.splitlines() if "sglang" in line.lower()), output)
        found = _VERSION.search(line)
        if found:
            return found.group()
        # `sglang version: unknown` is a build from source that does not know better.
        said = _SAID.search(line)
        if said:
            return said[1]
    return None


def output_of(
    argv: Sequence[str], *, cwd: str | None = None, abandoned: Callable[[], bool] = lambda: False
) -> str | None:
    """What the command prints; None if it fails or takes too long."""
    return printed(argv, cwd=cwd, timeout_s=_PROBE_TIMEOUT_S, abandoned=abandoned)[0]


def printed(
    argv: Sequence[str],
    *,
    timeout_s: float,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    abandoned: Callable[[], bool] = lambda: False,
) -> tuple[str | None, str]:
    """What the command prints, up to 4 MiB, within `timeout_s` seconds; else None and why. Never raises OSError."""
    answer = ask(argv, timeout_s=timeout_s, cwd=cwd, env=env, abandoned=abandoned)
    if answer.code:
        return None, f"it exited with {answer.code}"
    return (None, answer.why) if answer.code is None else (answer.out, "")
