"""What is a failure, and what is its cause: as values."""

from __future__ import annotations

import pytest

from pytest_sgdiff.data.failures import (
    CollectiveTimeout,
    CommandRefused,
    Crashed,
    ExceptionRaised,
    Failure,
    NoRoom,
    OutOfMemory,
    PortTaken,
    RequestFailed,
    UnknownModel,
    WorkerDied,
)
from pytest_sgdiff.engines.log import examine
from pytest_sgdiff.engines.log_prefix import Line
from pytest_sgdiff.engines.tracebacks import exceptions

START = "[11-23 16:33:59] Diffusers version: 0.35.0.dev0\n[11-23 16:34:30] Loading pipeline modules...\n"
DUMPED = "\n[11-23 16:35:22] Metrics dumped to: /w/perf.json"
FRAMES = (
    "Traceback (most recent call last):\n"
    '  File "/venv/bin/sglang", line 7, in <module>\n'
    "    sys.exit(main())\n"
    "             ^^^^^^\n"
    '  File "/venv/lib/x.py", line 158, in load\n'
    "    component = self.load(path)\n"
)
EARLY = (
    "Traceback (most recent call last):\n"
    '  File "/venv/lib/hunyuan3d_pipeline.py", line 3, in <module>\n'
    "    import trimesh\n"
    "ModuleNotFoundError: No module named 'trimesh'\n"
)


def failure(log: str) -> Failure | None:
    return examine(log).failure


# ------------------------------------------------------------------------------------- the exception behind the frames


@pytest.mark.parametrize(
    "line",
    [
        "httpx.ReadTimeout: The read operation timed out",
        "requests.exceptions.ConnectTimeout: (ConnectTimeoutError('x'), '(Request-ID: x)')",
        "torch._dynamo.exc.Unsupported: call_method",
        "subprocess.TimeoutExpired: Command '['nvidia-smi']' timed out after 10 seconds",
        "subprocess.CalledProcessError: Command '['nvcc']' returned non-zero exit status 1.",
        "zmq.error.Again: Resource temporarily unavailable",
        "socket.gaierror: [Errno -2] Name or service not known",
        "zlib.error: Error -3 while decompressing data: incorrect header check",
        "struct.error: unpack requires a buffer of 4 bytes",
        "queue.Empty",
        "asyncio.exceptions.CancelledError",
        "__main__.Stop: enough",
        "mod.make.<locals>.Odd: enough",
        "AssertionError",
        "KeyError: 'width'",
        "Oops: no such thing",
    ],
)
@pytest.mark.parametrize("prefix", ["", "2026-11-23T16:33:59.1234567Z ", "[rank1]: ", "[rank1]:", "bench-1  | "])
def test_the_exception_is_what_stands_behind_the_frames(line: str, prefix: str) -> None:
    log = "\n".join(prefix + part for part in (START + FRAMES + line).splitlines())
    kind, _, message = line.partition(": ")
    assert failure(log) == ExceptionRaised(type=kind, message=message)
    # An early one, which the launch went on from, is not it.
    log = "\n".join(prefix + part for part in (EARLY + START + FRAMES + line).splitlines())
    assert failure(log) == ExceptionRaised(type=kind, message=message)


@pytest.mark.parametrize("margin", [" ", "    ", "\t"])
def test_a_traceback_may_stand_behind_a_margin(margin: str) -> None:
    log = "\n".join(margin + line for line in (FRAMES + "zmq.error.Again: busy").splitlines())
    assert failure(START + log) == ExceptionRaised(type="zmq.error.Again", message="busy")


def test_the_last_exception_of_a_chain_is_the_cause() -> None:
    first = FRAMES + "KeyError: 'a'\n"
    for words in (
        "\nDuring handling of the above exception, another exception occurred:\n\n",
        "\nThe above exception was the direct cause of the following exception:\n\n",
    ):
        log = START + first + words + FRAMES + "mypkg.LoadFailed: cannot load\n"
        assert failure(log) == ExceptionRaised(type="mypkg.LoadFailed", message="cannot load")


