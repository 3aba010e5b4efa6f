"""The case file of a winner: the recommended variant as a case, with the relations that the measurement shows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_sgdiff.cases.recipes import SCHEMA_LINE
from pytest_sgdiff.cases.written import flow, keys_of, scalar
from pytest_sgdiff.data import Case, is_one_of
from pytest_sgdiff.data.pictures import LOSSLESS
from pytest_sgdiff.data.tuning import Space, Tuned, Variant
from pytest_sgdiff.engines.flags.check import complaints
from pytest_sgdiff.engines.flags.lookup import table_flags
from pytest_sgdiff.engines.flags.translate import VERSIONS, meant_for
from pytest_sgdiff.printable import printable
from pytest_sgdiff.tuning.ratios import Ratio, quickest_of, ratio
from pytest_sgdiff.tuning.requests import other_requests
from pytest_sgdiff.tuning.variants import AS_WRITTEN

SUFFIX = "_tuned"
"""What the new case's id ends in, behind that of the case that was tuned."""

MARK = "Written by sgdiff tune."
"""What a file of this module can be known by."""

_KEPT_OF_GAIN = 0.5
"""The part of the proven gain that a relation asks for: another day's noise must not fail it."""


def tuned_name(named: str) -> str:
    """What the winner of the tuned case is called: its id, or the name of the matrix that was ranked, with an ending.
    Of `wan[long]` it is `wan_long_tuned`: each variant of a matrix has a winner of its own."""
    name = named.removesuffix("]").replace("[", "_")
    return f"{name[: 200 - len(SUFFIX) - 20]}{SUFFIX}"


def case_file(
    space: Space,
    tuned: Tuned,
    winner: str,
    *,
    named: str,
    schema: str,
    lossy: Collection[str] = (),
    products: Sequence[str] = (),
    engine: str = "",
) -> str:
    """The text of a case file with the winner as a case.

    Where the intervals show that it is faster than the next best variant, or than the case as it is written, these are
    variants of the same matrix, and the winner has the relation to them. What was tuned is `named` so (`tuned_name`).
    `lossy` are variants that drew another picture although none of their settings should change it, beside those whose
    settings say so. `schema` is where editors find the schema, `products` are the GPUs and `engine` the version that it
    was measured with. Raises KeyError if no variant has the winner's name.
    """
    variants = {one.name: one for one in space.variants}
    written = next((one.name for one in space.variants if not one.settings), AS_WRITTEN)
    changed = {*lossy, *(name for name, one in variants.items() if one.lossy)}
    rivals = _rivals(variants, tuned, winner, written=written, lossy=changed)
    cases = {name: _plain(variants[name], space, products, lossy=changed) for name in (winner, *rivals)}
    winning = cases[winner]
    name = tuned_name(named)
    lines = [f"{SCHEMA_LINE}{schema}", "#"]
    lines += [f"# {printable(line)}" for line in _measured(tuned, (winner, *rivals), changed, products, engine)]
    lines += ["cases:", f"  {scalar(name)}:"]
    summary = f"{winning.summary or winning.model}; settings: {_marked(winner, changed)}"
    keys = {**keys_of(winning), "summary": summary, "source": f"{winning.source}; sgdiff tune".removeprefix("; ")}
    for key, value in keys.items():
        lines += _block(key, value, indent=4)
    if rivals:
        first = next((one.variant for one in tuned.standings if one.usable), winner)
        labels = {winner: "fastest" if winner == first else "recommended"} | {
            rival: "as_written" if rival == written else "runner_up" for rival in rivals
        }
        lines += ["    matrix:", "      tuned:"]
        for each, label in labels.items():
            changes = {} if each == winner else _changes(keys_of(winning), keys_of(cases[each]))
            relation = _relation(each, rivals, tuned)
            if relation is not None:
                rival, gain = relation
                changes["faster_than"] = {"case": f"{name}[{labels[rival]}]"} | gain
            lines += [f"        {label}:{'' if changes else ' {}'}"]
            for key, value in changes.items():
                lines += _block(key, value, indent=10)
    return "\n".join(lines) + "\n"


def _rivals(
    variants: Mapping[str, Variant], tuned: Tuned, winner: str, *, written: str, lossy: Collection[str]
) -> tuple[str, ...]:
    """The variants that relations are stated with, each proven slower than the one before it: the next best variant and
    the case as it is `written`, or else one of them. A lossy variant is no rival of a lossless one, and another request
    is none of any."""
    asks_otherwise = {one.variant for one in other_requests(variants[winner].case, variants.values())}
    ranked = [
        one.variant
        for one in tuned.standings
        if one.variant in variants and one.variant != winner and one.usable
        if one.variant not in asks_otherwise
    ]
    best = [name for name in ranked if name != written and (winner in lossy or name not in lossy)][:1]
    first = [written] if written in ranked else []
    for chain in ((*best, *first), tuple(first), tuple(best)):
        steps = itertools.pairwise((winner, *chain))
        if chain and all(_gain(name, rival, tuned) is not None for name, rival in steps):
            return chain
    return ()


