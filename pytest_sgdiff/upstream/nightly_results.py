"""Results of SGLang's nightly comparison as points of a history. Pure.

Upstream publishes one JSON file for each night (`comparison-results.json`, in sgl-project/ci-data below
`diffusion-comparisons/`), and histories are lists of these, or tables with a row for each case and night.

What `latency_s` is depends on who wrote the file. With a stated methodology (`client-e2e-v1`), or beside the server's
own time (`server_latency_s`, `missing_perf_dumps`), it is the client's, from submit to the output. The runner before
that wrote the server's time where it found a perf dump, and the client's otherwise, and does not say which
(run_comparison.py at 70310f05). That figure keeps a name of its own.

Upstream compares nights only where methodology and number of warmup requests are equal, and a missing statement equals
no other (generate_diffusion_dashboard.py). So both are part of a point's workload.
"""

from __future__ import annotations

import csv
import io
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from pytest_sgdiff.cases.keys import CASE_ID
from pytest_sgdiff.metrics import CLIENT_E2E, E2E, NIGHTLY_LATENCY, STAGE, is_stage, plausible
from pytest_sgdiff.upstream.refusals import Path, Refusal, Why

COLUMNS = ("at", "commit", "run", "framework", "case", "latency_s", "error")
"""What a table of nights must have."""
_STATED = ("methodology", "warmup_requests")

_DOCUMENT = frozenset({"timestamp", "commit_sha", "run_id", "results", "measurement_repeats", *_STATED})
_RESULT = frozenset(
    {"case_id", "framework", "model", "task", "latency_s", "latency_samples_s", "measurement_count", "error"}
    | {"server_latency_s", "server_latency_samples_s", "server_stage_medians_ms", "missing_perf_dumps"}
)
_LONGEST_HEADER = 10_000

_ROUNDING_S = 0.0011
"""Samples and their median are rounded to milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NightPoint:
    """One figure of one case in one night; `at` is ISO 8601 in UTC, `value` in ms, `commit` the first 12 digits."""

    run: str
    at: str
    case: str
    workload: str
    metric: str
    value: float
    commit: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Nights:
    """What a file of results holds, and what of it was left out."""

    points: tuple[NightPoint, ...]
    refusals: tuple[Refusal, ...]


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def _refused(path: Path, why: Why, *found: str) -> _RefusedError:
    return _RefusedError(Refusal(path=path, why=why, found=found))


def is_results(document: Any) -> bool:
    """Whether a JSON document is a night's results, or a list of such."""
    if isinstance(document, list):
        return bool(document) and all(isinstance(one, Mapping) and is_results(one) for one in document)
    return isinstance(document, Mapping) and isinstance(document.get("results"), list)


def is_table(text: str) -> bool:
    """Whether a text is a table of nights: by its first line."""
    first = text.partition("\n")[0]
    # A JSON document may be one long line.
    if len(first) > _LONGEST_HEADER:
        return False
    try:
        return {"at", "case", "latency_s"} <= set(next(csv.reader([first]), ()))
    except csv.Error:
        return False


def read_results(document: Any) -> Nights:
    """The points of a JSON document of which `is_results` holds."""
    refusals: list[Refusal] = []
    points: list[NightPoint] = []
    many = isinstance(document, list)
    for index, night in enumerate(document if many else [document]):
        points += _of_night(night, (index,) if many else (), refusals)
    return Nights(points=tuple(points), refusals=tuple(refusals))


def read_table(text: str) -> Nights:
    """The points of a table of which `is_table` holds."""
    refusals: list[Refusal] = []
    points: list[NightPoint] = []
    reader = csv.DictReader(io.StringIO(text))
    known = {*COLUMNS, *_STATED}
    refusals += [
        Refusal(path=(name,), why=Why.NO_METRIC, line=1) for name in reader.fieldnames or () if name not in known
    ]
    refusals += [
        Refusal(path=(name,), why=Why.MISSING, line=1)
        for name in ("run", "commit", "framework", "error")
        if name not in (reader.fieldnames or ())
    ]
    for row in reader:
        read = _of_row(row)
        if isinstance(read, Refusal):
            refusals.append(replace(read, line=reader.line_num))
        else:
            points.append(read)
    return Nights(points=tuple(points), refusals=tuple(refusals))


def _of_row(row: Mapping[Any, Any]) -> NightPoint | Refusal:
    try:
        return _point_of(row)
    except _RefusedError as refused:
        return refused.refusal


def _point_of(row: Mapping[Any, Any]) -> NightPoint:
    if None in row or None in row.values():
        raise _refused((), Why.WRONG_KIND, "a row of as many cells as the table has columns", "another number of them")
    framework = row.get("framework") or "sglang"
    if framework != "sglang":
        raise _refused(("framework",), Why.OTHER_FRAMEWORK, _short(framework))
    case, at = _case(row["case"], ("case",)), _time(row["at"], ("at",))
    if row.get("error"):
        raise _refused(("case",), Why.FAILED, case, _short(row["error"]))
    try:
        latency: Any = float(row["latency_s"])
    except ValueError:
        latency = row["latency_s"] or None
    return NightPoint(
        run=_run(row.get("run") or "unknown", at),
        at=at,
        case=case,
        workload=_workload(row),
        metric=CLIENT_E2E if row.get("methodology") else NIGHTLY_LATENCY,
        value=_milliseconds(latency, ("latency_s",)),
        commit=_commit(row.get("commit")),
    )