def test_an_exception_group_shows_its_parts() -> None:
    log = START + (
        "  + Exception Group Traceback (most recent call last):\n"
        '  |   File "/venv/lib/x.py", line 1, in <module>\n'
        "  |     raise ExceptionGroup('two', [...])\n"
        "  | ExceptionGroup: two (2 sub-exceptions)\n"
        "  +-+---------------- 1 ----------------\n"
        "    | Traceback (most recent call last):\n"
        '    |   File "/venv/lib/x.py", line 2, in f\n'
        "    |     int('x')\n"
        "    | ValueError: no number\n"
        "    +---------------- 2 ----------------\n"
        "    | zmq.error.Again: Resource temporarily unavailable\n"
        "    +------------------------------------\n"
    )
    assert failure(log) == ExceptionRaised(
        type="ExceptionGroup",
        message="two (2 sub-exceptions): ValueError: no number; zmq.error.Again: Resource temporarily unavailable",
    )


def test_a_syntax_error_has_its_own_frame() -> None:
    log = START + FRAMES + "  File \"/w/config.py\", line 3\n    foo(\n       ^\nSyntaxError: '(' was never closed\n"
    assert failure(log) == ExceptionRaised(type="SyntaxError", message="'(' was never closed")


def test_only_what_says_nothing_by_itself_is_followed_by_the_lines_below() -> None:
    gated = "huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-xx)"
    url = "Cannot access gated repo for url https://huggingface.co/m/resolve/main/model_index.json."
    access = "Access to model m is restricted. You must have access to it."
    found = failure(f"{START}{FRAMES}{gated}\n\n{url}\n{access}\n")
    assert found == ExceptionRaised(
        type="huggingface_hub.errors.GatedRepoError",
        message="401 Client Error. (Request ID: Root=1-xx)",
        more=f"{url} {access}",
    )
    compiler = "torch._dynamo.exc.BackendCompilerFailed: backend='inductor' raised:"
    assert failure(
        f"{START}{FRAMES}{compiler}\nRuntimeError: Failed to find C compiler.\n\nSet TORCHDYNAMO_VERBOSE=1"
    ) == (
        ExceptionRaised(
            type="torch._dynamo.exc.BackendCompilerFailed",
            message="backend='inductor' raised:",
            more="RuntimeError: Failed to find C compiler. Set TORCHDYNAMO_VERBOSE=1",
        )
    )
    cuda = "RuntimeError: CUDA error: no kernel image is available for execution on the device"
    below = "CUDA kernel errors might be asynchronously reported.\nCompile with `TORCH_USE_CUDA_DSA`."
    assert failure(f"{START}{FRAMES}{cuda}\n{below}") == ExceptionRaised(
        type="RuntimeError", message="CUDA error: no kernel image is available for execution on the device"
    )


def test_the_lines_of_a_message_are_shown_with_its_exception() -> None:
    log = examine(f"{START}{FRAMES}hub.GatedRepoError: 401 Client Error.\n\nCannot access gated repo\nNote: log in")
    assert log.shown == ("hub.GatedRepoError: 401 Client Error.", "Cannot access gated repo", "Note: log in")


def test_what_other_processes_print_amid_a_traceback_is_no_part_of_it() -> None:
    lines = (FRAMES + "zmq.error.Again: Resource temporarily unavailable").splitlines()
    for other in (
        "[11-23 16:34:31] Worker 1: Scheduler loop started.",
        "Loading required modules:  40%|████      | 2/5 [00:01<00:01,  1.67it/s]",
        "Loading:  40%|████      | 2/5 [00:01<00:01,  1.67it/s]",
        "WARNING: a library is worried",
        "INFO:root: and so on",
        "Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00, 36.85it/s]",
    ):
        log = "\n".join([*lines[:3], other, *lines[3:-1], other, lines[-1]])
        assert failure(log) == ExceptionRaised(type="zmq.error.Again", message="Resource temporarily unavailable")


