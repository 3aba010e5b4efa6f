from __future__ import annotations

from pytest_sgdiff.reports import junit
from tests import factories


def test_properties_are_flat_text_with_units_in_their_names() -> None:
    properties = dict(junit.properties(factories.regressed(folder="recording/wan")))
    assert properties["sgdiff.outcome"] == "regressed"
    assert properties["sgdiff.launches"] == "5"
    assert properties["sgdiff.machine"] == "nvidia-h100-80gb-hbm3-x4"
    assert properties["sgdiff.folder"] == "recording/wan"
    assert properties["sgdiff.denoise.verdict"] == "regressed"
    assert properties["sgdiff.denoise.now_ms"] == "86080"
    assert properties["sgdiff.peak_memory.now_mib"] == "22036.5"


def test_what_is_not_known_is_left_out() -> None:
    bare = factories.fallback(machine=None, folder=None)
    assert junit.properties(bare) == [
        ("sgdiff.outcome", "invalid"),
        ("sgdiff.reason", "ran on the diffusers backend"),
        ("sgdiff.launches", "0"),
    ]
