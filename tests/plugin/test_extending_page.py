"""The examples of docs/extending.md are run: each block is written where its first line says, beside a case.

All blocks of conftest.py go into one, so that two runs try them all; that each block has what it needs is tested in
`tests/unit/test_docs_examples.py`.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.plugin.conftest import CASE, Project

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")


def files() -> dict[str, str]:
    """What the blocks of the page say, by the file that the first line of each names."""
    found: dict[str, str] = {}
    for block in re.findall(r"^```(?:python|yaml)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        path = block.partition("\n")[0].removeprefix("# ")
        assert re.fullmatch(r"[\w/]+\.(py|yaml)", path), f"the first line of a block names no file: {path}"
        assert path == "conftest.py" or path not in found
        found[path] = found.get(path, "") + block
    return found


@pytest.fixture
def examples(project: Project) -> Project:
    """A project with a case and all files of the page."""
    project.write("cases/tiny.yaml", CASE.replace("baseline: 5", "baseline: 3"))
    for path, text in files().items():
        project.write(path, text.replace("baseline=5", "baseline=3"))
    wrapper = project.write("bin/numactl", '#!/bin/sh\nshift\nexec "$@"\n')
    wrapper.chmod(0o755)
    project.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    project.setenv("NODE_NAME", "node-7")
    return project


def test_every_hook_and_fixture_of_the_page_does_what_the_page_says(examples: Project) -> None:
    result = examples.run("--sgdiff-gpus=4", "--sgdiff-update", "--sgdiff-out=kept", "--setup-show", "-s")
    output = result.stdout.str()
    assert result.ret == 0, output
    first = {
        case.name: json.loads((case / "00" / "launch.json").read_text())
        for case in (*(examples.root / "kept").iterdir(), *(examples.root / "kept").glob("again/*/*"))
        if (case / "00").is_dir()
    }
    assert set(first) == {"tiny", "wan21_t2v", "wan21_small", "wan21_large", "wan21_decoding"}
    assert all(one["argv"][:3] == ["numactl", "--localalloc", "sglang"] for one in first.values())
    assert all(one["environment"]["host"] == "node-7" for one in first.values())
    assert all(one["env"]["OMP_NUM_THREADS"] == "8" for one in first.values())
    argv = first["wan21_large"]["argv"]
    assert argv[argv.index("--width") + 1] == "1280"
    baseline = json.loads((examples.root / "baselines" / "nvidia-h200-x1" / "tiny.json").read_text())["metrics"]
    assert baseline["ms_per_frame"] == [pytest.approx(e2e / 17, rel=1e-3) for e2e in baseline["e2e"]]
    assert output.count("F warm_disk (fixtures used: sgdiff_case, sgdiff_gpus)") == 1, "once: one case names it"
    assert "GPUs of this case: (0,)" in output
    assert json.loads((examples.root / "summary.json").read_text()) == {"measured": 5, "selected": 5, "regressed": []}

    (examples.root / "baselines").rename(examples.root / "theirs")
    examples.setenv("BASELINES", "theirs")
    examples.engine("slow:1.2")
    assert examples.run("--sgdiff-gpus=4", "cases/tiny.yaml").ret == 1
    told = json.loads((examples.root / "summary.json").read_text())
    assert told == {"measured": 1, "selected": 1, "regressed": ["tiny"]}
