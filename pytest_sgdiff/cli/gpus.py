"""`sgdiff gpus`: who holds which GPUs of this host, who waits, and what is busy."""

from __future__ import annotations

import argparse
import json

from pytest_sgdiff.cli.protocol import GOOD, Subparsers


def add(commands: Subparsers) -> None:
    """Add the command `gpus`."""
    parser = commands.add_parser(
        "gpus",
        help="the pool of this host: holders, queue, busy GPUs and why",
        description="Shows the GPUs of this host, the leases on them by any run or user, who waits for them, and "
        "which are busy with something else.",
    )
    parser.add_argument("--lock-dir", metavar="DIR", help="where leases are kept (default: as --sgdiff-lock-dir)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_gpus)


def _gpus(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff import gpus
    from pytest_sgdiff.errors import LeaseError

    note = ""
    reader = gpus.default_reader()
    try:
        present = gpus.inventory(reader)
    except LeaseError as error:
        # Leases of CPU cases, and those made while the driver answered, are there all the same.
        present, note = (), str(error)
    state = gpus.queue_state(chosen.lock_dir, gpus=present, reader=reader if present else None)
    if chosen.json:
        print(json.dumps({**state, "note": note}, indent=2))
    else:
        print(gpus.describe(state) + (f"\n{note}" if note else ""))
    return GOOD
