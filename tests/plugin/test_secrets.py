"""Nothing that a run writes or prints holds a secret."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import CASE, Project

TOKEN = "hf_AAAAbbbbCCCCddddEEEEffffGGGG11"
SECRETS = ("hf_AAAA", "urlpass5555", "s3cr3t")
CONFTEST = f"""
import pytest

@pytest.fixture
def sgdiff_env():
    given = {{"X_AUTH": "{TOKEN}", "EXTRA": "{TOKEN}", "COPY": "s3cr3t-v@lue/1"}}
    return {{"MIRROR": "https://user:urlpass5555@host/x", **given}}
"""


@pytest.fixture(autouse=True)
def secrets(project: Project) -> None:
    """Secrets in the shell and from a fixture."""
    fewer = "baseline: 3, checkpoints: [1]"
    project.write("cases/tiny.yaml", CASE.replace("baseline: 5, checkpoints: [1, 3, 5]", fewer))
    project.write("conftest.py", CONFTEST)
    project.setenv("MY_SECRET", "s3cr3t-v@lue/1")
    project.setenv("SGLANG_S3_ENDPOINT_URL", "https://user:urlpass5555@s3")


def leaks(project: Project, *printed: str) -> list[str]:
    """Where a secret stands, in files that the run wrote and in what was printed; conftest.py has them, and what Python
    compiled of it."""
    written = [path for path in project.root.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    files = {str(path): path for path in written if path.name != "conftest.py"}
    told = {name: path.read_text(errors="replace") for name, path in files.items()}
    told |= {f"printed {number}": text for number, text in enumerate(printed)}
    return [name for name, text in told.items() if any(secret in text for secret in SECRETS)]


REPORTS = (
    *("--sgdiff-report=r.md", "--sgdiff-report=r.json", "--sgdiff-report=r.html", "--sgdiff-report=r.csv"),
    *("--sgdiff-report=r.txt", "--junitxml=j.xml", "--sgdiff-history=h.jsonl", "--sgdiff-out=out", "-vv", "-rA"),
)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_no_secret_leaves_a_run(project: Project, workers: tuple[str, ...]) -> None:
    project.setenv("GITHUB_ACTIONS", "true")
    project.setenv("GITHUB_STEP_SUMMARY", str(project.root / "summary.md"))
    recorded = project.record(*REPORTS, *workers)
    project.setenv("SGLANG_CACHE_DIT_ENABLED", TOKEN)
    judged = project.run("--sgdiff-gpus=4", *REPORTS, *workers)
    shown = project.run("--sgdiff-dry-run", f"--sgdiff-engine-cmd=env A_KEY=s3cr3t sglang --x {TOKEN}")
    assert leaks(project, recorded.stdout.str(), judged.stdout.str(), shown.stdout.str()) == []
    launch = json.loads((project.root / "out" / "tiny" / "00" / "launch.json").read_text())
    assert launch["env"]["EXTRA"] == launch["env"]["X_AUTH"] == launch["env"]["COPY"] == "<redacted>"
    assert launch["workload"]["fields"]["env.MIRROR"] == "https://<redacted>@host/x"


def test_a_token_of_another_day_is_the_same_work(project: Project) -> None:
    project.record()
    project.write("conftest.py", CONFTEST.replace("AAAA", "ZZZZ").replace("urlpass5555", "other"))
    project.run("--sgdiff-gpus=4", "--sgdiff-report=r.json")
    (case,) = json.loads((project.root / "r.json").read_text())["cases"]
    assert case["outcome"] != "no-baseline"


def test_a_message_of_a_hook_that_answers_nonsense_holds_none(project: Project) -> None:
    project.write("conftest.py", f"def pytest_sgdiff_command(command):\n    return {{'x': '{TOKEN}'}}\n")
    result = project.run("--sgdiff-gpus=4", "--junitxml=j.xml")
    result.stdout.fnmatch_lines(["*pytest_sgdiff_command: the answer must be*"])
    assert leaks(project, result.stdout.str()) == []


def test_a_fault_of_a_test_is_told_without_secrets(project: Project) -> None:
    project.write(
        "cases/test_mine.py",
        "import os\n"
        "def test_mine(sgdiff):\n"
        "    raise RuntimeError('cannot reach ' + os.environ['SGLANG_S3_ENDPOINT_URL'] + os.environ['MY_SECRET'])\n",
    )
    project.write(
        "cases/conftest.py",
        "import pytest\nfrom pytest_sgdiff.data import Case, Location\n"
        "@pytest.fixture\ndef sgdiff_case():\n"
        "    return Case(name='m', model='a/b', location=Location(path='t', line=1, column=1))\n",
    )
    result = project.run("--sgdiff-gpus=4", "--junitxml=j.xml", "cases/test_mine.py")
    result.stdout.fnmatch_lines(["*cannot reach https://<redacted>@s3<redacted>*"])
    assert leaks(project, result.stdout.str()) == []
