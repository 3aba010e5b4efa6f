"""The numbers of a server's life: of each request, their medians, and the times around them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from pytest_sgdiff.data import Launch, PerfDump, Request, RequestReading
from pytest_sgdiff.engines.load import load_ms
from pytest_sgdiff.engines.log import LogEvidence, Warmup
from pytest_sgdiff.metrics import metrics_of


def of_request(request: Request, dump: PerfDump | None) -> RequestReading:
    """A request's own metrics: what the server timed, and what its client saw."""
    outside: dict[str, float] = {}
    if request.client_ms is not None and answered(request):
        outside["client_e2e"] = request.client_ms
        server_ms = dump.total_ms if dump is not None else request.server_ms
        if server_ms is not None:
            outside["queue"] = request.client_ms - server_ms
    values = {} if dump is None else metrics_of(dump, outside, served=True)
    return RequestReading(
        number=request.number,
        warmup=request.warmup,
        dump=dump,
        metrics=values or outside,
        load=request.load,
        failure=request.failure,
        status=request.status,
    )


def answered(request: Request) -> bool:
    """Whether its content came, in a time that can be: of a recording it may be any number."""
    return request.failure is None and request.client_ms is not None and request.client_ms > 0


def medians(measured: Sequence[RequestReading]) -> dict[str, float]:
    """Per metric the median of the requests; a metric that one of them lacks is absent."""
    names = dict.fromkeys(name for one in measured for name in one.metrics)
    return _finite(
        {
            name: statistics.median(one.metrics[name] for one in measured)
            for name in names
            if all(name in one.metrics for one in measured)
        }
    )


def _finite(found: dict[str, float]) -> dict[str, float]:
    """Without what is more than a float holds, which no launch takes."""
    return {name: value for name, value in found.items() if math.isfinite(value)}


def steps_of(dumps: Sequence[PerfDump]) -> tuple[float, ...]:
    """Step by step the median of what was measured; nothing where requests have not equally many."""
    if len({len(dump.steps_ms) for dump in dumps}) != 1:
        return ()
    return tuple(map(statistics.median, zip(*(dump.steps_ms for dump in dumps), strict=True)))


def of_life(launch: Launch, log: LogEvidence) -> dict[str, float]:
    """Times of the server's life before its measured requests: loading, and what it took to be warm after that."""
    served, loaded = launch.served, load_ms(launch, log)
    if served is None:
        return {}
    times = {"load": loaded, "warmup": None}
    if loaded is not None and served.measured_s is not None and _warmed_up(launch.requests):
        times["warmup"] = 1000 * served.measured_s - loaded
    return {name: value for name, value in times.items() if value is not None and value > 0}


def of_loads(launch: Launch) -> dict[str, float]:
    """Of each load how many requests a second were done, and percentiles of what a client waited for them."""
    found: dict[str, float] = {}
    for load in dict.fromkeys(one.load for one in launch.requests if one.load):
        done = [one for one in launch.requests if one.load == load and answered(one)]
        began = [one.intended_s if one.intended_s is not None else one.sent_s for one in done]
        waited = sorted(one.client_ms for one in done if one.client_ms is not None)
        if len(done) < 2 or any(at is None for at in began):
            continue
        starts = [at for at in began if at is not None]
        ends = [at + ms / 1000 for at, ms in zip(starts, (one.client_ms or 0.0 for one in done), strict=True)]
        span_s = max(ends) - min(starts)
        cuts = statistics.quantiles(waited, n=100, method="inclusive")
        found |= {f"throughput:{load}": len(done) / span_s} if span_s > 0 else {}
        found |= {f"latency_p{percent}:{load}": cuts[percent - 1] for percent in (50, 95, 99)}
    return _finite(found)


def warmup_of(launch: Launch, log: LogEvidence) -> Warmup:
    if log.warmup_code == "failed":
        return "unproven"
    if any(one.warmup for one in launch.requests):
        return "proven" if _warmed_up(launch.requests) else "unproven"
    return "none"


def _warmed_up(sent: Iterable[Request]) -> bool:
    """Whether a warmup request ended well."""
    return any(one.warmup and answered(one) for one in sent)


def prompts_of(sent: Iterable[Request]) -> tuple[str, ...]:
    return tuple(
        text
        for one in sent
        for name in ("prompt", "negative_prompt")
        if isinstance(text := one.fields.get(name), str) and text
    )
