"""What really ran in the life of a server, from its recording, without a case: the content of `sgdiff inspect`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_sgdiff.data import Launch, PerfDump, Problem
from pytest_sgdiff.engines import gate as launch_gate
from pytest_sgdiff.engines.image_in_denoising import told_apart
from pytest_sgdiff.engines.inspection import Inspection, LaunchFlaw
from pytest_sgdiff.engines.log import LogEvidence, examine
from pytest_sgdiff.engines.perf_dump import read_dump
from pytest_sgdiff.engines.serving import gate
from pytest_sgdiff.engines.serving.numbers import medians, of_life, of_loads, of_request, prompts_of, warmup_of


def is_server(launch: Launch) -> bool:
    """Whether a recorded launch is the life of a server."""
    return launch.served is not None or bool(launch.requests)


def inspect_server(launch: Launch) -> Inspection:
    """As `engines.inspect.inspect_launch`, with `requests`."""
    dumps = {one.number: read_dump(one.dump) for one in launch.requests}
    log = examine(launch.log, prompts=prompts_of(launch.requests))
    parts = {number: told_apart(dump, log) for number, (dump, _) in dumps.items() if dump is not None}
    read = tuple(of_request(one, parts.get(one.number)) for one in launch.requests)
    measured = [one for one in read if not one.warmup and one.dump is not None]
    last = measured[-1].dump if measured else None
    problems = [LaunchFlaw(code="problem", problem=one) for one in _problems(launch, log, dumps)]
    return Inspection(
        backend=launch_gate.backend_of(last, log),
        pipeline=log.pipeline,
        warmup=warmup_of(launch, log),
        generation=last.generation if last else None,
        tag=last.tag if last else None,
        metrics={**medians(measured), **of_life(launch, log), **of_loads(launch)},
        requests=read,
        problems=(*problems, *_unproved(last, log, problems)),
    )


def _problems(launch: Launch, log: LogEvidence, dumps: gate.Dumps) -> Iterator[Problem]:
    early = list(gate.cut_short(launch, log, seconds=None))
    if early:
        yield from early
        return
    yield from gate.of_dumps(launch, dumps)
    yield from gate.cold(log)
    if launch.served is not None:
        yield from gate.unhealthy_after(launch.served, log)


def _unproved(dump: PerfDump | None, log: LogEvidence, problems: Sequence[LaunchFlaw]) -> Iterator[LaunchFlaw]:
    """The backend, of which only the log tells."""
    ran = launch_gate.backend_of(dump, log)
    if ran == "diffusers" and not log.requested_diffusers:
        yield LaunchFlaw(code="diffusers-ran", line=next(iter(log.fallbacks or log.pipeline_lines), ""))
    elif ran != "diffusers" and not log.pipeline and not problems:
        yield LaunchFlaw(code="native-unproved")
