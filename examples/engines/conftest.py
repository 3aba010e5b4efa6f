"""Two engines of our own: `engine: toy-generate` runs a command that writes a perf dump, `engine: toy-serve` starts a
server, asks it, and takes the medians.

An adapter (`pytest_sgdiff.engines.protocol.Engine`) has a name and two methods. `command` says what is launched,
`read` says from what the launch left what ran, its metrics, and every reason why it does not count. Neither starts
anything nor opens a file: the plugin launches, watches, ends and keeps.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from pytest_sgdiff.data import (
    Case,
    Command,
    EngineInfo,
    Launch,
    LaunchFiles,
    PerfDump,
    Ports,
    Problem,
    Reading,
    RequestPlan,
    RequestReading,
    Service,
)
from pytest_sgdiff.engines.perf_dump import read_dump
from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.metrics import metrics_of

PROOF = "toy: path=fast"
"""The line by which the program itself says that the path ran which the cases are about."""


def pytest_sgdiff_engine(case: Case) -> Engine | None:
    """Called for a case whose `engine` the plugin does not know; None leaves it to other plugins."""
    return {"toy-generate": ToyGenerate(), "toy-serve": ToyServe()}.get(case.engine)


class ToyGenerate:
    """One process that makes one picture and ends."""

    name = "toy-generate"

    def command(self, case: Case, *, info: EngineInfo, files: LaunchFiles, ports: Ports | None) -> Command:
        """The case's `args` as flags; the dump and the output go where the plugin looks for them."""
        argv = (*info.command, "generate", *flags(case), "--dump", files.perf_dump)
        return Command(
            argv=(*argv, "--output", f"{files.output_dir}/picture.txt"), env=dict(case.env), unset=(), files={}
        )

    def read(self, launch: Launch, case: Case) -> Reading:
        """The numbers of the dump, if the launch ended well and proves what ran."""
        dump, wrong = read_dump(launch.dump)
        found = tuple(problems(launch, dump, wrong))
        if not found and (launch.ending, launch.returncode) != ("exited", 0):
            found = (Problem(kind="launch-failed", message=f"the command ended with {launch.returncode}"),)
        return reading(dump, metrics_of(dump) if dump and not found else {}, found)


class ToyServe:
    """One server, which is asked once to warm up and three times to be measured."""

    name = "toy-serve"

    def command(self, case: Case, *, info: EngineInfo, files: LaunchFiles, ports: Ports | None) -> Command:
        """The server's command line, and what a client does with the server while it lives (`service`).

        The plugin waits until all paths of `ready` answer 200, sends the requests one after the other, and ends the
        server."""
        port = 30000 if ports is None else ports.http
        plans = []
        for number in range(1 + case.served_requests):
            dump = f"{files.perf_dump}.{number}"
            fields = {"name": f"picture-{number}", "perf_dump_path": dump}
            plans.append(RequestPlan(path="/generate", fields=fields, perf_dump=dump, warmup=number == 0))
        return Command(
            argv=(*info.command, "serve", *flags(case), "--port", str(port)),
            env=dict(case.env),
            unset=(),
            files={},
            service=Service(
                url=f"http://127.0.0.1:{port}",
                requests=tuple(plans),
                ready=("/health",),
                about=(),
                scratch=files.workdir,
            ),
        )

    def read(self, launch: Launch, case: Case) -> Reading:
        """The medians of the measured requests: what the program timed, and what its client waited."""
        read: list[RequestReading] = []
        found: list[Problem] = []
        # `stopped`: everything was done that the server was started for, and the plugin ended it.
        if launch.ending != "stopped" or launch.served is None or launch.served.stopped is not None:
            found.append(Problem(kind="launch-failed", message="the server did not live until all requests were done"))
        for one in launch.requests:
            dump, wrong = read_dump(one.dump)
            if one.failure is not None:
                found.append(Problem(kind="launch-failed", message=f"request {one.number} failed: {one.message}"))
            # What a failed request did not write is no news.
            found += () if found else problems(launch, dump, wrong)
            outside = {} if one.client_ms is None else {"client_e2e": one.client_ms}
            metrics = metrics_of(dump, outside, served=True) if dump else {}
            read.append(RequestReading(number=one.number, warmup=one.warmup, dump=dump, metrics=metrics))
        measured = [one for one in read if not one.warmup]
        names = set.intersection(*(set(one.metrics) for one in measured)) if measured else set()
        medians = {name: statistics.median(one.metrics[name] for one in measured) for name in sorted(names)}
        last = measured[-1].dump if measured else None
        return reading(last, {} if found else medians, tuple(found), tuple(read))


def flags(case: Case) -> list[str]:
    """`steps: 8` as `--steps 8`, `fast-path: true` as `--fast-path`."""
    words = []
    for name, value in case.args.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return words


def problems(launch: Launch, dump: PerfDump | None, wrong: str | None) -> Iterator[Problem]:
    """Why a launch does not count. A number without proof of what ran is no measurement."""
    if dump is None:
        yield Problem(kind="invalid", message=wrong or "no perf dump was written", evidence=last_lines(launch))
    elif PROOF not in launch.log.splitlines():
        yield Problem(kind="invalid", message="the fast path did not run", evidence=last_lines(launch))


def last_lines(launch: Launch) -> tuple[str, ...]:
    return tuple(launch.log.splitlines()[-3:])


def reading(
    dump: PerfDump | None,
    metrics: dict[str, float],
    found: tuple[Problem, ...],
    requests: tuple[RequestReading, ...] = (),
) -> Reading:
    """A toy has neither a backend nor a pipeline class of SGLang's."""
    warm = "proven" if any(one.warmup and one.dump for one in requests) else "none"
    return Reading(
        dump=dump, backend=None, pipeline=None, warmup=warm, metrics=metrics, requests=requests, problems=found
    )
