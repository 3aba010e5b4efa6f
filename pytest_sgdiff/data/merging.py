"""What `sgdiff merge` finds out, as values; `reports/merge_text.py` has the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data.shards import SelectedTest, Shard, ShardGap

ConflictCode = Literal[
    "shard-count",
    "selection",
    "definition",
    "assignment",
    "selection-file",
    "job",
    "shard-twice",
    "other-shard",
    "other-run",
    "launch",
    "renumbered",
    "two-runs",
]
"""Why recordings cannot be joined. Their shards are of different counts; a test is selected in one and not in the
other, is a case of another definition, or belongs to another shard; the files of the selections differ in something
else; the shards are of different jobs; one shard ran twice; a folder holds launches of a case that another shard has,
or of another run than that of its shard. Two launches have one number and differ, or one launch has two numbers; the
launches of a case are of two runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """Two files or folders, `paths`, that contradict each other. `case` is the case or the test that they are about,
    `shards` are those that are meant, `said` is what each of the two says."""

    code: ConflictCode
    paths: tuple[str, ...]
    case: str = ""
    shards: tuple[Shard, ...] = ()
    said: tuple[str, ...] = ("", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class LostShard:
    """A shard that nobody has heard of, and what it had to measure."""

    shard: Shard
    tests: tuple[SelectedTest, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LostTest:
    """A test without a result, and why."""

    test: str
    gap: ShardGap


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """What was joined: `launches` of `cases`, and `profiled` ones besides. `of` is the number of shards, None where no
    recording is that of a shard.

    `unreported` are shards that nobody has heard of, `gaps` tests of the other shards without a result. `absent` are
    folders that are not there or empty, `plain` those that hold launches and no report of a shard, `damaged` launches
    whose record cannot be read, `strays` launches of cases that were not selected, and `left_out` what is no launch.
    Strays and what is left out are not in the merged recording.
    """

    cases: int
    launches: int
    profiled: int = 0
    of: int | None = None
    reported: tuple[int, ...] = ()
    unreported: tuple[LostShard, ...] = ()
    unfinished: tuple[Shard, ...] = ()
    gaps: tuple[LostTest, ...] = ()
    absent: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    there_already: bool = False
