"""What `sgdiff gpus` shows: GPUs, who holds them, who waits, and which are busy and why."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence, Set
from typing import Any

from pytest_sgdiff.data import Gpu
from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.gpus import lease_records, lock_files
from pytest_sgdiff.gpus.devices import drawn_on, fabric_problem, in_words, refused, use_of
from pytest_sgdiff.gpus.lease_records import LeaseRecord
from pytest_sgdiff.gpus.lock_files import gpu_file, is_locked, lock_dir, mutex, usable
from pytest_sgdiff.gpus.nvml import NvmlReader
from pytest_sgdiff.gpus.selection import Eligible


def queue_state(
    folder: str | None = None, *, gpus: Sequence[Gpu] = (), reader: NvmlReader | None = None
) -> dict[str, Any]:
    """The pool as plain data: `lock_dir`, `gpus`, `holders`, `queue`, `launches`. Raises LeaseError if the lock
    directory cannot be read.

    A GPU's `state` is `held`, `orphaned` (its pytest worker died, the launch lives), `left out` (no run takes it as it
    is set up now), `busy` (a foreign process uses it) or `free`; `why` says by what, and what it cannot be used for.
    GPUs that are in the lock directory but not in `gpus` are listed too. Times in seconds.
    """
    folder = lock_dir(folder)
    with usable(folder, "the pool cannot be shown"), mutex(folder):
        leases = lease_records.lease_records(folder)
        waiting = lease_records.waiters(folder)
        marks = lease_records.busy_marks(folder)
        uuids = dict.fromkeys([gpu.uuid for gpu in gpus] + sorted(lock_files.uuids(folder)))
        locked = {uuid for uuid in uuids if is_locked(gpu_file(folder, uuid))}
        launches = {
            name.partition(".")[0]
            for name in lock_files.names(folder, "launch")
            if is_locked(os.path.join(folder, "launch", name))
        }
    now = time.time()
    waiting = lease_records.unserved(waiting, leases)
    leases = [lease for lease in leases if _holds(lease, locked)]
    known = {gpu.uuid: gpu for gpu in gpus}
    facts = {fact.uuid: fact for fact in (() if reader is None else reader.facts())}
    out = refused(list(facts.values()))
    rows = []
    for uuid in uuids:
        state, why = "free", ""
        # Another user's record may name any GPU.
        holder = next((one for one in leases if uuid in one.uuids and (one.ours or uuid in locked)), None)
        if holder is not None:
            state = "held" if holder.alive else "orphaned"
            why = f"{holder.tag or 'a test'} (process {holder.pid}, run {holder.run})"
        elif uuid in locked:
            state, why = "held", "a process without a record"
        elif uuid in out:
            state, why = "left out", out[uuid]
        elif uuid in marks:
            state, why = "busy", marks[uuid].reason
        elif uuid in known and reader is not None and (use := use_of(known[uuid], reader)):
            state, why = "busy", in_words(use)
        elif uuid in known and reader is not None:
            why = _remark(known[uuid], reader)
        if uuid not in out and uuid in facts and (problem := fabric_problem([facts[uuid]])):
            why += f"{'; ' if why else ''}cases with several GPUs cannot use it: {problem}"
        gpu = known.get(uuid)
        rows.append(
            {
                "index": None if gpu is None else gpu.index,
                "uuid": uuid,
                "name": None if gpu is None else gpu.name,
                "state": state,
                "why": why,
            }
        )
    return {
        "lock_dir": folder,
        "gpus": rows,
        "holders": [
            {
                "case": lease.tag,
                "gpus": list(lease.uuids),
                "run": lease.run,
                "pid": lease.pid,
                "child": lease.child,
                "alive": lease.alive,
                "for_s": round(now - lease.since, 1),
                "expected_s": lease.estimate_s if lease.estimate_s < 1e9 else None,
                "launching": lease.id in launches,
            }
            for lease in leases
        ],
        "queue": [
            {
                "case": waiter.tag,
                "count": waiter.ticket.count,
                "run": waiter.ticket.run,
                "pid": waiter.pid,
                "for_s": round(now - waiter.since, 1),
                "stalled": waiter.ticket.stalled,
            }
            for waiter in waiting
        ],
    }


def held_by_others(folder: str, run_id: str, eligible: Eligible) -> int:
    """By how many GPUs other runs, and foreign processes that waiters found lately, cut the run's share."""
    uuids = {gpu.uuid for gpu in eligible.gpus}
    taken, marked = set[str](), set[str]()
    # It only orders: a case whose lease cannot be had says why.
    with contextlib.suppress(LeaseError), usable(folder, "who holds GPUs cannot be read"), mutex(folder):
        locked = {uuid for uuid in uuids if is_locked(gpu_file(folder, uuid))}
        leases = [
            lease for lease in lease_records.lease_records(folder) if lease.run != run_id and _holds(lease, locked)
        ]
        taken = {uuid for lease in leases for uuid in lease.uuids if lease.ours or uuid in locked}
        marked = set(lease_records.busy_marks(folder))
    beyond_budget = len(eligible.gpus) - eligible.size
    return max(0, len(uuids & (taken | marked)) - beyond_budget)


