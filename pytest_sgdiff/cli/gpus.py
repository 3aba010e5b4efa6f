"""`sgdiff gpus`: who holds which GPUs of this host, who waits, and what is busy."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pytest_sgdiff.cli.protocol import GOOD, Subparsers, as_json
from pytest_sgdiff.printable import printable_values


def add(commands: Subparsers) -> None:
    """Add the command `gpus`."""
    parser = commands.add_parser(
        "gpus",
        help="the pool of this host: holders, queue, busy GPUs and why",
        description="Shows the GPUs of this host, the leases on them by any run or user, the queue, and the GPUs that "
        "other processes use. Options in `addopts` are not read.",
        epilog="examples:\n  sgdiff gpus\n  sgdiff gpus --lock-dir /shared/locks --json\n",
    )
    parser.add_argument(
        "--lock-dir",
        metavar="DIR",
        help="the folder of the leases (default: SGDIFF_LOCK_DIR, else sgdiff_lock_dir of pytest's configuration, else "
        "/run/lock/sgdiff)",
    )
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
    folder = chosen.lock_dir or os.environ.get("SGDIFF_LOCK_DIR") or _configured_lock_dir(Path.cwd())
    state = gpus.queue_state(folder, gpus=present, reader=reader if present else None)
    if chosen.json:
        print(as_json({**state, "note": note}))
    else:
        print(gpus.describe(printable_values(state)) + (f"\n{note}" if note else ""))
    return GOOD


def _configured_lock_dir(here: Path) -> str | None:
    """The ini value `sgdiff_lock_dir` of a pytest that is started in `here`, below the folder of its file."""
    from pytest_sgdiff.cli.configuration import configuration

    file, values = configuration(here, fix="correct it, or give --lock-dir")
    text = values.get("sgdiff_lock_dir")
    return str(file.parent / text) if file is not None and text and isinstance(text, str) else None
