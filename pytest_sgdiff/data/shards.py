"""Shards: the parts of one selection of cases, each measured by a run of its own, on a host of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_sgdiff.data.results import Reason, Unmeasured


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One of `of` parts, counted from 1; prints as it is typed, `2/4`."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectedTest:
    """A test of the selection, and the number of the `shard` that runs it. `case` is the id of its case and
    `definition` the digest of what its file says; both are None of a test in Python, whose case is known when it runs.
    """

    test: str
    shard: int
    case: str | None = None
    definition: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Everything that the shards of one job measure, sorted by test: each of them has worked it out by itself."""

    of: int
    tests: tuple[SelectedTest, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardReport:
    """What a shard says of itself: first when it has its cases, then when it ends, which `finished` says.

    `selection` is the digest of the whole selection. `run` names the run, also against those of other hosts; `job` are
    the variables by which the CI system or the scheduler names the job that all shards belong to. `ran` are the tests
    that have a result, `unmeasured` those that have none. `launches` counts what it left of each case, by the folder
    of the case (`tiny`, `against/tiny`); None of a report that does not say it. `unlaunched` says of tests
    whose result is that they could not be launched, why. A shard that `replayed` a recording has launches of other
    runs, which `sessions` names once it has ended (empty: of a run that its launches do not name). None: an older
    version wrote the report, which says neither.
    """

    shard: Shard
    selection: str
    run: str
    job: Mapping[str, str] = field(default_factory=dict)
    finished: bool = False
    ran: tuple[str, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()
    launches: Mapping[str, int] | None = None
    unlaunched: Mapping[str, Reason] = field(default_factory=dict)
    replayed: bool | None = None
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardGap:
    """A test of which its shard reported no result, or of which not all launches are here: `launches` of `of`. `began`
    is False of a shard that never reported at all. Of one that did, `unmeasured` says what became of the test, None if
    the shard was killed before it could say. `unlaunched` is its result where it could not be launched there."""

    shard: Shard
    began: bool
    unmeasured: Unmeasured | None = None
    launches: int | None = None
    of: int | None = None
    unlaunched: Reason | None = None