def test_tracebacks_of_two_ranks_that_were_printed_at_once_are_read_apart() -> None:
    first = (FRAMES + "KeyError: 'a'").splitlines()
    other = (FRAMES + "EOFError").splitlines()
    for one, two in ((first, other), (other, first)):
        log = "\n".join(f"[rank0]: {a}\n[rank1]: {b}" for a, b in zip(one, two, strict=True))
        assert failure(log) == ExceptionRaised(type="KeyError", message="'a'")


def test_what_is_printed_long_after_an_exception_is_no_part_of_its_message() -> None:
    log = f"{START}{FRAMES}mypkg.Boom: no such layer\n" + "words of somebody\n" * 30 + "Ignoring this choice."
    assert failure(log) == ExceptionRaised(type="mypkg.Boom", message="no such layer")


# ------------------------------------------------------------------------------------------------ what was gone on from

TORCH = "[rank0]:E1123 16:34:50.558000 4711 torch/_inductor/select_algorithm.py:2200] [0/0] "
TRITON = (
    "OutOfMemoryError: out of resource: triton_mm Required: 294912 Hardware limit:232448 Reducing num_stages may.. "
)


@pytest.mark.parametrize(
    "lines",
    [
        [
            f"{TORCH}Runtime error during autotuning: ",
            f"{TORCH}No valid triton configs. {TRITON}",
            f"{TORCH}Ignoring this choice.",
        ],
        ["Runtime error during autotuning: ", f"No valid triton configs. {TRITON}", "Ignoring this choice."],
        [
            "Runtime error during autotuning:",
            "CUDA out of memory. Tried to allocate 2.00 GiB.",
            "Ignoring this choice.",
        ],
        [f"{TORCH}Exception CUDA out of memory. Tried to allocate 2.00 GiB. for benchmark choice Caller(x)"],
        [f"{TORCH}Exception out of resource: shared memory, Required: 147456. for benchmark choice x"],
        [f"{TORCH}Traceback (most recent call last):", f'{TORCH}  File "x.py", line 1, in f', f"{TORCH}{TRITON}"],
        [TRITON.strip()],
        [f"{TORCH}CUDA out of memory. Tried to allocate 2.00 GiB."],
        ["frame #3: std::bad_alloc::what() + 0x1 (0x7f in /lib/libstdc++.so.6)"],
        [*FRAMES.splitlines(), f"triton.runtime.errors.{TRITON}", "Ignoring this choice."],
        [
            "Exception ignored in: <function Pool.__del__ at 0x7f>",
            *FRAMES.splitlines(),
            "OSError: [Errno 98] Address already in use",
        ],
        ["--- Logging error ---", *FRAMES.splitlines(), "torch.OutOfMemoryError: CUDA out of memory."],
    ],
)
@pytest.mark.parametrize("prefix", ["", "2026-11-23T16:33:59.1234567Z "])
def test_what_was_caught_and_logged_is_no_failure(lines: list[str], prefix: str) -> None:
    log = examine("\n".join(prefix + line for line in [*START.splitlines(), *lines, *START.splitlines()]))
    assert (log.failures, log.failure, log.lacked) == ((), None, None)


def test_a_kernel_that_needs_too_much_of_an_sm_is_no_full_gpu() -> None:
    assert failure(START + TRITON) is None
    assert failure(START + FRAMES + "triton.OutOfMemoryError: out of resource: shared memory") == ExceptionRaised(
        type="triton.OutOfMemoryError", message="out of resource: shared memory"
    )


