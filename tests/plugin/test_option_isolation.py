"""`--sgdiff-isolation`: the names that `alone` had are taken, and the run says so once."""

from __future__ import annotations

from tests.plugin.conftest import Project


def test_a_former_name_is_noted_once(project: Project) -> None:
    (project.root / "empty").mkdir()
    output = project.run("--sgdiff-replay=empty", "--sgdiff-isolation=quiet").stdout.str()
    assert output.count("sgdiff: note: --sgdiff-isolation=quiet is now --sgdiff-isolation=alone: ") == 1
    assert output.count("isolation=alone") == 1
