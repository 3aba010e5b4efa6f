"""Whether a launch failed for want of its model: the files are not there, may not be read, or cannot be fetched."""

from __future__ import annotations

import re
from typing import Literal

from pytest_sgdiff.data.failures import ExceptionRaised, Failure, UnknownModel

# What huggingface_hub, requests and httpx raise where a repository cannot be had.
_HUB = frozenset(
    (
        *("GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError", "LocalEntryNotFoundError"),
        *("EntryNotFoundError", "OfflineModeIsEnabled", "HfHubHTTPError", "HFValidationError"),
        *("ConnectionError", "ConnectTimeout", "ConnectError", "ReadTimeout", "ProxyError", "SSLError", "gaierror"),
    )
)
_DENIED = frozenset(("PermissionError",))
_FILES = frozenset(("FileNotFoundError", "NotADirectoryError", "OSError", "EnvironmentError"))

Lack = Literal["denied", "missing"]
"""`denied`: the failure names the model, which may not be read or cannot be had, whatever the flags. `missing`: it is
about a repository or a file, which may be one that only some flags need."""


def lack_of_model(failure: Failure | None, model: str) -> Lack | None:
    """Whether a failure is that the `model` (its repository, or its folder) cannot be had; None where it is another."""
    if isinstance(failure, UnknownModel):
        return "denied" if _names(failure.model, model) else "missing"
    if not isinstance(failure, ExceptionRaised):
        return None
    kind, named = failure.type.rpartition(".")[2], _names(f"{failure.message} {failure.more}", model)
    if kind in _HUB or kind in _DENIED:
        return "denied" if named else "missing"
    return "missing" if kind in _FILES and named else None


def _names(text: str, model: str) -> bool:
    """Whether words name a model: as it is called, or as the folder of the Hub's cache."""
    cached = f"models--{model.replace('/', '--')}"
    return any(re.search(rf"(?<![\w.-]){re.escape(one)}(?![\w-])", text) for one in (model, cached))
