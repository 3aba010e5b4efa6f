"""What the files of a launch prove: that the measured request wrote them, and which size they have.

The log announces a size that was asked for. With an image, Wan's models take the proportions of it: TI2V draws some
704x1280 pixels whatever was asked for, I2V as many as were asked for (runtime/pipelines_core/stages/
input_validation.py, 0.5.8 to 0.5.23). And a warmup by the request itself may write the request's file, under its name:
Hunyuan3D's does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from pytest_sgdiff.data import Case, Launch, OutputFile
from pytest_sgdiff.engines.flags.lookup import given
from pytest_sgdiff.engines.log import LogEvidence

_OF_THE_IMAGE = re.compile(r"wan[\w.]*-t?i2v", re.IGNORECASE)
_TI2V = re.compile(r"wan[\w.]*-ti2v", re.IGNORECASE)
_BLOCK = 16
"""Videos are scaled up to a multiple of it (`macro_block_size` of runtime/entrypoints/utils.py)."""
_SLACK = timedelta(seconds=60)
"""How much longer than the engine the plugin may take to see its end."""


def takes_size_of_image(case: Case, log: LogEvidence) -> bool:
    """Whether the output's width and height follow from the image that the request has."""
    return _with_image(_OF_THE_IMAGE, log, case)


def draws_image_size(log: LogEvidence, case: Case | None) -> bool:
    """Whether it was TI2V with an image, which ignores the size that was asked for."""
    return _with_image(_TI2V, log, case)


def _with_image(models: re.Pattern[str], log: LogEvidence, case: Case | None) -> bool:
    names = [log.server_args.get("model_path"), log.server_args.get("model_id"), case.model if case else None]
    named = any(isinstance(name, str) and models.search(_last_part(name)) for name in names)
    return named and ("image_path" in log.sampling or (case is not None and "image-path" in case.assets))


def other_sizes(launch: Launch, side: str, wanted: int) -> Iterator[tuple[OutputFile, int]]:
    """The files whose `side` (`width` or `height`) is another one."""
    for file in launch.outputs or ():
        size = file.width if side == "width" else file.height
        if size is not None and size not in (wanted, -(-wanted // _BLOCK) * _BLOCK):
            yield file, size


def sizes_known(launch: Launch) -> bool:
    """Whether a file itself says how large its picture is."""
    return any(file.width is not None for file in launch.outputs or ())


def saves(case: Case) -> bool:
    """Whether the case has its outputs written."""
    return not (given(case, "save-output") is False or given(case, "no-save-output"))


def measured(launch: Launch) -> tuple[OutputFile, ...]:
    """The files of what was measured, in an order that is the same in every launch: of a server those of its measured
    requests, which it names after their ids; of a single request all, by name."""
    files = launch.outputs or ()
    asked = [one for one in launch.requests if not one.warmup and not one.load and one.failure is None and one.id]
    if not launch.requests:
        return tuple(sorted(files, key=lambda file: file.name))
    return tuple(file for one in asked for file in files if _is_of(file, str(one.id)))


def _is_of(file: OutputFile, ident: str) -> bool:
    stem = _last_part(file.name).rpartition(".")[0]
    return stem == ident or (stem.startswith(f"{ident}_") and stem.removeprefix(f"{ident}_").isdecimal())


def of_warmup(launch: Launch, log: LogEvidence) -> tuple[OutputFile, ...]:
    """All files of the launch, if none was written since its measured request began, as the log's times say; else none.

    The log's times have neither a year nor a zone. Where the two clocks are further from each other than the launch
    was long, they are of different zones, and nothing follows.
    """
    files = launch.outputs or ()
    if log.request_began is None or not files or launch.wall_s is None:
        return ()
    for file in files:
        if file.modified_at is None:
            return ()
        modified = datetime.fromisoformat(file.modified_at).replace(tzinfo=None)
        try:
            began = datetime.strptime(f"{modified.year}-{log.request_began}", "%Y-%m-%d %H:%M:%S")
        except ValueError:
            return ()
        if not timedelta(0) < began - modified < timedelta(seconds=launch.wall_s) + _SLACK:
            return ()
    return files


def _last_part(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2]
