"""Finds failures in an engine log, and what the cause was.

`sglang generate` exits with 0 when a request fails (every version from 0.5.8 to 0.5.23), so what the engine itself says
of a failed request counts whatever the exit code was. An exception by itself does not: libraries and the engine catch
many and go on (an autotuner discards kernels, a decoder that ran out of memory decodes in tiles).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

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
from pytest_sgdiff.engines.log_prefix import STAMP, Line
from pytest_sgdiff.engines.tracebacks import Raised, exceptions, of_line

__all__ = ["FRAME", "Failure", "Found", "find", "says"]

# What the engine says of a launch that gave no good result.
_FAILED = re.compile(
    r"Generation failed|Failed to generate output|Received empty output|Error executing \S+"
    r"|scheduler is dead|cannot safely continue after|Failed to dump metrics"
    # Up to 0.5.22 the scheduler then moves to another port, and the request may reach another launch's scheduler.
    r"|ZMQ bind failed for port"
    r"|Watchdog caught collective operation timeout",
    re.IGNORECASE,
)
_LOGGED = re.compile(
    r"(?:Generation failed(?: for prompt (?:\d+/\d+|'[^']{0,80}'))?|Failed to generate output for prompt(?: \d+)?"
    r"|Error executing [^:]{1,120}): (.+)",
    re.IGNORECASE,
)
_EMPTY = re.compile(r"Received empty output from scheduler.*", re.IGNORECASE)
_DEAD = re.compile(r"Rank (\d+) scheduler is dead", re.IGNORECASE)
# What the parent raises for it from 0.5.23 on.
_DEAD_EARLY = re.compile(
    r"sglang-diffusionWorker-(?P<rank>\d+) (?:exited during initialization \(exit code (?P<code>-?\d+)\)"
    r"|closed its startup pipe|failed to initialize)"
)
_EXIT_CODE = re.compile(r"\bExit code: (-?\d+)", re.IGNORECASE)

_PORT_TAKEN = re.compile(
    r"EADDRINUSE|Address already in use|ZMQ bind failed for port"
    # --strict-ports (0.5.10 on), and without it where no other port is free.
    r"|port \d+ is unavailable and --strict-ports is enabled|Failed to find available port after",
    re.IGNORECASE,
)
_PORT = re.compile(
    r"\bport:? (\d{2,5})\b|tcp://[^\s:]+:(\d{2,5})|', (\d{2,5})\)|(?<!\.cpp)(?<!\.py)(?<!\.cc)(?<!\.h):(\d{4,5})\b",
    re.IGNORECASE,
)
_GPU_MEMORY = re.compile(
    r"(?:CUDA|HIP|XPU|NPU|MUSA|GPU|MPS backend) out of memory|(?:CUDA|HIP) error: out of memory"
    r"|CU(?:BLAS|DNN|SPARSE|FFT|SOLVER)_STATUS_ALLOC_FAILED|Cuda failure \d+ 'out of memory'"
    r"|cudaErrorMemoryAllocation|hipErrorOutOfMemory|Multi-rank forward ran out of memory",
    re.IGNORECASE,
)
_HOST_MEMORY = re.compile(
    r"DefaultCPUAllocator: (?:can't|not enough)|Cannot allocate memory|std::bad_alloc"
    r"|\bOut of memory: Killed process|Memory cgroup out of memory|\boom[-_]kill(?:er)?\b"
)
# As Python, the C library, Rust and the shell say it.
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|\bENOSPC\b|\bEDQUOT\b", re.IGNORECASE)
_FULL_PATH = re.compile(r"'(/[^']{1,400})'|(?<![\w.])(/dev/shm/[\w.+-]{1,200})")
_TRIED = re.compile(r"(?:Tried|tried) to allocate ([\d.]+ (?:[KMGT]i?B|bytes))")

# A candidate kernel that does not fit is logged and left alone (torch/_inductor/select_algorithm.py).
_DISCARDS = re.compile(
    r"for benchmark choice|No valid triton configs|Runtime error during autotuning|Ignoring this choice", re.IGNORECASE
)
_DISCARDED = re.compile(r"Ignoring this choice", re.IGNORECASE)
_DISCARD_LINES = 60
# What torch's loggers of Python print: `E1123 16:34:50.558000 4711 torch/_inductor/…py:2200] [0/0] `.
_TORCH_LOG = re.compile(r"[EWIC]\d{4} \d\d:\d\d:\d\d\.\d{1,9} \d+ [\w./-]{1,200}\.py:\d+\]")

_WATCHDOG = re.compile(
    r"(?:\bRank (?P<rank>\d+)\]\s+)?Watchdog caught collective operation timeout: "
    r"WorkNCCL\([^)]*?OpType=(?P<operation>\w+)[^)]*?Timeout\(ms\)=(?P<ms>\d+)"
)
_WATCHDOG_BARE = re.compile(
    r"(?:\bRank (?P<rank>\d+)\]\s+)?(?:Watchdog caught collective operation timeout|Heartbeat monitor timed out"
    r"|Terminating the process after attempting to dump debug info, due to ProcessGroupNCCL watchdog hang"
    r"|ProcessGroupNCCL's watchdog got stuck for (?P<s>\d+) seconds)"
)
_GLOO = re.compile(r"Timed out waiting (?P<ms>\d+)ms for (?P<operation>\w+) operation to complete")
_BARRIER = re.compile(r"(?:\[Rank (?P<rank>\d+)\]: )?.{0,80}failed to pass monitoredBarrier in (?P<ms>\d+) ?ms")
_STORE = re.compile(
    r"(?P<clients>Timed out after (?P<s>\d+) seconds waiting for clients)|wait timeout after (?P<ms>\d+) ?ms, keys"
    r"|client socket has timed out after (?P<s2>\d+)(?P<unit>ms|s)\b"
)
_SOCKET_TIMEOUT = re.compile(r"^(?:Socket Timeout|Wait timeout)\b")

_USAGE = re.compile(r"usage: \S")
_REFUSED = re.compile(r"(?P<prog>[\w.][\w./ -]{0,120}: )?error: (?P<what>.+)$")
_ARGPARSE = re.compile(
    r"argument |unrecognized arguments|the following arguments are required|ambiguous option|one of the arguments"
)
_USAGE_LINES = 400

_FATAL = re.compile(
    r"Fatal Python error: (?P<python>.+)|(?P<shell>Segmentation fault|Bus error|Illegal instruction"
    r"|Floating point exception|Aborted|Killed)(?: \(core dumped\))?$|!+ (?P<torch>Segfault encountered) !+"
    # What the C library and the loader say of a process that they end.
    r"|(?P<libc>(?:free|malloc|realloc|munmap_chunk)\(\): .+|double free or corruption.*|corrupted size vs\. .+"
    r"|corrupted double-linked list.*|\*{3} stack smashing detected \*{3}.*"
    r"|\S+: error while loading shared libraries: .+|\S+: symbol lookup error: .+)$"
)
_TERMINATED = re.compile(
    r"terminate called (?:after throwing an instance of '(?P<type>[^']+)'|(?P<bare>without an active exception))"
)
_WHAT = re.compile(r"\s*what\(\):\s*(?P<what>.*)$")
FRAME = re.compile(
    r"\s*(?:frame #\d+:|#\d+ 0x[0-9a-f]+ )|Exception raised from \S+ at |\s*File \"[^\"]*\", line \d+ in "
)
"""A frame of C++ or of a faulthandler's dump: never evidence of anything."""

