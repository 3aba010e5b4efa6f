"""What a case needs beside the engine: input files in the assets folder, and a token for a gated model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_sgdiff.data import Case
from pytest_sgdiff.errors import AssetError


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a file can be had. `sha256` is that of the file which `url` names for good, None where the address is that
    of a branch, whose file may change."""

    url: str
    sha256: str | None = None

    def __str__(self) -> str:
        return self.url if self.sha256 is None else f"{self.url} (SHA-256 {self.sha256})"


# Where upstream's benchmark presets and server tests take their input files from. Whatever lies there one day, a
# baseline knows the file that it was recorded with by its SHA-256: another one is another workload.
SOURCES: Mapping[str, Source] = {
    "cat.png": Source(
        url="https://huggingface.co/datasets/huggingface/documentation-images/resolve/main/diffusers/cat.png"
    ),
    "mova_single_person.jpg": Source(url="https://github.com/OpenMOSS/MOVA/raw/main/assets/single_person.jpg"),
    "cache_dit_scm_config.yaml": Source(
        url="https://raw.githubusercontent.com/sgl-project/sglang/0fc1a4fb72201e98129cf6a688400ae084d7cf6d/python/"
        "sglang/multimodal_gen/test/server/configs/cache_dit_scm_config.yaml",
        sha256="7be6aaa922d1256c7eec2ea866433fef59b83eab5cce616e392dff412b12fc5d",
    ),
}

# All that huggingface_hub reads, the older names too.
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")


def resolve_assets(case: Case, folder: Path | None) -> Mapping[str, Path]:
    """Flag -> file for every asset of the case.

    Raises AssetError that names every missing file, where the case asks for it, and where to get it.
    """
    if missing := missing_assets(case, folder):
        raise AssetError(*(f"{case.at(f'assets.{flag}')}: {complaint}" for flag, complaint in missing))
    return {} if folder is None else {flag: folder / name for flag, name in case.assets.items()}


def missing_assets(case: Case, folder: Path | None) -> list[tuple[str, str]]:
    """Each asset of the case that is not in the folder: its flag, and what is wrong, with the place to get it."""
    missing = []
    for flag, name in case.assets.items():
        path = None if folder is None else folder / name
        if path is None or not (_is_inside(path, folder) and path.is_file() and path.stat().st_size > 0):
            missing.append((flag, _complaint(name, path, folder)))
    return missing


def asset_hashes(assets: Mapping[str, Path]) -> Mapping[str, str]:
    """Flag -> SHA-256 of the file's bytes, in hexadecimal: another image is another workload."""
    return {flag: _digest(path) for flag, path in assets.items()}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _is_inside(path: Path, folder: Path | None) -> bool:
    """Whether a file is in the folder that was named, whatever links and `..` are on the way to it."""
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def has_token(env: Mapping[str, str]) -> bool:
    """Whether gated models can be fetched. A token that `hf auth login` left counts; offline none is needed."""
    if env.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return True
    return any(env.get(name, "").strip() for name in TOKEN_VARIABLES) or _token_file(env).is_file()


def missing_token(case: Case, env: Mapping[str, str], *, elsewhere: bool | None = None) -> str | None:
    """Why the case's gated model cannot be fetched, with the fix, or None. `elsewhere`: whether there is a token where
    it is fetched, if that is not here."""
    if not case.requires.token or (has_token(env) if elsewhere is None else elsewhere):
        return None
    return (
        f"{case.model} is gated: set HF_TOKEN to a token of an account that has access, or log in with 'hf auth login'"
    )


def _complaint(name: str, path: Path | None, folder: Path | None) -> str:
    get = f"get it from {SOURCES[name]}" if name in SOURCES else "put it there"
    if path is None:
        where = f" (get it from {SOURCES[name]})" if name in SOURCES else ""
        return f"asset '{name}' is needed: name the folder that holds it with --sgdiff-assets=DIR{where}"
    if not _is_inside(path, folder):
        return (
            f"asset '{name}' is a link out of {folder}, to {path.resolve()}: put a copy into the folder, or name one "
            "that contains both"
        )
    if not path.exists():
        return f"asset '{name}' is not in {folder}: {get}"
    return f"asset '{name}' in {folder} is {'empty' if path.is_file() else 'not a file'}: {get}"


def _token_file(env: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps the token of a login."""
    if env.get("HF_TOKEN_PATH"):
        return Path(env["HF_TOKEN_PATH"])
    cache = env.get("XDG_CACHE_HOME") or f"{env.get('HOME', '')}/.cache"
    return Path(env.get("HF_HOME") or f"{cache}/huggingface") / "token"
