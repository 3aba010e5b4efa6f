"""The commands that a run proposes to type next, with this run's own places: what records a baseline, what compares two
engines' launches, what records launches that are kept."""

from __future__ import annotations

from pathlib import Path

from pytest_sgdiff.data import Case
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.runner.command_line import line


def comparing(settings: Settings, case: Case, out: Path) -> str:
    """What compares the launches of both engines of an A/B run, which are in `out`."""
    folders = (recordings.launch_folder(side, case.id, 0).parent for side in (out / recordings.AGAINST, out))
    return line(["sgdiff", "compare", *(settings.typed(folder) for folder in folders)])


def recording(settings: Settings, case: Case, node_id: str, *, replay: Path | None) -> str:
    """What records a baseline of the test: it launches, or takes what is in the folder `replay`."""
    words = [
        "pytest",
        f"--sgdiff-replay={settings.typed(replay)}"
        if replay is not None
        else f"--sgdiff-cluster={settings.cluster}"
        if settings.cluster is not None
        else f"--sgdiff-gpus={settings.gpus or case.gpus or 'none'}",
    ]
    if settings.live and settings.engine_cmd != ("sglang",):
        words.append(f"--sgdiff-engine-cmd={line(settings.engine_cmd)}")
    words += _places(settings, assets=replay is None and bool(case.assets))
    return line([*words, "--sgdiff-update", _typed_id(settings, node_id)])


def recording_kept(settings: Settings, node_id: str) -> str:
    """What records the launches that this run kept of the test, without launching again; empty where none are kept."""
    if not settings.live or settings.out is None:
        return ""
    replay, update = f"--sgdiff-replay={settings.typed(settings.out)}", f"--sgdiff-update={settings.update}"
    return line(["pytest", replay, *_places(settings, assets=False), update, _typed_id(settings, node_id)])


def _typed_id(settings: Settings, node_id: str) -> str:
    """A node id, whose file pytest names from the root, for a command that is typed where pytest was called."""
    file, colons, test = node_id.partition("::")
    return f"{settings.typed(settings.root / file)}{colons}{test}"


def _places(settings: Settings, *, assets: bool) -> tuple[str, ...]:
    """The options for the folders that are not where they are looked for; those of an option lie below the root.
    `assets`: whether files are needed from theirs."""
    words = []
    if settings.baselines != settings.root / "baselines":
        words.append(f"--sgdiff-baselines={settings.near(settings.baselines)}")
    if assets and settings.assets is not None:
        words.append(f"--sgdiff-assets={settings.near(settings.assets)}")
    return tuple(words)