_NO_MODEL = "Generate subcommand is not yet supported for model"

# What a process raises when another one is gone, or when it is told to end: the cause only where nothing else is.
_CONSEQUENCES = frozenset(
    (
        *("EOFError", "BrokenPipeError", "ConnectionResetError", "SystemExit", "KeyboardInterrupt"),
        *("ChildFailedError", "BrokenProcessPool", "ProcessExitedException", "ProcessRaisedException"),
    )
)
_CONSEQUENCE = re.compile(r"Initialization failed\. Please see the error messages above|Received empty output")
_OTHER_RANK = re.compile(
    r"NCCL (?:error|communicator)|Connection closed by peer|Connection reset by peer|Broken pipe|recvBytes|sendBytes"
    r"|remote (?:process|peer)|Some NCCL operations have failed"
)
_TOLD_TO_END = frozenset(("SystemExit", "KeyboardInterrupt"))
_MATTERS_BELOW = re.compile(r":$|\b(?:Client|Server) Error\b|\(Request ID|\bNCCL error in: ")
_LABEL = "Last error:"
_LINES_BELOW = 2

# Records of a launch that goes on.
_PROGRESS = re.compile(
    r"Using pipeline from|✓ Using explicitly|Loading |Loaded |\[\w+\] (?:started|finished)|Running pipeline stages"
    r"|Sampling params:|The server is fired up|Output saved to|Metrics dumped to|Starting server|server_args: "
    r"|Diffusers version|Creating pipeline|Pipeline instantiated|Worker \d+: |Scheduler bind|Initializing distributed"
)
_ENDED_WELL = "Metrics dumped to:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """`evidence` are the lines of a launch that failed whatever its exit code says; `failure` is why it failed, or why
    it ended early, and `shown` the lines that show that."""

    evidence: tuple[str, ...] = ()
    failure: Failure | None = None
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Event:
    """Something that went wrong at a line. `kind` orders what follows from what: an `end` ended its process, a
    `report` repeats the words of somebody else, a `consequence` only follows. `more` are lines below that belong to
    it."""

    at: int
    failure: Failure
    kind: Literal["end", "uncaught", "report", "other-rank", "consequence"]
    more: tuple[str, ...] = ()


def says(text: str) -> bool:
    """Whether words, if they stood in a log, would be taken for those of a failure."""
    return bool(
        _FAILED.search(text)
        or _PORT_TAKEN.search(text)
        or _GPU_MEMORY.search(text)
        or _HOST_MEMORY.search(text)
        or _NO_ROOM.search(text)
        or _WATCHDOG_BARE.search(text)
        or _DEAD.search(text)
        or _EXIT_CODE.search(text)
    )


def find(lines: Sequence[Line]) -> Found:
    """What went wrong, from the lines that the engine itself says."""
    discarded = _discarded(lines)
    raised, parts = exceptions(
        [
            Line("", line.source) if at in discarded and not _DISCARDED.match(line.text) else line
            for at, line in enumerate(lines)
        ]
    )
    caught = _parts_of(raised)
    progress, ended, usage = -1, -1, -1 - _USAGE_LINES
    events: list[_Event] = []
    evidence: list[tuple[int, str]] = []
    said = [STAMP.sub("", line.text, count=1).strip() for line in lines]
    events += [_of_exception(one) for one in raised if not one.caught]
    for at, text in enumerate(said):
        if at in discarded or at in caught or FRAME.match(text):
            continue
        if STAMP.match(lines[at].text) and _PROGRESS.match(text):
            progress = at
        if _ENDED_WELL in text:
            ended = at
        if _USAGE.match(text):
            usage = at
        if _FAILED.search(text):
            evidence.append((at, lines[at].text.strip()))
        if at not in parts:
            events.extend(_of_line(at, said, usage=at - usage <= _USAGE_LINES))
    # The weaker signs of a failed launch: what went wrong and was not got over.
    evidence += [
        (event.at, lines[event.at].text.strip())
        for event in events
        if event.at > ended and isinstance(event.failure, OutOfMemory | PortTaken | CollectiveTimeout)
    ]
    # What came before a request that ended well was got over, unless the engine itself says that one failed.
    events = [event for event in events if event.at > ended or _FAILED.search(said[event.at])]
    events.sort(key=lambda event: event.at)
    cause = _cause(events, progress)
    return Found(
        evidence=tuple(dict.fromkeys(line for _, line in sorted(evidence))),
        failure=None if cause is None else cause.failure,
        shown=() if cause is None else (lines[cause.at].text.strip(), *cause.more),
    )


def _discarded(lines: Sequence[Line]) -> frozenset[int]:
    """Positions of what an autotuner or one of torch's loggers logged: caught, and gone on from."""
    found: set[int] = set()
    until: dict[str, int] = {}
    for at, line in enumerate(lines):
        if _TORCH_LOG.match(line.text) or (_DISCARDS.search(line.text) and not STAMP.match(line.text)):
            found.add(at)
        if _DISCARDED.search(line.text):
            since = until.pop(line.source, at)
            between = range(max(since, at - _DISCARD_LINES), at)
            found.update(n for n in between if lines[n].source == line.source and not STAMP.match(lines[n].text))
        elif _DISCARDS.search(line.text):
            until.setdefault(line.source, at)
    return frozenset(found)