def _remark(gpu: Gpu, reader: NvmlReader) -> str:
    """What is to be known of a GPU that is free as far as the driver says."""
    state = reader.state(gpu.uuid)
    if reader.processes(gpu.uuid) is None and state.used_mb is None:
        if state.util_pct is None:
            return "the driver does not report whether a process uses it"
        return "other processes unknown: the driver reports neither processes nor the memory in use"
    drawing = drawn_on(gpu, reader)
    return f"a display is drawn on it ({drawing})" if drawing else ""


def _holds(lease: LeaseRecord, locked: Set[str]) -> bool:
    """Whether anything is left of the lease. The record of a dead one that another user made cannot be removed here."""
    lives = lease.alive and (lease.ours or not lease.uuids)
    return lives or lease.reapable or not locked.isdisjoint(lease.uuids)


def describe(state: Mapping[str, Any]) -> str:
    """The same as text for people."""
    index = {row["uuid"]: "?" if row["index"] is None else str(row["index"]) for row in state["gpus"]}
    lines = [f"lock directory {state['lock_dir']}"]
    for row in state["gpus"]:
        # Of a GPU that is gone, or hidden here, only the locks can be told.
        name, shown = row["name"] or "not visible here", row["state"]
        if not row["name"] and shown == "free":
            shown = "not held"
        lines.append(
            f"GPU {index[row['uuid']]}  {name}  {row['uuid']}  {shown}" + (f": {row['why']}" if row["why"] else "")
        )
    if not state["gpus"]:
        lines.append("no GPU")
    for row in state["holders"]:
        numbers = ",".join(index.get(uuid, "?") for uuid in row["gpus"])
        gpus = f"GPU{'s' * (len(row['gpus']) > 1)} {numbers}" if numbers else "no GPU"
        expected = "" if row["expected_s"] is None else f" of about {_time(row['expected_s'])}"
        dead = "" if row["alive"] else ", its pytest worker died"
        lines.append(f"held     {gpus} by {_who(row)}, for {_time(row['for_s'])}{expected}{dead}")
    for place, row in enumerate(state["queue"], 1):
        stalled = ", stopped" if row["stalled"] else ""
        gpus = f"{row['count']} GPU{'s' * (row['count'] > 1)}"
        lines.append(f"queue {place:>2} {gpus} for {_who(row)}, since {_time(row['for_s'])}{stalled}")
    if not state["holders"] and not state["queue"]:
        lines.append("no leases, no queue")
    return "\n".join(lines)


def _who(row: Mapping[str, Any]) -> str:
    return f"{row['case'] or 'a test'}, process {row['pid']}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
