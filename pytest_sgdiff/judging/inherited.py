"""Variables that a launch inherits from the shell or the job, and that the engine or its libraries read. Pure.

What the shell exports reaches the engine and changes what it does, and no case file says so. One rule divides these
variables (docs/baselines.md): a variable is *work* unless it only says where something lies, who asks, what is printed,
or how files are fetched. Work is part of the workload, like the case's own `env`; the others are recorded with each
launch, and named where they differ.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from pytest_sgdiff.data import Changed, Environment
from pytest_sgdiff.redact import sensitive

READ = re.compile(
    # The engine and what it is built of.
    r"(?:SGLANG|SGL|FASTVIDEO|MINIMAX|CACHE_DIT|FLASHINFER|FLASH_ATTENTION|FLASH_ATTN|SAGE_?ATTN|XFORMERS|DEEP_?GEMM|DG"
    r"|CUTLASS|CUTEDSL|CUTE_DSL|QUACK|TVM|NUNCHAKU|DIFFUSERS|TRANSFORMERS|TOKENIZERS|SAFETENSORS|ACCELERATE|HF|HUGGINGFACE"
    r"|HUGGING_FACE|RUNAI|KERNELS|BITSANDBYTES|TORCHAO|LIGER)_\w+"
    # torch and its compilers.
    r"|TORCH\w+|PYTORCH\w*_\w+|TORCHINDUCTOR_\w+|TORCHDYNAMO_\w+|INDUCTOR_\w+|AOTINDUCTOR_\w+|AOT_INDUCTOR_\w+|AOTI_\w+"
    r"|PT2_\w+|TRITON_\w+|PTXAS_\w+|XLA_\w+|ATEN_\w+|ENABLE_(?:PERSISTENT_TMA|TEMPLATE_TMA|TMA)_\w+|DISABLE_LLVM_OPT"
    r"|CUTLASS_EPILOGUE_FUSION|TENSORIFY_\w+"
    # The driver, its libraries, and those of other makers.
    r"|CUDA_\w+|CUDNN_\w+|CUBLAS\w*_\w+|CUFFT_\w+|CUSPARSE_\w+|NVTE_\w+|NVIDIA_TF32_OVERRIDE|NVFUSER_\w+|NCCL_\w+|RCCL_\w+"
    r"|NVSHMEM_\w+|GLOO_\w+|UCX_\w+|HIP_\w+|HSA_\w+|ROC[MR]_\w+|AITER_\w+|MIOPEN_\w+|AMD_\w+|GPU_MAX_HW_QUEUES|ZE_\w+"
    r"|SYCL_\w+|ASCEND_\w+|MUSA_\w+"
    # Threads, memory and the loader of the process.
    r"|OMP_\w+|KMP_\w+|GOMP_\w+|MKL_\w+|OPENBLAS_\w+|GOTO_NUM_THREADS|BLIS_\w+|NUMEXPR_\w+|VECLIB_\w+|RAYON_\w+|ONEDNN_\w+"
    r"|DNNL_\w+|IPEX_\w+|MALLOC_\w+|GLIBC_TUNABLES|TCMALLOC_\w+|_?RJEM_MALLOC_CONF|MIMALLOC_\w+|LD_(?:PRELOAD|LIBRARY_PATH"
    r"|BIND_NOW|AUDIT)"
    r"|PYTHON(?:OPTIMIZE|MALLOC|MALLOCSTATS|DEVMODE|TRACEMALLOC|ASYNCIODEBUG|HASHSEED|PATH|HOME|GIL|_GIL|_JIT|_CPU_COUNT"
    r"|PERFSUPPORT|PROFILEIMPORTTIME|STARTUP|PLATLIBDIR|USERBASE|NOUSERSITE|SAFEPATH)"
)
"""What the engine or something that it is built of reads: SGLang's envs.py, torch, Triton, CUDA and its libraries,
flashinfer, Cache-DiT, the Hugging Face libraries, OpenMP, the C library and the loader. All of it is recorded."""

ASIDE = re.compile(
    # Where something lies, and who asks.
    r".*(?:CACHE_(?:DIR|ROOT|HOME)|(?:_|^)(?:DIR|PATH|HOME|ROOT|FOLDER|PROXY|DIRECTORY|FILE|FILENAME|CACHE|ENDPOINT|URL"
    r"|HOST|PORT|PREFIX|BUCKET_NAME|REGION_NAME|ARTIFACTS?))"
    r"|(?:HF|HUGGINGFACE|HUGGING_FACE|TRANSFORMERS|RUNAI|KERNELS|SAFETENSORS|TOKENIZERS|TORCHELASTIC)_\w+"
    # What is printed, traced or checked beside the work, and what is kept of compiling it.
    r"|.*(?:_|^)(?:DEBUG|LOG|LOGS|LOGGING|LOGLEVEL|VERBOSE|VERBOSITY|TELEMETRY|WARNINGS?|OFFLINE|STATS|VERSION|TRACKING)"
    r"|.*_(?:LOG_LEVEL|LOGGING_LEVEL|DEBUG_\w+|LOGGING_\w+|LOG_\w+|TIMEOUT|TIMEOUT_\w+|CI|IN_CI|VERSION_CHECK"
    r"|BUILD_NUMBER|ARCH_LIST|OTLP_\w+)"
    r"|TORCH_SHOW_\w+|\w+_PRINT_\w+|TORCHINDUCTOR_(?:COMPILE_THREADS|WORKER_START|REDIS_\w+)|\w+_VISIBLE_DEVICES"
    r"|CUDA_(?:CACHE_\w+|COREDUMP\w*|ENABLE_COREDUMP\w*|INJECTION\w*|ARCH\w*|TAG\w*)|SGL(?:ANG)?_(?:CI|TEST|GIT|BUILD|S3"
    r"|CLOUD|GT|GEN_GT|RUN|PI05_E2E)_\w+|SGLANG_\w*(?:TOLERANCE|BASELINE|CONSISTENCY)"
    r"|SGLANG_DIFFUSION_(?:SYNC_STAGE_PROFILING|STAGE_LOGGING|SLACK_\w+|WEIGHT_MATCH_RATIO)"
    # The network of one host, and where its processes meet.
    r"|(?:NCCL|GLOO|UCX|RCCL|NVSHMEM)_(?:SOCKET_IFNAME|IB_HCA|IB_GID_INDEX|NET_DEVICES|HOSTID|COMM_ID|CONF_FILE|TOPO_FILE"
    r"|GRAPH_FILE|DEBUG\w*|VERSION)"
    r"|OPENBLAS_(?!NUM_THREADS)\w+|PYTHON(?:PATH|HOME|HASHSEED|STARTUP|PLATLIBDIR|USERBASE|NOUSERSITE|SAFEPATH|MALLOCSTATS)"
    r"|LD_LIBRARY_PATH|MASTER_\w+"
)
"""Of these, what changes nothing of the work."""

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)

_PLUGINS = frozenset({"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "SGLANG_PERF_LOG_DIR"})
"""Written for every launch by the plugin, whatever the shell says."""


def inherited(environ: Mapping[str, str], *, besides: Collection[str] = ()) -> dict[str, str]:
    """What of an environment the engine reads, by name; not `besides`, which comes from elsewhere. A variable that is
    empty counts as one that is not set: that is how the engine and its libraries read it."""
    return {
        name: environ[name]
        for name in sorted(environ)
        if environ[name] and name not in _PLUGINS and name not in besides and READ.fullmatch(name)
    }


def is_work(name: str) -> bool:
    """Whether an inherited variable changes what is measured; a secret says who asks."""
    return READ.fullmatch(name) is not None and ASIDE.fullmatch(name) is None and not sensitive(name)


def assigned(argv: Sequence[str]) -> dict[str, str]:
    """Variables that a command line sets before the program that it runs: `env SGLANG_X=1 sglang generate`."""
    found: dict[str, str] = {}
    for number, word in enumerate(argv):
        if word.rpartition("/")[2] != "env":
            continue
        for option in argv[number + 1 :]:
            if match := _ASSIGNMENT.fullmatch(option):
                found[match[1]] = match[2]
            elif not option.startswith("-"):
                break
    return found


def work(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that change what is measured, as a workload has them: of a library that is loaded first its name, since it
    lies elsewhere on another machine."""
    return {
        name: re.sub(r"[^\s:]*/", "", value) if name in ("LD_PRELOAD", "LD_AUDIT") else value
        for name, value in variables.items()
        if is_work(name)
    }


def changes(then: Iterable[Environment], now: Iterable[Environment]) -> tuple[Changed, ...]:
    """What the launches of a baseline inherited and those of now do not, and the other way round.

    Where the baseline's do not tell, only what changes the work now is named; where those of now do not, nothing is.
    """
    ours = _told(now)
    theirs = _told(then)
    if ours is None:
        return ()
    if theirs is None:
        return tuple(
            Changed(name=name, now=values[-1], recorded=False) for name, values in ours.items() if is_work(name)
        )
    return tuple(
        Changed(name=name, then=next(iter(theirs.get(name, ())), None), now=next(iter(ours.get(name, ())), None))
        for name in sorted({*ours, *theirs})
        if not {*theirs.get(name, (None,))} & {*ours.get(name, (None,))}
    )


def _told(environments: Iterable[Environment]) -> dict[str, tuple[str, ...]] | None:
    """Every value of each variable over the launches; None where one of them does not tell, or there is none."""
    found: dict[str, dict[str, None]] = {}
    asked = list(environments)
    for environment in asked:
        if environment.inherited is None:
            return None
        for name, value in environment.inherited.items():
            found.setdefault(name, {})[value] = None
    return {name: tuple(values) for name, values in sorted(found.items())} if asked else None