@pytest.mark.parametrize(
    "lines",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "[11-23 16:35:20] VAE decode ran out of memory (CUDA out of memory.), decoding in tiles",
        FRAMES + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        FRAMES + "OSError: [Errno 98] Address already in use",
        FRAMES + "mypkg.NotHere: no such thing",
    ],
)
def test_what_a_launch_got_over_is_no_failure_once_its_request_ended(lines: str) -> None:
    log = examine(f"{START}{lines}{DUMPED}")
    assert (log.failures, log.failure) == ((), None)
    assert failure(f"{START}{lines}{DUMPED}\nSegmentation fault") == Crashed(what="Segmentation fault")
    failed = f"{START}[11-23 16:35:20] Generation failed: bad shape{DUMPED}"
    assert failure(failed) == RequestFailed(message="bad shape")
    assert examine(f"{START}{DUMPED}\n{lines}").failures == examine(f"{START}{lines}").failures


@pytest.mark.parametrize(
    "line",
    [
        "[11-23 16:35:20] Generation failed: bad shape",
        "[11-23 16:35:20] ZMQ bind failed for port 5562, retrying with port 5604 (attempt 2/10)",
        "[11-23 16:35:20] Failed to dump metrics to /w/perf.json: no space",
        "[11-23 16:35:20] Received empty output from scheduler",
        "[11-23 16:35:20] Error executing request ab12: bad shape",
        "[11-23 16:35:20] Failed to generate output for prompt: bad shape",
        "[11-23 16:35:20] Rank 0 scheduler is dead. Please check if there are relevant logs.",
        "[11-23 16:35:20] Worker 1 cannot safely continue after a multi-rank OOM",
        "[E1123 17:35:20.2 ProcessGroupNCCL.cpp:683] [Rank 1] Watchdog caught collective operation timeout: WorkNCCL()",
    ],
)
def test_what_the_engine_says_of_a_failed_request_counts_whatever_follows(line: str) -> None:
    assert examine(f"{START}{line}{DUMPED}").failures == (line,)


# ----------------------------------------------------------------------------------------------------- what was lacking


@pytest.mark.parametrize(
    ("line", "tried"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 45.75 GiB. GPU 0 has", "45.75 GiB"),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0", "20.00 MiB"),
        ("torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB", "2.00 GiB"),
        ("torch.OutOfMemoryError: Allocation on device 0 would exceed allowed memory.", None),
        ("RuntimeError: CUDA error: out of memory", None),
        ("torch.AcceleratorError: CUDA error: out of memory", None),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", None),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED", None),
        ("torch.distributed.DistBackendError: NCCL error in: x.cpp:1, Cuda failure 2 'out of memory'", None),
    ],
)
def test_every_form_of_a_full_gpu_is_told(line: str, tried: str | None) -> None:
    expected = OutOfMemory(where="GPU", tried=tried)
    for log in (line, START + FRAMES + line, f"[11-23 16:34:31] Error executing request ab12: {line}"):
        found = examine(log)
        assert (found.failure, found.lacked) == (expected, "memory")
        assert found.failures != ()


@pytest.mark.parametrize(
    "line",
    [
        "MemoryError",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory",
        "OSError: [Errno 12] Cannot allocate memory",
        "slurmstepd: error: Detected 1 oom_kill event in StepId=1.0",
        "Memory cgroup out of memory: Killed process 123 (python)",
    ],
)
def test_a_full_host_is_told_from_a_full_gpu(line: str) -> None:
    found = examine(START + FRAMES + line)
    assert found.failure == OutOfMemory(where="host")
    assert found.lacked == "host-memory"


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("OSError: [Errno 28] No space left on device: '/w/out/perf.json'", "/w/out/perf.json"),
        ("OSError: [Errno 28] No space left on device", None),
        ("OSError: [Errno 122] Disk quota exceeded: '/home/a b/x'", "/home/a b/x"),
        (
            "safetensors_rust.SafetensorError: Error while serializing: I/O: No space left on device (os error 28)",
            None,
        ),
        (
            "DistBackendError: NCCL error: segment /dev/shm/nccl-uAmBSk, error: No space left on device (28)",
            "/dev/shm/nccl-uAmBSk",
        ),
    ],
)
def test_a_full_disk_is_a_cause_of_its_own(line: str, path: str | None) -> None:
    for log in (START + FRAMES + line, f"{START}[11-23 16:34:31] Error executing request ab12: {line}"):
        found = examine(log)
        assert (found.failure, found.lacked) == (NoRoom(path=path), "disk")