def _parts_of(raised: Sequence[Raised]) -> frozenset[int]:
    """Positions of exceptions that were caught for good."""
    return frozenset(one.at for one in raised if one.caught)


def _of_exception(one: Raised) -> _Event:
    lines: tuple[str, ...] = ()
    if _MATTERS_BELOW.search(one.line):
        lines = tuple(part for part in one.more if part and part != _LABEL)[:_LINES_BELOW]
    failure = _classified(one.type, one.message, " ".join(lines))
    name = one.type.rpartition(".")[2]
    kind: Literal["end", "uncaught", "report", "other-rank", "consequence"]
    if isinstance(failure, WorkerDied) or name in _CONSEQUENCES or _CONSEQUENCE.search(one.message):
        kind = "consequence"
    elif name == "Exception" and _LOGGED.match(one.message):
        kind = "report"
    elif isinstance(failure, ExceptionRaised) and _OTHER_RANK.search(one.message):
        kind = "other-rank"
    else:
        kind = "uncaught" if one.uncaught else "end"
    return _Event(at=one.at, failure=failure, kind=kind, more=lines)


def _classified(kind: str, message: str, below: str = "") -> Failure:
    """What an exception means."""
    name = kind.rpartition(".")[2]
    if (found := _lack(f"{kind}: {message} {below}")) is not None:
        return found
    if name == "OutOfMemoryError" and "out of resource" not in message:
        return OutOfMemory(tried=_tried(message))
    if name == "MemoryError":
        return OutOfMemory(where="host", tried=_tried(message))
    if _SOCKET_TIMEOUT.match(message) and name in {"RuntimeError", "DistStoreError", "TimeoutError"}:
        return CollectiveTimeout(by="store")
    if died := _DEAD_EARLY.match(message):
        return WorkerDied(rank=int(died["rank"]), exit_code=_int(died["code"]))
    if _NO_MODEL in message:
        return UnknownModel(model=message.rpartition(": ")[2])
    if logged := _LOGGED.match(message):
        inner = of_line(logged[1])
        return RequestFailed(message=logged[1].strip()) if inner is None else _classified(*inner)
    return ExceptionRaised(type=kind, message=message, more=below)


