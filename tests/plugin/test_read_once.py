"""A replay and the commands read each file once, and build what is judged once for each look."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.judging import judge, series
from pytest_sgdiff.runner import gate
from tests.plugin.conftest import Project

EXAMPLES = Path(__file__).parents[2] / "examples"
CASE = "tiny_wan_slower"

_opened: list[str] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None:
        path, _, flags = arguments
        reads = isinstance(flags, int) and flags & os.O_ACCMODE == os.O_RDONLY
        if reads and isinstance(path, str | os.PathLike):
            _opened.append(os.path.basename(path))


sys.addaudithook(_hook)


@contextmanager
def opened() -> Iterator[Counter[str]]:
    """How often files of a name are opened to be read: filled when the block ends."""
    global _opened
    found: Counter[str] = Counter()
    _opened = []
    try:
        yield found
    finally:
        found.update(_opened)
        _opened = None


@pytest.fixture
def demo(project: Project) -> Project:
    """One case with five launches, and the baselines of its machine."""
    for part in ("assets", "baselines", f"recordings/h200/{CASE}"):
        shutil.copytree(EXAMPLES / part, project.root / part)
    shutil.rmtree(project.root / "cases")
    shutil.copytree(EXAMPLES / "cases", project.root / "cases")
    (project.root / "cases" / "two_gpus.yaml").unlink()
    return project


def there(root: Path, *folders: str) -> Counter[str]:
    """How many files of each name lie in the folders."""
    files = (file for folder in folders for file in (root / folder).rglob("*") if file.is_file())
    return Counter(file.name for file in files if file.suffix in (".json", ".log", ".yaml"))


def test_a_replay_reads_each_file_once(demo: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    built: Counter[str] = Counter()
    usual = series.series_of

    def counting(now, baseline, choice):  # type: ignore[no-untyped-def]
        built[baseline.measurement.case] += 1
        return usual(now, baseline, choice)

    for module in (series, judge, gate):
        monkeypatch.setattr(module, "series_of", counting)
    files = there(demo.root, "baselines", "cases", "recordings")
    assert files["launch.json"] == 5
    with opened() as reads:
        assert demo.run("--sgdiff-replay=recordings/h200", "-k", CASE).ret == pytest.ExitCode.TESTS_FAILED
    assert {name: reads[name] for name in files} == files
    # Three looks, and what each baseline of the suite says of its noise.
    assert built.pop(CASE) == 3 + 1
    assert set(built.values()) == {1}


@pytest.mark.parametrize("update", ["all", "extend", "missing"])
def test_an_update_reads_again_only_what_it_replaces_and_only_under_the_lock(demo: Project, update: str) -> None:
    if update == "missing":
        next(demo.root.glob(f"baselines/*/{CASE}.json")).unlink()
    files = there(demo.root, "baselines", "cases", "recordings")
    with opened() as reads:
        demo.run("--sgdiff-replay=recordings/h200", f"--sgdiff-update={update}", "-k", CASE)
    again = Counter({} if update == "missing" else {f"{CASE}.json": 1})
    assert {name: reads[name] for name in files} == files + again


@pytest.mark.parametrize(
    ("command", "folders"),
    [
        (["baselines", "check"], ("baselines", "cases")),
        (["baselines", "list"], ("baselines",)),
        (["baselines", "show", CASE], ("baselines",)),
        (["baselines", "diff", "candidates"], ("baselines", "candidates", "cases")),
        (["inspect", f"recordings/h200/{CASE}"], ("recordings",)),
        (["compare", f"recordings/h200/{CASE}", "other"], ("recordings", "other")),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_commands_read_each_file_once(demo: Project, command: list[str], folders: tuple[str, ...]) -> None:
    shutil.copytree(demo.root / "recordings" / "h200" / CASE, demo.root / "other")
    shutil.copytree(demo.root / "baselines", demo.root / "candidates")
    for file in (demo.root / "candidates").rglob("*.json"):
        file.write_text(file.read_text().replace('"at": "2026', '"at": "2025'))
    with opened() as reads:
        main(command)
    files = there(demo.root, *folders)
    assert {name: reads[name] for name in files} == files


@pytest.mark.parametrize("asked", [["--sgdiff-replay=."], []], ids=["measuring", "not-measuring"])
def test_a_collection_reads_each_case_file_once(project: Project, asked: list[str]) -> None:
    """Whichever of its cases are compared with those of other files."""
    shutil.rmtree(project.root / "cases")
    for n in range(6):
        faster = f"faster_than: {{case: slow_{(n + 1) % 6}}}"
        project.write(f"cases/f{n}.yaml", f"cases:\n  fast_{n}: {{model: m, {faster}}}\n  slow_{n}: {{model: m}}\n")
    files = there(project.root, "cases")
    with opened() as reads:
        result = project.run("--collect-only", "-q", *asked)
    assert result.ret == 0
    assert {name: reads[name] for name in files} == files