def test_a_full_disk_that_a_launch_got_over_is_none() -> None:
    assert failure(f"{START}OSError: [Errno 28] No space left on device: '/c/x.so'{DUMPED}") is None
    # A cache that could not be written did not end a launch that something else ended.
    log = f"{START}OSError: [Errno 28] No space left on device\n[11-23 16:35:00] Loading x\n{FRAMES}KeyError: 'a'"
    assert failure(log) == ExceptionRaised(type="KeyError", message="'a'")


@pytest.mark.parametrize(
    ("line", "port"),
    [
        (
            "RuntimeError: HTTP port 30000 is unavailable and --strict-ports is enabled. Either use a different port.",
            30000,
        ),
        ("RuntimeError: Scheduler[0] port 5562 is unavailable and --strict-ports is enabled.", 5562),
        ("RuntimeError: Master port 30005 is unavailable and --strict-ports is enabled.", 30005),
        ("RuntimeError: Failed to find available port after 100 attempts (started from port 30000)", 30000),
        ("zmq.error.ZMQError: Address already in use (addr='tcp://127.0.0.1:5583')", 5583),
        (
            "OSError: [Errno 98] while attempting to bind on address ('127.0.0.1', 30000): address already in use",
            30000,
        ),
        ("torch.distributed.DistNetworkError: failed to listen. port: 30005, useIpv6: false, name: EADDRINUSE", 30005),
        ("OSError: [Errno 98] Address already in use", None),
        ("RuntimeError: socket.cpp:1018 bind to [::]:29500 failed (errno: 98 - Address already in use)", 29500),
    ],
)
def test_a_port_that_is_taken_is_told(line: str, port: int | None) -> None:
    found = examine(START + FRAMES + line + "\n" + FRAMES + "EOFError")
    assert (found.failure, found.lacked) == (PortTaken(port=port), "port")