def _lack(text: str) -> Failure | None:
    """A port, memory, room on a disk or another rank that the words say was lacking."""
    if (timeout := _timeout(text)) is not None:
        return timeout
    if _PORT_TAKEN.search(text):
        match = _PORT.search(text)
        return PortTaken(port=int(next(part for part in match.groups() if part)) if match else None)
    if _NO_ROOM.search(text):
        named = _FULL_PATH.search(text)
        return NoRoom(path=named and (named[1] or named[2]))
    if _GPU_MEMORY.search(text):
        return OutOfMemory(tried=_tried(text))
    return OutOfMemory(where="host", tried=_tried(text)) if _HOST_MEMORY.search(text) else None


def _timeout(text: str) -> CollectiveTimeout | None:
    if match := _WATCHDOG.search(text) or _WATCHDOG_BARE.search(text):
        known = match.groupdict()
        return CollectiveTimeout(
            by="NCCL",
            operation=known.get("operation"),
            rank=_int(known.get("rank")),
            seconds=_seconds(known.get("ms"), 1000) or _seconds(known.get("s"), 1),
        )
    if match := _GLOO.search(text):
        return CollectiveTimeout(by="gloo", operation=match["operation"], seconds=_seconds(match["ms"], 1000))
    if match := _BARRIER.search(text):
        seconds = _seconds(match["ms"], 1000)
        return CollectiveTimeout(by="gloo", operation="monitoredBarrier", rank=_int(match["rank"]), seconds=seconds)
    if match := _STORE.search(text):
        whole = match["s"] or (match["s2"] if match["unit"] == "s" else None)
        part = match["ms"] or (match["s2"] if match["unit"] == "ms" else None)
        return CollectiveTimeout(by="store", seconds=_seconds(whole, 1) if whole else _seconds(part, 1000))
    return None


