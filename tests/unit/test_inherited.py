"""Which variables of the shell change the work, which are only recorded, and what is said of a difference."""

from __future__ import annotations

import pytest

from pytest_sgdiff.data import Changed, Environment, NextStep
from pytest_sgdiff.judging.inherited import assigned, changes, inherited, is_work, work
from pytest_sgdiff.reports import next_text
from pytest_sgdiff.runner.next_step import next_step

WORK = (
    *(
        "SGLANG_CACHE_DIT_ENABLED",
        "SGLANG_CACHE_DIT_SECONDARY_FN",
        "SGLANG_TORCH_COMPILE_MODE",
        "SGLANG_ENABLE_FUSED_X",
    ),
    *("SGLANG_DIFFUSION_ATTENTION_BACKEND", "SGLANG_DIFFUSION_CFG_GATE_STEP", "SGL_X", "CUDA_LAUNCH_BLOCKING"),
    *(
        "CUDA_MODULE_LOADING",
        "CUDA_DEVICE_MAX_CONNECTIONS",
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
        "NVIDIA_TF32_OVERRIDE",
    ),
    *("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING", "TORCHINDUCTOR_MAX_AUTOTUNE"),
    *(
        "TORCHDYNAMO_DISABLE",
        "TORCH_COMPILE_DISABLE",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
        "TORCH_CUDNN_V8_API_DISABLED",
    ),
    *("TRITON_INTERPRET", "NCCL_P2P_DISABLE", "NCCL_ALGO", "NCCL_NVLS_ENABLE", "CUBLAS_WORKSPACE_CONFIG", "CUDNN_X"),
    *(
        "FLASHINFER_USE_X",
        "FLASH_ATTENTION_DETERMINISTIC",
        "CACHE_DIT_EPILOGUE_PROLOGUE_FUSION",
        "DIFFUSERS_ATTN_BACKEND",
    ),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "KMP_AFFINITY", "GOMP_CPU_AFFINITY", "MALLOC_CONF"),
    *(
        "MALLOC_ARENA_MAX",
        "GLIBC_TUNABLES",
        "LD_PRELOAD",
        "PYTHONOPTIMIZE",
        "PYTHONMALLOC",
        "CUTEDSL_ENABLE_AUTOTUNING",
    ),
)
ASIDE = (
    *("SGLANG_DIFFUSION_CACHE_ROOT", "SGLANG_DIFFUSION_LOGGING_LEVEL", "SGLANG_DIFFUSION_STAGE_LOGGING"),
    *("SGLANG_DIFFUSION_SYNC_STAGE_PROFILING", "SGLANG_TORCH_PROFILER_DIR", "SGLANG_IS_IN_CI", "SGLANG_TEST_X"),
    *("CUDA_HOME", "CUDA_CACHE_PATH", "CUDA_CACHE_DISABLE", "CUDA_VERSION", "NCCL_VERSION", "NCCL_DEBUG"),
    *("NCCL_DEBUG_SUBSYS", "NCCL_SOCKET_IFNAME", "TORCH_LOGS", "TORCH_CUDA_ARCH_LIST", "TORCHINDUCTOR_CACHE_DIR"),
    *("TRITON_CACHE_DIR", "TRITON_PRINT_AUTOTUNING", "TRITON_PTXAS_PATH", "HF_HOME", "HF_HUB_OFFLINE", "HF_ENDPOINT"),
    *("HF_HUB_ENABLE_HF_TRANSFER", "TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY", "TOKENIZERS_PARALLELISM"),
    *("FLASHINFER_DISABLE_VERSION_CHECK", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHASHSEED", "PYTORCH_VERSION"),
)
NOT_READ = (
    *("PATH", "HOME", "LANG", "CI", "PWD", "GITHUB_SHA", "PYTEST_CURRENT_TEST", "SGDIFF_GPUS", "PYTHONUNBUFFERED"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "SGLANG_PERF_LOG_DIR", "NVIDIA_VISIBLE_DEVICES", "RANK", "TMPDIR"),
)


@pytest.mark.parametrize("name", WORK)
def test_what_the_engine_computes_by_is_work(name: str) -> None:
    assert is_work(name)
    assert inherited({name: "1"}) == {name: "1"}


@pytest.mark.parametrize("name", ASIDE)
def test_places_caches_and_logs_are_recorded_and_no_work(name: str) -> None:
    assert not is_work(name)
    assert inherited({name: "1"}) == {name: "1"}


@pytest.mark.parametrize("name", NOT_READ)
def test_what_the_engine_does_not_read_or_the_plugin_sets_is_left_out(name: str) -> None:
    assert inherited({name: "1"}) == {}


def test_what_comes_from_the_case_is_not_inherited_and_an_empty_variable_is_not_set() -> None:
    found = inherited({"SGLANG_A": "1", "SGLANG_B": "", "SGLANG_C": "3"}, besides={"SGLANG_A": "0"})
    assert found == {"SGLANG_C": "3"}


def test_a_library_that_is_loaded_first_counts_by_its_name() -> None:
    there = {"LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2 /opt/a.so:/opt/b.so"}
    assert work(there) == {"LD_PRELOAD": "libjemalloc.so.2 a.so:b.so"}
    assert work({"LD_AUDIT": "/opt/audit.so"}) == {"LD_AUDIT": "audit.so"}


def test_what_a_command_sets_before_the_engine_is_known() -> None:
    argv = ("nice", "/usr/bin/env", "-u", "SGLANG_A=1", "SGLANG_B=a=b", "sglang", "generate", "--x", "SGLANG_C=1")
    assert assigned(argv) == {"SGLANG_A": "1", "SGLANG_B": "a=b"}
    assert assigned(("sglang", "generate", "--prompt", "SGLANG_C=1")) == {}


def test_a_secret_is_no_work() -> None:
    assert not is_work("SGLANG_API_KEY")
    assert work({"SGLANG_API_KEY": "<redacted>"}) == {}


def told(**variables: str) -> Environment:
    return Environment(inherited=variables)


UNKNOWN = Environment()


def test_a_difference_is_told_in_both_directions() -> None:
    then, now = [told(SGLANG_A="1", HF_HOME="/a", X="1")] * 2, [told(SGLANG_B="2", HF_HOME="/b", X="1")]
    assert changes(then, now) == (
        Changed(name="HF_HOME", then="/a", now="/b"),
        Changed(name="SGLANG_A", then="1"),
        Changed(name="SGLANG_B", now="2"),
    )
    assert changes(then, then) == ()


def test_a_value_that_one_session_of_the_baseline_had_is_no_difference() -> None:
    assert changes([told(HF_HOME="/a"), told(HF_HOME="/b")], [told(HF_HOME="/b")]) == ()


def test_what_was_not_recorded_is_not_the_same_as_not_set() -> None:
    assert changes([UNKNOWN], [told(SGLANG_A="1", HF_HOME="/a")]) == (
        Changed(name="SGLANG_A", now="1", recorded=False),
    )
    assert changes([told(SGLANG_A="1")], [UNKNOWN]) == ()
    assert changes([told(), UNKNOWN], [told()]) == ()


def test_the_way_back_to_the_environment_of_the_baseline_is_a_command() -> None:
    changed = (
        Changed(name="SGLANG_A", then="a b"),
        Changed(name="NCCL_ALGO", now="Ring"),
        Changed(name="HF_HOME", now="x"),
    )
    told = next_step("no-baseline", "pytest --sgdiff-update", changed=changed)
    assert told == NextStep(code="restore-environment", command="pytest --sgdiff-update", changed=changed[:2])
    assert "`unset NCCL_ALGO; export SGLANG_A='a b'`" in next_text.words(told)
    unknown = (Changed(name="SGLANG_A", now="1", recorded=False), Changed(name="HF_HOME", now="x"))
    assert next_step("no-baseline", "pytest", changed=unknown) == NextStep(code="record", command="pytest")