WATCHDOG = (
    "[rank1]:[E1123 17:35:20.217621 ProcessGroupNCCL.cpp:683] [Rank 1] Watchdog caught collective operation timeout: "
    "WorkNCCL(SeqNum=5653, OpType=ALLTOALL_BASE, NumelIn=5872025, NumelOut=5872025, Timeout(ms)=600000) ran for 600028 "
    "milliseconds before timing out."
)
CRASH = (
    "Exception raised from checkTimeout at /pytorch/torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:632 (most recent "
    "call first):\n"
    "frame #0: c10::Error::Error(c10::SourceLocation, std::string) + 0x80 (0x7f61 in /venv/lib/libc10.so)\n"
    "frame #1: c10d::ProcessGroupNCCL::watchdogHandler() + 0x1591 (0x7f61 in /venv/lib/libtorch_cuda.so)\n\n"
)
ABORTED = 'Fatal Python error: Aborted\n\nThread 0x00007f (most recent call first):\n  File "x.py", line 3 in f\n'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (WATCHDOG, CollectiveTimeout(by="NCCL", operation="ALLTOALL_BASE", rank=1, seconds=600)),
        (
            "[rank0]:[E1123 17:35:20.2 ProcessGroupNCCL.cpp:1] [PG ID 0 PG GUID 0 Rank 0] Heartbeat monitor timed out!",
            CollectiveTimeout(by="NCCL", rank=0),
        ),
        (
            (
                "[rank0]:[F1123 17:35:20.2 ProcessGroupNCCL.cpp:1557] [PG ID 0 PG GUID 0(default_pg) Rank 0] "
                "Terminating the process after attempting to dump debug info, due to ProcessGroupNCCL watchdog hang."
            ),
            CollectiveTimeout(by="NCCL", rank=0),
        ),
        (
            (
                "[rank2]:[E1123 17:35:20.2 ProcessGroupNCCL.cpp:1484] [PG ID 0 PG GUID 0(default_pg) Rank 2] "
                "ProcessGroupNCCL's watchdog got stuck for 480 seconds without making progress in monitoring enqueued "
                "collectives."
            ),
            CollectiveTimeout(by="NCCL", rank=2, seconds=480),
        ),
        (
            f"{FRAMES}RuntimeError: [/gloo/x.cc:81] Timed out waiting 1800000ms for recv operation to complete",
            CollectiveTimeout(by="gloo", operation="recv", seconds=1800),
        ),
        (
            f"{FRAMES}RuntimeError: Rank 1 failed to pass monitoredBarrier in 600000 ms",
            CollectiveTimeout(by="gloo", operation="monitoredBarrier", seconds=600),
        ),
        (
            f"{FRAMES}torch.distributed.DistStoreError: Timed out after 601 seconds waiting for clients. 1/2 joined.",
            CollectiveTimeout(by="store", seconds=601),
        ),
        (
            f"{FRAMES}torch.distributed.DistStoreError: wait timeout after 600000ms, keys: /default_pg/0//cuda//0",
            CollectiveTimeout(by="store", seconds=600),
        ),
        (
            f"{FRAMES}torch.distributed.DistNetworkError: The client socket has timed out after 1800000ms (127.0.0.1)",
            CollectiveTimeout(by="store", seconds=1800),
        ),
        (f"{FRAMES}RuntimeError: Socket Timeout", CollectiveTimeout(by="store")),
    ],
)
def test_a_collective_that_timed_out_is_told_with_all_that_is_known(line: str, expected: CollectiveTimeout) -> None:
    found = examine(f"{EARLY}{START}{line}\n{CRASH}{ABORTED}")
    assert (found.failure, found.lacked) == (expected, "collective")
    assert len(found.failures) == 1
    assert not any("frame #" in line or "Fatal" in line for line in (*found.failures, *found.shown))


def test_what_ended_one_rank_is_the_cause_of_the_timeouts_of_the_others() -> None:
    died = START + FRAMES + "mypkg.Boom: no such layer\n" + WATCHDOG
    assert failure(died) == ExceptionRaised(type="mypkg.Boom", message="no such layer")
    full = FRAMES + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n" + START + WATCHDOG
    assert failure(full) == OutOfMemory(tried="2.00 GiB")


def test_of_several_ranks_that_gave_up_the_first_that_tells_most_is_the_cause() -> None:
    second = WATCHDOG.replace("ank 1", "ank 0").replace("rank1", "rank0").replace("ALLTOALL_BASE", "BROADCAST")
    bare = "[rank2]:[E1123 17:35:20.1 ProcessGroupNCCL.cpp:1] [PG ID 0 Rank 2] Heartbeat monitor timed out!"
    expected = CollectiveTimeout(by="NCCL", operation="ALLTOALL_BASE", rank=1, seconds=600)
    assert failure(f"{START}{bare}\n{WATCHDOG}\n{second}") == expected


def test_memory_that_was_got_over_did_not_kill_a_worker() -> None:
    full = FRAMES + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
    dead = "[11-23 17:19:17] Rank 0 scheduler is dead.\n[11-23 17:19:17] Exit code: "
    assert failure(f"{full}{START}{dead}-9") == WorkerDied(rank=0, exit_code=-9)
    assert failure(f"{full}{START}{dead}1") == OutOfMemory(tried="2.00 GiB")


