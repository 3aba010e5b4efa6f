"""The version stands in the git tag and nowhere else, and everything that tells it tells the same."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hatch_vcs.version_source import VCSVersionSource
from packaging.version import Version

import pytest_sgdiff
from pytest_sgdiff.cli import main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCE: dict[str, Any] = PROJECT["tool"]["hatch"]["version"]


RECORD = """node: $Format:%H$
node-date: $Format:%cI$
describe-name: $Format:%(describe:tags=true,match=v[0-9]*.[0-9]*.[0-9]*)$
"""
"""`.git_archival.txt` in a checkout; git fills it in when it makes an archive."""


def test_the_record_of_an_archive_asks_for_the_tags_that_a_checkout_asks_for() -> None:
    (found,) = re.findall(r"match=(.+?)\)", RECORD)
    assert SOURCE["raw-options"]["scm"]["git"]["describe_command"][-1] == found
    here = (ROOT / ".git_archival.txt").read_text()
    assert here == RECORD or "$Format" not in here


def test_the_package_its_module_and_its_command_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert pytest_sgdiff.__version__ == version("pytest-sgdiff")
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"pytest-sgdiff {version('pytest-sgdiff')}\n"


def test_no_file_holds_a_version() -> None:
    assert "version" not in PROJECT["project"]
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert "__version__" not in vars(pytest_sgdiff)


def test_source_code_that_is_not_installed_has_the_version_of_a_build_that_knows_none() -> None:
    # Without site-packages there is nothing that tells of an installation.
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import pytest_sgdiff; print(pytest_sgdiff.__version__)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{pytest_sgdiff.UNKNOWN}\n"
    assert SOURCE["fallback-version"] == pytest_sgdiff.UNKNOWN


class Checkout:
    """A repository with what decides the version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *words: str) -> bytes:
        tell = ["git", "-c", "user.name=n", "-c", "user.email=n@example.org", "-C", str(self.folder), *words]
        return subprocess.run(tell, check=True, capture_output=True).stdout

    def commit(self) -> None:
        self.git("commit", "-q", "--allow-empty", "-m", "a change")


def built(folder: Path) -> str:
    """The version that a build in this folder gets."""
    source = VCSVersionSource(str(folder), SOURCE)
    with warnings.catch_warnings():
        # That a clone is shallow, or that an archive is none.
        warnings.simplefilter("ignore", UserWarning)
        return str(source.get_version_data()["version"])


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    one = Checkout(tmp_path / "checkout")
    subprocess.run(["git", "init", "-q", "-b", "main", str(one.folder)], check=True)
    (one.folder / ".git_archival.txt").write_text(RECORD)
    for name in (".gitattributes", "pyproject.toml"):
        (one.folder / name).write_bytes((ROOT / name).read_bytes())
    one.git("add", ".")
    one.commit()
    return one


def archive(checkout: Checkout, commit: str) -> Path:
    """What a host offers to download of a commit."""
    target = checkout.folder.with_name(f"archive-{commit}")
    with tarfile.open(fileobj=io.BytesIO(checkout.git("archive", commit))) as files:
        files.extractall(target)
    return target


def test_a_tag_is_the_version_in_a_checkout_and_in_an_archive_of_it(checkout: Checkout) -> None:
    checkout.git("tag", "v0.3.0")
    assert built(checkout.folder) == "0.3.0"
    assert built(archive(checkout, "v0.3.0")) == "0.3.0"


def test_beyond_a_tag_it_is_the_next_versions_with_the_commit(checkout: Checkout) -> None:
    checkout.git("tag", "v0.3.0")
    checkout.commit()
    head = checkout.git("rev-parse", "--short", "HEAD").decode().strip()
    assert built(checkout.folder) == f"0.3.1.dev1+g{head}"
    assert Version("0.3.0") < Version(built(archive(checkout, "HEAD"))) < Version("0.3.1")


@pytest.mark.parametrize("tag", [None, "nightly-2026.11.30", "v1", "vendor-9.9.9"])
def test_without_a_tag_of_a_release_it_is_older_than_every_release(checkout: Checkout, tag: str | None) -> None:
    if tag:
        checkout.git("tag", tag)
    assert Version("0.0.0.dev0") < Version(built(checkout.folder)) < Version("0.0.1")
    # A clone of depth 1 has no tags, either.
    checkout.git("tag", "v0.3.0")
    checkout.commit()
    shallow = checkout.folder.with_name("shallow")
    origin = checkout.folder.as_uri()
    subprocess.run(["git", "clone", "-q", "--depth", "1", "--no-tags", origin, str(shallow)], check=True)
    assert Version("0.0.0.dev0") < Version(built(shallow)) < Version("0.0.1")


def test_without_git_and_without_a_record_it_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    assert built(tmp_path) == pytest_sgdiff.UNKNOWN
    # A copy of the checkout has the record's form, which nobody filled in.
    (tmp_path / ".git_archival.txt").write_text(RECORD)
    assert built(tmp_path) == pytest_sgdiff.UNKNOWN
