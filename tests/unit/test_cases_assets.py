"""Assets and tokens: what is missing is said before any launch."""

from __future__ import annotations

import hashlib
import pathlib
import re

import pytest

from pytest_sgdiff.cases.assets import SOURCES, asset_hashes, missing_token, resolve_assets
from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.data import Case
from pytest_sgdiff.errors import AssetError

CAT = "https://huggingface.co/datasets/huggingface/documentation-images/resolve/main/diffusers/cat.png"
NAME_IT = "name the folder that holds it with --sgdiff-assets=DIR"
TEXT = """\
cases:
  edit:
    model: black-forest-labs/FLUX.2-dev
    requires: {token: true}
    assets: {image-path: cat.png, mask-path: masks/mine.png}
"""


@pytest.fixture
def case() -> Case:
    return load_cases("cases/x.yaml", TEXT)[0]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "cat.png").write_bytes(b"cat")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "mine.png").write_bytes(b"mask")
    return tmp_path


def complaint(case: Case, folder: pathlib.Path | None) -> list[str]:
    with pytest.raises(AssetError) as caught:
        resolve_assets(case, folder)
    return str(caught.value).splitlines()


def test_assets_are_found_by_flag_and_hashed_by_content(case: Case, folder: pathlib.Path) -> None:
    found = resolve_assets(case, folder)
    assert found == {"image-path": folder / "cat.png", "mask-path": folder / "masks" / "mine.png"}
    assert asset_hashes(found) == {
        "image-path": hashlib.sha256(b"cat").hexdigest(),
        "mask-path": hashlib.sha256(b"mask").hexdigest(),
    }


def test_without_a_folder_the_option_is_named(case: Case) -> None:
    assert complaint(case, None) == [
        f"cases/x.yaml:5:14: asset 'cat.png' is needed: {NAME_IT} (get it from {CAT})",
        f"cases/x.yaml:5:35: asset 'masks/mine.png' is needed: {NAME_IT}",
    ]


def test_a_missing_file_says_where_to_get_it(case: Case, tmp_path: pathlib.Path) -> None:
    assert complaint(case, tmp_path) == [
        f"cases/x.yaml:5:14: asset 'cat.png' is not in {tmp_path}: get it from {CAT}",
        f"cases/x.yaml:5:35: asset 'masks/mine.png' is not in {tmp_path}: put it there",
    ]


def test_an_empty_file_and_a_folder_are_no_assets(case: Case, folder: pathlib.Path) -> None:
    (folder / "cat.png").write_bytes(b"")
    (folder / "masks" / "mine.png").unlink()
    (folder / "masks" / "mine.png").mkdir()
    first, second = complaint(case, folder)
    assert first.startswith(f"cases/x.yaml:5:14: asset 'cat.png' in {folder} is empty: get it from https://")
    assert second == f"cases/x.yaml:5:35: asset 'masks/mine.png' in {folder} is not a file: put it there"


def test_a_case_without_assets_needs_no_folder() -> None:
    (case,) = load_cases("x.yaml", "cases: {a: {model: m}}")
    assert resolve_assets(case, None) == {}
    assert missing_token(case, {}) is None


def test_an_address_whose_file_stays_the_same_is_named_with_its_hash() -> None:
    for source in SOURCES.values():
        of_branch = re.search(r"/(?:main|master)/", source.url) is not None
        assert (source.sha256 is None) is of_branch
        assert str(source) == (source.url if of_branch else f"{source.url} (SHA-256 {source.sha256})")
        assert of_branch or (re.search(r"/[0-9a-f]{40}/", source.url) and re.fullmatch("[0-9a-f]{64}", source.sha256))


def test_a_gated_model_without_a_token_is_refused(case: Case, tmp_path: pathlib.Path) -> None:
    assert missing_token(case, {"HOME": str(tmp_path), "HF_TOKEN": " "}) == (
        "black-forest-labs/FLUX.2-dev is gated: set HF_TOKEN to a token of an account that has access, or log in with "
        "'hf auth login'"
    )


@pytest.mark.parametrize(
    "env",
    [
        {"HF_TOKEN": "hf_x"},
        {"HUGGING_FACE_HUB_TOKEN": "hf_x"},
        {"HUGGINGFACE_HUB_TOKEN": "hf_x"},
        {"HF_HUB_OFFLINE": "1"},
        {"HF_HUB_OFFLINE": "true"},
    ],
)
def test_a_token_or_offline_mode_is_enough(case: Case, env: dict[str, str], tmp_path: pathlib.Path) -> None:
    assert missing_token(case, {"HOME": str(tmp_path), **env}) is None


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_TOKEN_PATH"])
def test_the_token_of_a_login_is_enough(case: Case, variable: str, tmp_path: pathlib.Path) -> None:
    below = {"HOME": ".cache/huggingface/token", "XDG_CACHE_HOME": "huggingface/token", "HF_HOME": "token"}
    token = tmp_path / below.get(variable, "token")
    token.parent.mkdir(parents=True, exist_ok=True)
    token.write_text("hf_x")
    value = token if variable == "HF_TOKEN_PATH" else tmp_path
    assert missing_token(case, {variable: str(value)}) is None


def test_a_file_outside_of_the_folder_is_no_asset_wherever_a_link_leads(case: Case, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "assets"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"not for them")
    for name in case.assets.values():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(tmp_path / "secret")
    with pytest.raises(AssetError, match=f"is a link out of {folder}, to {tmp_path / 'secret'}"):
        resolve_assets(case, folder)
    for name in case.assets.values():
        (folder / name).unlink()
        (folder / "kept").write_bytes(b"an image")
        (folder / name).symlink_to(folder / "kept")
    assert set(resolve_assets(case, folder)) == set(case.assets)