def test_an_error_that_another_rank_caused_gives_way_to_that_ranks_own() -> None:
    lost = FRAMES + "torch.distributed.DistBackendError: NCCL communicator was aborted on rank 1.\n"
    own = FRAMES + "mypkg.Boom: no such layer\n"
    assert failure(START + own + lost) == ExceptionRaised(type="mypkg.Boom", message="no such layer")
    assert failure(START + lost) == ExceptionRaised(
        type="torch.distributed.DistBackendError", message="NCCL communicator was aborted on rank 1."
    )


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (
            "Cuda failure 2 'out of memory'",
            OutOfMemory(),
        ),
        (
            "Cuda failure 700 'an illegal memory access was encountered'",
            ExceptionRaised(
                type="torch.distributed.DistBackendError",
                message="NCCL error in: x.cpp:77, unhandled cuda error, NCCL version 2.21.5",
                more="ncclUnhandledCudaError: Call to CUDA function failed. "
                "Cuda failure 700 'an illegal memory access was encountered'",
            ),
        ),
    ],
)
def test_an_error_of_nccl_is_told_with_what_nccl_met(last: str, expected: Failure) -> None:
    error = "torch.distributed.DistBackendError: NCCL error in: x.cpp:77, unhandled cuda error, NCCL version 2.21.5"
    met = f"ncclUnhandledCudaError: Call to CUDA function failed.\nLast error:\n{last}"
    assert failure(f"{START}{FRAMES}{error}\n{met}\n") == expected


@pytest.mark.parametrize(
    ("kind", "message"),
    [("EOFError", "Ran out of input"), ("ConnectionResetError", "[Errno 104] Connection reset by peer")],
)
def test_what_mostly_follows_from_something_is_the_cause_where_nothing_else_is(kind: str, message: str) -> None:
    assert failure(f"{START}{FRAMES}{kind}: {message}\n") == ExceptionRaised(type=kind, message=message)
    # A launch that was told to end says nothing of why.
    assert failure(f"{START}{FRAMES}KeyboardInterrupt\n") is None
    assert failure(f"{START}{FRAMES}SystemExit: 1\n") is None


# -------------------------------------------------------------------------------------------- parsers, crashes, workers

USAGE = "usage: sglang generate [-h] [--model-path MODEL_PATH]\n"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            f"{USAGE}sglang generate: error: argument --width: invalid int value: 'x'",
            "argument --width: invalid int value: 'x'",
        ),
        (f"{USAGE}sglang: error: my own words", "my own words"),
        ("error: unrecognized arguments: --with", "unrecognized arguments: --with"),
        (
            "sglang: error: the following arguments are required: --model-path",
            "the following arguments are required: --model-path",
        ),
    ],
)
def test_the_words_of_a_parser_are_the_cause(log: str, expected: str) -> None:
    assert failure(START + log) == CommandRefused(message=expected)


@pytest.mark.parametrize(
    "line",
    [
        "x.cu(12): error: identifier is undefined",
        "nvcc: error: cannot find ptxas",
        "fatal error: no such file",
        "[11-23 16:34:31] error: nothing",
        "git: error: pathspec 'x' did not match",
    ],
)
def test_an_error_of_another_program_is_no_refused_command(line: str) -> None:
    assert not isinstance(failure(START + line), CommandRefused)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("Fatal Python error: Segmentation fault\n", Crashed(what="Fatal Python error: Segmentation fault")),
        ("Fatal Python error: Aborted\n", Crashed(what="Fatal Python error: Aborted")),
        ("Segmentation fault (core dumped)", Crashed(what="Segmentation fault (core dumped)")),
        ("!!!!!!! Segfault encountered !!!!!!!", Crashed(what="!!!!!!! Segfault encountered !!!!!!!")),
        (
            f"terminate called after throwing an instance of 'c10::Error'\n  what():  no kernel\n{CRASH}{ABORTED}",
            Crashed(what="c10::Error: no kernel"),
        ),
        (
            f"terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA out of memory.\n{ABORTED}",
            OutOfMemory(),
        ),
        (
            "[11-23 17:19:17] Rank 1 scheduler is dead.\n[11-23 17:19:17] Exit code: -9",
            WorkerDied(rank=1, exit_code=-9),
        ),
        ("[11-23 17:19:17] Rank 0 scheduler is dead.", WorkerDied(rank=0)),
        ("free(): invalid pointer\n", Crashed(what="free(): invalid pointer")),
        ("double free or corruption (!prev)\nAborted (core dumped)", Crashed(what="double free or corruption (!prev)")),
        (
            "sglang: error while loading shared libraries: libcudart.so.12: cannot open shared object file",
            Crashed(
                what="sglang: error while loading shared libraries: libcudart.so.12: cannot open shared object file"
            ),
        ),
    ],
)
def test_an_end_without_an_exception_is_told(log: str, expected: Failure) -> None:
    assert failure(EARLY + START + log) == expected