def _of_night(night: Mapping[str, Any], path: Path, refusals: list[Refusal]) -> Iterator[NightPoint]:
    refusals += [Refusal(path=(*path, key), why=Why.NO_METRIC) for key in night if key not in _DOCUMENT]
    try:
        if "timestamp" not in night:
            raise _refused((*path, "timestamp"), Why.MISSING)
        at = _time(night["timestamp"], (*path, "timestamp"))
    except _RefusedError as refused:
        refusals.append(refused.refusal)
        return
    run, commit, workload = _run(night.get("run_id", "unknown"), at), _commit(night.get("commit_sha")), _workload(night)
    for index, result in enumerate(night["results"]):
        place = (*path, "results", index)
        for metric, value in _usable(result, place, refusals, stated=bool(night.get("methodology"))).items():
            yield NightPoint(
                run=run, at=at, case=result["case_id"], workload=workload, metric=metric, value=value, commit=commit
            )


def _usable(result: Any, path: Path, refusals: list[Refusal], *, stated: bool) -> dict[str, float]:
    try:
        return _figures(result, path, refusals, stated=stated)
    except _RefusedError as refused:
        refusals.append(refused.refusal)
        return {}


def _figures(result: Any, path: Path, refusals: list[Refusal], *, stated: bool) -> dict[str, float]:
    """Metric -> milliseconds of one case in one night. Raises _RefusedError where nothing of it can be used."""
    if not isinstance(result, Mapping):
        raise _refused(path, Why.WRONG_KIND, "a mapping", _short(result))
    for key in ("case_id", "framework", "latency_s"):
        if key not in result:
            raise _refused((*path, key), Why.MISSING)
    case = _case(result["case_id"], (*path, "case_id"))
    if result["framework"] != "sglang":
        raise _refused((*path, "framework"), Why.OTHER_FRAMEWORK, _short(result["framework"]))
    if result.get("error"):
        raise _refused((*path, "error"), Why.FAILED, case, _short(result["error"]))
    refusals += [Refusal(path=(*path, key), why=Why.NO_METRIC) for key in result if key not in _RESULT]
    client = stated or any(key in result for key in ("server_latency_s", "missing_perf_dumps"))
    figures = {CLIENT_E2E if client else NIGHTLY_LATENCY: _milliseconds(result["latency_s"], (*path, "latency_s"))}
    _check_median(result, "latency_s", "latency_samples_s", path)
    if result.get("server_latency_s") is not None:
        _check_median(result, "server_latency_s", "server_latency_samples_s", path)
        figures[E2E] = _milliseconds(result["server_latency_s"], (*path, "server_latency_s"))
    stages = result.get("server_stage_medians_ms") or {}
    if not isinstance(stages, Mapping):
        raise _refused((*path, "server_stage_medians_ms"), Why.WRONG_KIND, "a mapping", _short(stages))
    for name, value in stages.items():
        place = (*path, "server_stage_medians_ms", name)
        if not is_stage(name):
            refusals.append(Refusal(path=place, why=Why.NO_METRIC))
        elif (refused := _no_measurement(value, place)) is not None:
            refusals.append(refused)
        else:
            figures[STAGE + name] = float(value)
    return figures


def _check_median(result: Mapping[str, Any], key: str, samples_key: str, path: Path) -> None:
    """A figure that is not the median of its own samples is of something else."""
    samples = result.get(samples_key) or []
    if not isinstance(samples, Sequence) or isinstance(samples, str):
        raise _refused((*path, samples_key), Why.WRONG_KIND, "a list", _short(samples))
    if not samples:
        return
    middle = statistics.median(_measured(one, (*path, samples_key, index)) for index, one in enumerate(samples))
    if abs(middle - _measured(result[key], (*path, key))) > _ROUNDING_S:
        raise _refused((*path, key), Why.NOT_THE_MEDIAN, f"{result[key]:g}", f"{middle:g}")


def _milliseconds(seconds: Any, path: Path) -> float:
    return round(_measured(seconds, path) * 1000, 3)


def _measured(value: Any, path: Path) -> float:
    if (refused := _no_measurement(value, path)) is not None:
        raise _RefusedError(refused)
    return float(value)


def _no_measurement(value: Any, path: Path) -> Refusal | None:
    """Why a value is no time that somebody measured, None if it may be one."""
    if value is None or (value == 0 and not isinstance(value, bool)):
        return Refusal(path=path, why=Why.EMPTY)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0 or not plausible(value):
        return Refusal(path=path, why=Why.NOT_A_NUMBER, found=(_short(value),))
    return None


def _time(value: Any, path: Path) -> str:
    """A time as the history sorts them: UTC, to the second."""
    try:
        # Python 3.10 does not know the Z.
        at = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", value))
        if at.tzinfo is None:
            raise ValueError
        return at.astimezone(timezone.utc).isoformat(timespec="seconds")
    except (TypeError, ValueError, OverflowError):
        raise _refused(path, Why.NO_TIME, _short(value)) from None


def _case(value: Any, path: Path) -> str:
    if not isinstance(value, str) or len(value) > 200 or not re.fullmatch(CASE_ID, value):
        raise _refused(path, Why.NO_NAME, _short(value))
    return value


def _run(run: Any, at: str) -> str:
    """The name of a night in the history. A run that was repeated has the same number, at another time."""
    return f"nightly-{str(run)[:40]}-{at}"


def _commit(value: Any) -> str | None:
    return value[:12] if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{7,64}", value) else None


def _workload(stated: Mapping[Any, Any]) -> str:
    """`nightly client-e2e-v1, warmup 1`: what makes nights comparable, as upstream has it."""
    told = ("unstated" if stated.get(key) in (None, "") else str(stated[key])[:60] for key in _STATED)
    return "nightly {}, warmup {}".format(*told)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 120 else text[:119] + "…"
