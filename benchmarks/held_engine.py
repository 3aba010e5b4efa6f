"""The engine's command, which holds its measured request back until it is told to go; used by contention.py.

    PYTHON benchmarks/held_engine.py generate ...          PYTHON is the engine's, with `sglang` installed

does what `sglang generate` does. Where SGDIFF_HOLD names a folder, it writes `ready` there once the model is loaded and
the warmup request is done, waits for `go`, writes `done` after the measured request, and waits for `leave` before it
ends. So many launches load at the same time, and yet each request runs beside exactly what is meant to run beside it.
From `done` to `leave` the workers are stopped (SIGSTOP): idle ones ask for requests without a pause, which takes a CPU
each. Everything ends if the process SGDIFF_HOLD_BY is gone.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.abc
import importlib.util
import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

SCHEDULER = "sglang.multimodal_gen.runtime.managers.scheduler"
POLL_S = 0.005


def wait_for(word: str) -> None:
    """Until somebody writes the file; ends the process if nobody is left to do so."""
    folder, holder = pathlib.Path(os.environ["SGDIFF_HOLD"]), int(os.environ["SGDIFF_HOLD_BY"])
    while not (folder / word).exists():
        try:
            os.kill(holder, 0)
        except ProcessLookupError:
            sys.exit("the benchmark that holds this launch is gone")
        time.sleep(POLL_S)


def say(word: str) -> None:
    pathlib.Path(os.environ["SGDIFF_HOLD"], word).touch()


class BeforeTheRequest(importlib.abc.MetaPathFinder):
    """In a worker: holds the first request that is no warmup, when the engine's scheduler is imported."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != SCHEDULER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_hold(module: ModuleType) -> None:
            load(module)
            module.Scheduler._dispatch_items = held_request(module.Scheduler._dispatch_items)

        spec.loader.exec_module = load_and_hold  # type: ignore[method-assign]
        return spec


def held_request(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    """The scheduler's method that runs a request, between `ready` and `go`."""
    waited = False

    @functools.wraps(dispatch)
    def after_go(self: Any, items: Sequence[tuple[Any, Any]]) -> Any:
        nonlocal waited
        request = items[0][1]
        first = request[0] if isinstance(request, list) and request else request
        if not waited and getattr(first, "is_warmup", None) is False:
            waited = True
            say("ready")
            try:
                wait_for("go")
            except SystemExit:
                # The command waits for the result.
                os.kill(os.getppid(), signal.SIGTERM)
                raise
        return dispatch(self, items)

    return after_go


def held_end(generate: Callable[..., Any]) -> Callable[..., Any]:
    """The client's method that sends a request and takes its result, between `done` and `leave`."""

    @functools.wraps(generate)
    def before_leave(self: Any, *args: Any, **options: Any) -> Any:
        result = generate(self, *args, **options)
        workers = [process.pid for process in self.local_scheduler_process or ()]
        tell(workers, signal.SIGSTOP)
        say("done")
        try:
            wait_for("leave")
        finally:
            tell(workers, signal.SIGCONT)
        return result

    return before_leave


def tell(workers: Sequence[int], number: signal.Signals) -> None:
    """Send the signal to each worker that still lives."""
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def main() -> None:
    from sglang.cli.main import main as engine  # type: ignore[import-not-found, unused-ignore]

    if "SGDIFF_HOLD" in os.environ:
        from sglang.multimodal_gen import DiffGenerator  # type: ignore[import-not-found, unused-ignore]

        DiffGenerator.generate = held_end(DiffGenerator.generate)
    sys.argv[0] = "sglang"
    engine()


# The engine starts its workers with multiprocessing's "spawn", which runs this file again under another name.
if "SGDIFF_HOLD" in os.environ:
    sys.meta_path.insert(0, BeforeTheRequest())
if __name__ == "__main__":
    main()
