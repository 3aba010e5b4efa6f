"""The requests of a server in the HTML report: of each life a table of those that went one after the other, and a
picture of each load.

A recording may hold any number of them. So a table has its failed requests and the first others, and a picture has no
more dots than can be told apart; the JSON report has every request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_sgdiff.data import CaseResult, LaunchRecord, RequestRecord, Verdict
from pytest_sgdiff.reports import case_text, metric_text, numbers
from pytest_sgdiff.reports.figures import fixed
from pytest_sgdiff.reports.html.charts import LEFT, RIGHT, TOP, WIDTH
from pytest_sgdiff.reports.html.svg import Mark, Path, Plot, Scale, Text, domain, value_axis
from pytest_sgdiff.reports.server_text import how_it_failed

ROWS = 24
"""Rows of a table, at most."""
LOADS = 8
"""Loads of a launch that are shown, at most."""
DOTS = 300
"""Dots of a picture, at most."""
CROSSES = 20
"""Failed requests that a picture marks, at most."""

_SAID_CHARS = 160
_NAME_CHARS = 40
_BOTTOM = 132
_GRIDS = (1, 2, 3, 5, 8, 13, 21, 34)


def lives(result: CaseResult, primary: Verdict | None) -> list[dict[str, Any]]:
    """What the page shows of the requests of each launch that was a server's life; of an A/B run those of the base
    engine come first. (A baseline keeps no requests.)"""
    base = result.baseline_records if result.paired else ()
    found = [requests_of(launch, primary, of=f"{case_text.base_word(result)} launch") for launch in base]
    found += [requests_of(launch, primary) for launch in result.launches]
    return [one for one in found if one is not None]


def requests_of(launch: LaunchRecord, primary: Verdict | None, *, of: str = "launch") -> dict[str, Any] | None:
    """What the page shows of a launch's requests; None where it is no server's life."""
    if not launch.requests:
        return None
    plain = [one for one in launch.requests if not one.load]
    loads: dict[str, list[RequestRecord]] = {}
    for one in launch.requests:
        if one.load:
            loads.setdefault(one.load, []).append(one)
    measured = primary is not None and any(primary.metric in one.metrics for one in plain)
    shown = plain if len(plain) <= ROWS else _most_telling(plain)
    return {
        "title": f"Requests of {of} {launch.number}: {_counts(plain, loads)}",
        "measure": metric_text.metric_name(primary.metric) if primary is not None and measured else "",
        "rows": [_row(one, primary) for one in shown],
        "left_out": numbers.plural(len(plain) - len(shown), "more request") if len(plain) > len(shown) else "",
        "loads": [_load(name, sent, launch.metrics) for name, sent in list(loads.items())[:LOADS]],
        "loads_left_out": numbers.plural(len(loads) - LOADS, "more load") if len(loads) > LOADS else "",
    }


def _most_telling(plain: Sequence[RequestRecord]) -> list[RequestRecord]:
    """Those that failed and the first of the others, in their order."""
    ranked = sorted(range(len(plain)), key=lambda at: (plain[at].failure is None, at))
    return [plain[at] for at in sorted(ranked[:ROWS])]


def _counts(plain: Sequence[RequestRecord], loads: Mapping[str, Sequence[RequestRecord]]) -> str:
    warmup = sum(one.warmup for one in plain)
    words = [f"{len(plain) - warmup} measured"]
    words += [f"{warmup} of warmup"] if warmup else []
    under_load = sum(map(len, loads.values()))
    words += [f"{under_load} of {numbers.plural(len(loads), 'load')}"] if loads else []
    sent = [*plain, *(one for many in loads.values() for one in many)]
    tally = Counter(_state(one) for one in sent)
    words += [f"{tally[state]} {state}" for state in ("failed", "not answered") if tally[state]]
    return ", ".join(words)


def _state(one: RequestRecord) -> str:
    if one.failure is not None:
        return "failed"
    return "ok" if "client_e2e" in one.metrics else "not answered"


def _server_ms(one: RequestRecord) -> float | None:
    """What the server says that it took, by its dump or by its answer."""
    return one.metrics.get("e2e", one.server_ms)


def _row(one: RequestRecord, primary: Verdict | None) -> dict[str, str]:
    state = _state(one)
    if one.failure is not None:
        said = _cut(one.said, _SAID_CHARS)
        state = f"failed: {how_it_failed(one.failure, status=one.status)}{f': {said}' if said else ''}"
    value = None if primary is None else one.metrics.get(primary.metric)
    return {
        "number": str(one.number),
        "kind": "warmup" if one.warmup else "measured",
        "css": "out" if one.warmup or one.failure is not None else "",
        "sent": numbers.UNKNOWN if one.sent_s is None else f"{fixed(one.sent_s, 2)} s",
        "server": numbers.quantity(_server_ms(one), "ms"),
        "client": numbers.quantity(one.metrics.get("client_e2e"), "ms"),
        "queue": numbers.quantity(one.metrics.get("queue"), "ms"),
        "value": numbers.quantity(value, primary.unit) if primary is not None else numbers.UNKNOWN,
        "state": state,
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _load(name: str, sent: Sequence[RequestRecord], metrics: Mapping[str, float]) -> dict[str, Any]:
    """A load in words, and its picture."""
    tally = Counter(map(_state, sent))
    words = [numbers.plural(len(sent), "request")]
    words += [f"{tally[state]} {state}" for state in ("failed", "not answered") if tally[state]]
    if (rate := metrics.get(f"throughput:{name}")) is not None:
        words.append(f"{numbers.quantity(rate, '')} a second")
    for percentile in (50, 95, 99):
        if (value := metrics.get(f"latency_p{percentile}:{name}")) is not None:
            words.append(f"p{percentile} {numbers.quantity(value, 'ms')}")
    shown = _cut(name, _NAME_CHARS)
    return {"words": f"load {shown}: {', '.join(words)}", "plot": _picture(shown, sent)}


def _picture(name: str, sent: Sequence[RequestRecord]) -> Plot | None:
    """What each request's client waited, over the time at which it was due or sent."""
    begun = [(at, one) for one in sent if (at := one.sent_s if one.intended_s is None else one.intended_s) is not None]
    waited = [(at, one.metrics["client_e2e"]) for at, one in begun if "client_e2e" in one.metrics]
    if not waited:
        return None
    first, last = min(at for at, _ in begun), max(at for at, _ in begun)
    low, high = domain([0.0, *(ms for _, ms in waited)])
    begin, end = domain([first, last], padding=0.02)
    y = Scale(low=max(low, 0.0) if high > 0 else low, high=high, start=_BOTTOM, end=TOP)
    x = Scale(low=begin, high=end, start=LEFT, end=RIGHT)
    lines, texts = value_axis(y, "ms", left=LEFT, right=RIGHT)
    texts += [
        Text(x=LEFT, y=148, text=f"{fixed(first, 1)} s"),
        Text(x=RIGHT, y=148, text=f"{fixed(last, 1)} s", anchor="end"),
    ]
    failed = [at for at, one in begun if one.failure is not None][:CROSSES]
    words = f"what clients waited under load {name}, by the time at which a request was due"
    return Plot(
        title=f"load {name}, request by request",
        description=f"{words}: {_range([ms for _, ms in waited])}",
        width=WIDTH,
        height=154,
        lines=lines,
        paths=[Path(d=_dots([(x.at(at), y.at(ms)) for at, ms in waited]), kind="dots")],
        marks=[Mark(x=x.at(at), y=TOP, kind="excluded", shape="cross", label="failed") for at in failed],
        texts=texts,
    )


def _dots(points: Sequence[tuple[float, float]]) -> str:
    """The points as one path of strokes without length, which round ends make dots; those that fall together once."""
    for grid in _GRIDS:
        places = dict.fromkeys((round(x / grid) * grid, round(y / grid) * grid) for x, y in points)
        if len(places) <= DOTS:
            break
    return "".join(f"M{x:g} {y:g}h0" for x, y in list(places)[:DOTS])


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{numbers.quantity(low, 'ms', like=high)} to {numbers.quantity(high, 'ms')}"