def _of_line(at: int, said: Sequence[str], *, usage: bool) -> Iterator[_Event]:
    """What a line outside of tracebacks says went wrong. `usage` says that a command's usage was printed before it."""
    text = said[at]
    if (match := _LOGGED.search(text)) or (match := _EMPTY.search(text)):
        message = match[1] if match.re is _LOGGED else match[0]
        inner = of_line(message)
        failure = _lack(message) or (RequestFailed(message=message.strip()) if inner is None else _classified(*inner))
        kind: Literal["report", "consequence"] = "report" if match.re is _LOGGED else "consequence"
        yield _Event(at=at, failure=failure, kind=kind)
    elif (found := of_line(text)) is not None:
        # Out of a traceback an exception that needs more of an SM than there is was a candidate kernel's.
        if "out of resource" not in found[1]:
            yield _of_exception(Raised(type=found[0], message=found[1], at=at, line=text))
    elif (lack := _lack(text)) is not None:
        yield _Event(at=at, failure=lack, kind="report")
    elif match := _REFUSED.match(text):
        if _ARGPARSE.match(match["what"]) or (match["prog"] and usage):
            yield _Event(at=at, failure=CommandRefused(message=match["what"]), kind="uncaught")
    elif match := _TERMINATED.match(text):
        what = next((m["what"] for line in said[at + 1 : at + 3] if (m := _WHAT.match(line))), "")
        words = f"{match['type']}: {what}" if match["type"] and what else match["type"] or text
        yield _Event(at=at, failure=_lack(what) or Crashed(what=words), kind="end", more=_next_with(said, at, what))
    elif match := _FATAL.match(text):
        what = match["python"] or match["shell"] or match["torch"] or match["libc"]
        abort = what in {"Aborted", "Killed"}
        crashed = Crashed(what=text, killed=what == "Killed")
        yield _Event(at=at, failure=crashed, kind="consequence" if abort else "end")
    elif match := _DEAD.search(text):
        code = next((m[1] for line in said[at + 1 : at + 20] if (m := _EXIT_CODE.search(line))), None)
        died = WorkerDied(rank=int(match[1]), exit_code=_int(code))
        yield _Event(at=at, failure=died, kind="consequence")


def _next_with(said: Sequence[str], at: int, what: str) -> tuple[str, ...]:
    """The line that holds what the one at `at` is about."""
    return tuple(line for line in said[at + 1 : at + 3] if what and what in line)


def _cause(events: Sequence[_Event], progress: int) -> _Event | None:
    """The event that the others follow from.

    What ended a process, or was not gone on from, comes first, the last of it; then a lack of something, which may
    stand long before what follows from it; then what another rank waited for in vain.
    """
    ends = [event for event in events if event.kind == "uncaught" or (event.kind == "end" and event.at > progress)]
    alone = [event for event in ends if not isinstance(event.failure, CollectiveTimeout)]
    if alone:
        return alone[-1]
    died = [event for event in events if isinstance(event.failure, WorkerDied)]
    killed = any(isinstance(event.failure, WorkerDied) and event.failure.signal for event in died)
    lacks = [e for e in events if isinstance(e.failure, OutOfMemory | NoRoom | PortTaken) and e.kind != "consequence"]
    if lacks and not killed:
        return lacks[-1]
    timeouts = [event for event in events if isinstance(event.failure, CollectiveTimeout)]
    if timeouts:
        # The first to give up ended the others.
        return max(timeouts, key=lambda e: (_known(e.failure), -e.at))
    reports = [event for event in events if event.kind == "report"]
    if reports:
        return reports[-1]
    survived = [event for event in events if event.kind == "end"]
    if survived and not killed and any(isinstance(e.failure, WorkerDied) and e.failure.exit_code for e in died):
        return survived[-1]
    others = [event for event in events if event.kind == "other-rank"]
    crashes = [event for event in events if isinstance(event.failure, Crashed)]
    empty = [event for event in events if isinstance(event.failure, RequestFailed)]
    follows = [event for event in events if event.at > progress and _may_be_alone(event.failure)][-1:]
    return next((some[0] for some in (died, others, crashes, empty, follows) if some), None)


def _may_be_alone(failure: Failure) -> bool:
    """Whether an exception that mostly follows from something else may be all there is: a file that was cut off ends
    in an EOFError as well, which then says so."""
    if not isinstance(failure, ExceptionRaised) or not failure.message:
        return False
    return failure.type.rpartition(".")[2] not in _TOLD_TO_END


def _known(failure: Failure) -> int:
    """How much a timeout says of itself."""
    if not isinstance(failure, CollectiveTimeout):
        return 0
    return sum(part is not None for part in (failure.operation, failure.rank, failure.seconds))


def _tried(text: str) -> str | None:
    match = _TRIED.search(text)
    return match[1] if match else None


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)


def _seconds(text: str | None, per_second: int) -> float | None:
    return None if text is None else int(text) / per_second