def _relation(name: str, rivals: Sequence[str], tuned: Tuned) -> tuple[str, dict[str, str]] | None:
    """What a variant is claimed to be faster than, and by how much at least."""
    place = rivals.index(name) + 1 if name in rivals else 0
    rival = rivals[place] if place < len(rivals) else None
    gain = None if rival is None else _gain(name, rival, tuned)
    if rival is None or gain is None:
        return None
    percent = math.floor(100 * _KEPT_OF_GAIN * gain)
    return rival, {"at_least": f"{percent}%"} if percent else {}


def _gain(name: str, rival: str, tuned: Tuned) -> float | None:
    """By what fraction of the rival's time the variant is faster at least; None where the interval does not show it."""
    found = _ratio(name, rival, tuned)
    return None if found is None or found.high >= 1 else 1 - found.high


def _ratio(name: str, rival: str, tuned: Tuned) -> Ratio | None:
    standings = {one.variant: one for one in tuned.standings}
    if name not in standings or rival not in standings:
        return None
    return ratio(standings[name], standings[rival], quickest=quickest_of(tuned.standings))


def _plain(variant: Variant, space: Space, products: Sequence[str], *, lossy: Collection[str]) -> Case:
    """The variant's case as its own baseline judges it: its pictures are compared with those of that baseline, whatever
    the option does to them. It needs the engines that have its flags, and such a GPU as it was measured on."""
    case = variant.case
    if variant.lossy:
        first = next((one.case for one in space.variants if not one.lossy), None)
        case = replace(case, quality=LOSSLESS if first is None else first.quality)
    if variant.name in lossy:
        case = replace(case, marks=tuple(dict.fromkeys((*case.marks, "lossy"))))
    requires = replace(case.requires, engine=_engines(case))
    if requires.gpu and products and not is_one_of(products[0], requires.gpu):
        requires = replace(requires, gpu=(*requires.gpu, products[0]))
    return replace(case, requires=requires)


def _engines(case: Case) -> str:
    """What the case requires of the engine; where known ones refuse it, the release from which on none does."""
    refused = [
        version
        for version in VERSIONS
        if meant_for(case, version) and any(one.level == "error" for one in complaints(case, table_flags(version)))
    ]
    since = next((one for one in VERSIONS if not refused or VERSIONS.index(one) > VERSIONS.index(refused[-1])), None)
    if not refused or since is None or not meant_for(case, since):
        return case.requires.engine
    return ",".join(part for part in (case.requires.engine, f">={since}") if part)


def _changes(winner: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What a variant of the matrix says to be the other case: only what differs; None drops what the winner has."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys((*winner, *other)):
        if key in ("summary", "source") or winner.get(key) == other.get(key):
            continue
        mine, theirs = winner.get(key), other.get(key)
        if key in ("args", "env", "config"):
            mine, theirs = mine or {}, theirs or {}
            found[key] = {
                name: value for name, value in theirs.items() if name not in mine or not _same(mine[name], value)
            }
            found[key] |= {name: None for name in mine if name not in theirs}
        else:
            found[key] = theirs
    return found


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def _block(key: str, value: Any, *, indent: int) -> Iterator[str]:
    """A key with its value: a mapping of flags or variables line by line, everything else on one line."""
    space = " " * indent
    if key in ("args", "env", "config") and value:
        yield f"{space}{key}:"
        for name, each in value.items():
            yield f"{space}  {scalar(name)}: {flow(each)}"
    else:
        yield f"{space}{key}: {flow(value)}"


def _marked(name: str, lossy: Collection[str]) -> str:
    return f"{name} (lossy)" if name in lossy else name


def _measured(
    tuned: Tuned, names: Sequence[str], lossy: Collection[str], products: Sequence[str], engine: str
) -> Iterator[str]:
    """What was measured, for a reader of the file."""
    where = (f" on {products[0]}" if products else "") + (f" with sglang {engine}" if engine else "")
    yield f"{MARK} Measured{where}; the intervals hold together at {100 * tuned.confidence:g} %."
    standings = {one.variant: one for one in tuned.standings}
    for name in names:
        one = standings.get(name)
        if one is not None and one.ms is not None:
            interval = f" ({one.low:.1f} to {one.high:.1f})" if one.low is not None and one.high is not None else ""
            count = "1 launch" if one.launches == 1 else f"{one.launches} launches"
            yield f"  {_marked(name, lossy)}: {one.ms:.1f} ms{interval}, {count}"
    if len(names) > 1:
        yield "A relation asks for half of the gain that is proven, so that another day's noise does not fail it."