@pytest.mark.parametrize(("code", "cause"), [(-9, "killed"), (137, "killed"), (-11, None), (1, None)])
def test_a_worker_that_was_killed_is_told_by_its_signal(code: int, cause: str | None) -> None:
    log = examine(
        f"{START}[11-23 17:19:17] Rank 0 scheduler is dead.\n[11-23 17:19:17] Exit code: {code}\n{FRAMES}EOFError"
    )
    assert (log.failure, log.lacked) == (WorkerDied(rank=0, exit_code=code), cause)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("exited during initialization (exit code -9). Check the worker logs.", WorkerDied(rank=1, exit_code=-9)),
        ("closed its startup pipe before ready. Check the worker logs.", WorkerDied(rank=1)),
        ("failed to initialize: {'status': 'error'}", WorkerDied(rank=1)),
    ],
)
def test_what_the_parent_raises_for_a_dead_worker_is_not_the_cause(words: str, expected: WorkerDied) -> None:
    parent = f"{FRAMES}RuntimeError: sglang-diffusionWorker-1 {words}"
    assert failure(EARLY + START + parent) == expected
    oom = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    full = f"Process sglang-diffusionWorker-1:\n{FRAMES}{oom}"
    assert failure(f"{START}{full}\n{parent}") == OutOfMemory(tried="2.00 GiB")


def test_a_worker_that_ended_by_itself_raised_something() -> None:
    dead = "[11-23 17:19:17] Rank 1 scheduler is dead.\n[11-23 17:19:17] Exit code: "
    assert failure(f"{FRAMES}mypkg.Boom: no such layer\n{START}{dead}1") == ExceptionRaised(
        type="mypkg.Boom", message="no such layer"
    )
    assert failure(f"{FRAMES}mypkg.Boom: no such layer\n{START}{dead}-9") == WorkerDied(rank=1, exit_code=-9)
    uncaught = f"Process sglang-diffusionWorker-1:\n{FRAMES}mypkg.Boom: no such layer\n{START}{dead}-9"
    assert failure(uncaught) == ExceptionRaised(type="mypkg.Boom", message="no such layer")


def test_a_failed_request_is_told_by_what_the_worker_raised() -> None:
    words = "Error executing request ab12: bad shape"
    log = (
        f"{START}[11-23 16:34:31] {words}\n{FRAMES}mypkg.Shape: bad shape\n"
        f"[11-23 16:34:31] Generation failed: {words}\n{FRAMES}Exception: {words}"
    )
    assert failure(log) == ExceptionRaised(type="mypkg.Shape", message="bad shape")
    assert failure(f"{EARLY}{START}[11-23 16:34:31] Generation failed: {words}") == RequestFailed(message=words)


def test_a_model_that_cannot_be_resolved_is_told() -> None:
    line = "Exception: Generate subcommand is not yet supported for model: m/x"
    assert failure(START + FRAMES + line) == UnknownModel(model="m/x")


@pytest.mark.parametrize(
    ("message", "caught"),
    [
        ("RuntimeError: no kernel. Ignoring this choice.", True),
        ("RuntimeError: no kernel for benchmark choice 3", True),
        ("RuntimeError: no kernel", False),
    ],
)
def test_a_candidate_that_autotuning_gave_up_was_caught(message: str, caught: bool) -> None:
    traceback = ("Traceback (most recent call last):", '  File "x.py", line 1, in f', message)
    (raised,), _ = exceptions([Line(text) for text in traceback])
    assert raised.caught is caught
