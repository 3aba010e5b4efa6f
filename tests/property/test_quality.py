"""Laws of comparing pictures."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pytest_sgdiff.data import OutputSample, QualityChoice
from pytest_sgdiff.quality.judge import judge_quality
from pytest_sgdiff.quality.odd import odd_launch
from pytest_sgdiff.quality.pictures import blank
from pytest_sgdiff.quality.reference import Drawn, reference_of
from pytest_sgdiff.quality.similarity import similarity
from tests.examples import examples

SIZES = st.integers(3, 20)


@st.composite
def pictures(draw: st.DrawFn, *, size: tuple[int, int] | None = None) -> Any:
    """Pixels of any picture: noise, a gradient, few colours."""
    height, width = size or (draw(SIZES), draw(SIZES))
    noise = np.random.default_rng(draw(st.integers(0, 1000))).integers(0, 256, (height, width, 3))
    flat = np.asarray(draw(st.tuples(*[st.integers(0, 255)] * 3)))
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    return (share * noise + (1 - share) * flat).astype("uint8")


@st.composite
def pairs(draw: st.DrawFn) -> Any:
    size = draw(SIZES), draw(SIZES)
    return draw(pictures(size=size)), draw(pictures(size=size))


def drew(pixels: Any) -> OutputSample:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="PNG")
    height, width = pixels.shape[:2]
    return OutputSample(kind="image", width=width, height=height, picture=data.getvalue())


@examples(20)
@given(pictures())
def test_a_picture_is_itself(pixels: Any) -> None:
    seen = similarity(drew(pixels), drew(pixels))
    assert (seen.ssim, seen.mse, seen.difference, seen.psnr_db) == (1, 0, 0, None)


@examples(20)
@given(pairs())
def test_likeness_is_symmetric_and_in_range(both: Any) -> None:
    one, other = map(drew, both)
    there, back = similarity(one, other), similarity(other, one)
    assert there.ssim is not None
    assert back.ssim is not None
    assert there.mse == back.mse
    assert there.difference == back.difference
    assert abs(there.ssim - back.ssim) < 1e-9
    assert -1 - 1e-9 <= there.ssim <= 1 + 1e-9


@examples(20)
@given(st.integers(4, 6), st.integers(0, 5), st.integers(0, 1000), st.sampled_from([0.0, 1.0, 4.0]))
def test_the_odd_launch_is_found_wherever_it_stands_and_noise_is_none(n: int, at: int, seed: int, noise: float) -> None:
    draws = np.random.default_rng(seed)
    base = draws.integers(60, 190, (16, 16, 3)).astype(float)

    def launch(picture: Any) -> OutputSample:
        return drew((picture + draws.normal(0, noise, picture.shape)).round().clip(0, 255).astype("uint8"))

    samples = [launch(base) for _ in range(n)]
    assert odd_launch([Drawn(launch=place, samples=(one,)) for place, one in enumerate(samples)]) is None
    samples[at % n] = launch(250 - base)
    found = odd_launch([Drawn(launch=place, samples=(one,)) for place, one in enumerate(samples)])
    assert found is not None
    assert found.launch == at % n


@examples(20)
@given(pictures(), st.sampled_from(["lossless", "lossy", "bounded"]))
def test_a_black_frame_never_passes(pixels: Any, mode: Any) -> None:
    """Whatever was drawn before and whatever a case allows: it is said to show nothing."""
    black = np.zeros_like(pixels)
    assert blank(Image.fromarray(black)) == "black"
    if blank(Image.fromarray(pixels)) is None and mode == "lossless":
        reference = reference_of([Drawn(launch=0, samples=(drew(pixels),))] * 3)
        assert judge_quality(QualityChoice(), reference, [Drawn(launch=0, samples=(drew(black),))]).other_picture
