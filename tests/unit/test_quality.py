"""The quality guard: samples of outputs, how alike two are, and what becomes of a case's pictures."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pytest_sgdiff.baselines import check, find, references, save
from pytest_sgdiff.data import (
    MeshSample,
    OutputFile,
    OutputSample,
    Quality,
    QualityChoice,
    Reference,
    Similarity,
    View,
)
from pytest_sgdiff.errors import BaselineError
from pytest_sgdiff.quality import judge, limits, sampling
from pytest_sgdiff.quality.child import sample
from pytest_sgdiff.quality.judge import Drawn, judge_quality, reference_of, sample_problems, with_views
from pytest_sgdiff.quality.pictures import DamagedError, frames_shown, opened
from pytest_sgdiff.quality.similarity import difference_picture, similarity
from pytest_sgdiff.reports.html import drawn
from tests import factories

SIDE = 32
LOSSLESS = QualityChoice()


def levels(seed: int = 0, *, shape: tuple[int, int] = (SIDE, SIDE)) -> Any:
    """A picture with something in it."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    waves = [127 + 100 * np.sin(x / (3 + seed) + y / (5 + colour)) for colour in range(3)]
    return np.stack(waves, axis=-1).astype("uint8")


def png(pixels: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="PNG")
    return data.getvalue()


def drew(pixels: Any, **changes: Any) -> OutputSample:
    height, width = pixels.shape[:2]
    given = {"name": "a.png", "kind": "image", "width": width, "height": height, "picture": png(pixels)}
    return OutputSample(**{**given, **changes})


def launches(*pictures: Any) -> list[Drawn]:
    return [Drawn(launch=number, samples=(drew(pixels),)) for number, pixels in enumerate(pictures)]


def wavering(amount: float, seed: int) -> Any:
    """The picture with noise of so many levels."""
    noise = np.random.default_rng(seed).normal(0, amount, (SIDE, SIDE, 3))
    return (levels().astype(float) + noise).clip(0, 255).astype("uint8")


# --------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(("form", "suffix"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")])
def test_what_sglang_writes_is_read_as_it_is(tmp_path: Path, form: str, suffix: str) -> None:
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(levels(shape=(20, 40))).save(file, format=form)
    assert sampling.form_of(str(file)) == form.lower()
    found = sample(form.lower(), str(file))
    assert (found.kind, found.width, found.height, found.blank, found.flaw) == ("image", 40, 20, None, None)
    assert opened(found.picture).size == (40, 20)
    assert sample(form.lower(), str(file)) == found


def test_a_large_image_is_scaled_down_and_keeps_its_size_as_a_figure(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png(levels(shape=(limits.IMAGE_SIDE, 2 * limits.IMAGE_SIDE))))
    found = sample("png", str(file))
    assert (found.width, found.height) == (2 * limits.IMAGE_SIDE, limits.IMAGE_SIDE)
    assert opened(found.picture).size == (limits.IMAGE_SIDE, limits.IMAGE_SIDE // 2)


def write_video(file: Path, pictures: list[Any]) -> None:
    import av

    with av.open(str(file), "w") as container:
        stream: Any = container.add_stream("libx264", rate=8)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_a_video_becomes_a_strip_of_a_few_frames(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    write_video(file, [levels(seed) for seed in range(9)])
    assert sampling.form_of(str(file)) == "mp4"
    found = sample("mp4", str(file))
    assert (found.kind, found.frames, found.shown) == ("video", 9, (0, 2, 4, 6, 8))
    assert (found.width, found.height, found.blank) == (SIDE, SIDE, None)
    assert opened(found.picture).size == (5 * SIDE, SIDE)
    black = tmp_path / "black.mp4"
    write_video(black, [np.zeros((SIDE, SIDE, 3), "uint8")] * 3)
    assert sample("mp4", str(black)).blank == "black"
    # One frame with a picture is enough.
    faded = tmp_path / "faded.mp4"
    write_video(faded, [np.zeros((SIDE, SIDE, 3), "uint8"), levels()])
    assert sample("mp4", str(faded)).blank is None


def test_the_frames_of_a_strip_are_the_first_the_last_and_those_between() -> None:
    assert frames_shown(1) == (0,)
    assert frames_shown(5) == (0, 1, 2, 3, 4)
    assert frames_shown(81) == (0, 20, 40, 60, 80)


TRIANGLES = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 3\nf 1 2 3\nf 1 2 4\n"


def test_a_mesh_becomes_points_on_its_surface_and_opens_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "a.obj"
    file.write_text(f"mtllib ../secret.mtl\n{TRIANGLES}")
    assert sampling.form_of(str(file)) == "obj"
    found = sample("obj", str(file))
    assert found.mesh is not None
    assert (found.kind, found.mesh.vertices, found.mesh.faces) == ("mesh", 4, 2)
    assert (found.mesh.low, found.mesh.high) == ((0, 0, 0), (1, 2, 3))
    points = np.asarray(found.mesh.points).reshape(-1, 3)
    assert len(points) == limits.POINTS
    assert points.min() >= 0
    assert (points.max(axis=0) <= [1, 2, 3]).all()
    assert sample("obj", str(file)) == found


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("png", png(levels())[:-200]),
        ("png", b"\x89PNG\r\n\x1a\n"),
        ("jpeg", b"\xff\xd8\xff"),
        ("mp4", b"\0\0\0\x18ftypisom" + b"\0" * 40),
        ("obj", b"v 0 0 0\n"),
        ("obj", b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"),
        ("glb", b"glTF" + b"\0" * 20),
    ],
)
def test_a_damaged_file_is_said_to_be_one(tmp_path: Path, form: str, content: bytes) -> None:
    file = tmp_path / "a"
    file.write_bytes(content)
    found = sample(form, str(file))
    assert (found.flaw, found.picture, found.mesh) == ("unreadable", b"", None)
    assert str(tmp_path) not in found.said


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that says it has so many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def test_a_picture_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(bomb(60_000, 60_000))
    assert sample("png", str(file)).flaw == "too-large"


def test_samples_are_made_apart_in_bounded_time(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(levels()))
    (tmp_path / "notes.txt").write_text("no picture")
    outputs = [OutputFile(name=name, size_bytes=9) for name in ("a.png", "notes.txt")]
    (found,) = sampling.samples(str(tmp_path), outputs)
    assert (found.name, found.kind, found.flaw) == ("a.png", "image", None)
    (slow,) = sampling.samples(str(tmp_path), outputs, seconds=0.001)
    assert (slow.name, slow.flaw) == ("a.png", "too-slow")


def test_files_of_other_kinds_and_too_many_are_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("no picture")
    (found,) = sampling.samples(str(tmp_path), [OutputFile(name="a.txt", size_bytes=9)])
    assert (found.name, found.flaw) == ("a.txt", "format")
    assert sampling.samples(str(tmp_path), []) == ()
    monkeypatch.setattr(sampling, "_sample", lambda form, path, seconds: OutputSample(kind="image"))
    many = [OutputFile(name=f"{number}.png", size_bytes=9) for number in range(limits.FILES_AT_MOST + 3)]
    for one in many:
        (tmp_path / one.name).write_bytes(png(levels()))
    last = sampling.samples(str(tmp_path), many)[-1]
    assert (last.name, last.flaw) == (f"{limits.FILES_AT_MOST}.png", "left-out")


@pytest.mark.parametrize(
    ("colour", "blank"),
    [((0, 0, 0), "black"), ((16, 16, 16), "black"), ((255, 255, 255), "white"), ((128, 128, 128), "grey")],
)
def test_a_picture_of_one_colour_shows_nothing_whatever_the_reference_is(
    tmp_path: Path, colour: tuple[int, int, int], blank: str
) -> None:
    file = tmp_path / "a.png"
    pixels = np.zeros((SIDE, SIDE, 3), "uint8") + np.asarray(colour, "uint8")
    pixels[::2] += np.uint8(0 if max(colour) == 255 else 2)  # what an encoder makes of it
    file.write_bytes(png(pixels))
    found = sample("png", str(file))
    assert found.blank == blank
    (problem,) = sample_problems(LOSSLESS, (replace(found, name="a.png"),))
    assert (problem.kind, problem.code, problem.cause, problem.blank) == ("invalid", "blank-output", "blank", blank)
    assert [one.code for one in sample_problems(QualityChoice(mode="lossy"), (found,))] == ["blank-output"]
    assert sample_problems(QualityChoice(mode="off"), (found,)) == ()


def test_a_damaged_output_is_a_problem_and_one_that_nobody_can_read_is_none() -> None:
    (problem,) = sample_problems(LOSSLESS, (OutputSample(name="a.mp4", flaw="unreadable", said="cut off"),))
    assert (problem.code, problem.cause, problem.found) == ("bad-output", "damaged", ("a.mp4",))
    assert sample_problems(LOSSLESS, (OutputSample(name="a.bin", flaw="format"),)) == ()
    assert sample_problems(LOSSLESS, None) == ()


# ------------------------------------------------------------------------------------------------------- comparing


def test_equal_pictures_and_black_ones() -> None:
    one, black = drew(levels()), drew(np.zeros((SIDE, SIDE, 3), "uint8"))
    assert similarity(one, one) == Similarity(ssim=1.0, mse=0.0, block_mse=0.0, difference=0.0)
    assert similarity(one, one).psnr_db is None
    seen = similarity(one, black)
    assert seen.ssim is not None
    assert seen.ssim < 0.1
    assert seen.psnr_db == pytest.approx(5.2, abs=1)


def test_of_a_strip_the_worst_frame_counts() -> None:
    first, second, other = levels(0), levels(1), levels(9)
    strip = drew(np.hstack([first, second]), kind="video", frames=9, shown=(0, 8))
    now = drew(np.hstack([first, other]), kind="video", frames=9, shown=(0, 8))
    alone = similarity(drew(second), drew(other))
    assert similarity(strip, now) == replace(alone, frame=8)
    picture, gain = difference_picture(strip, now)
    assert opened(picture).size == (2 * SIDE, SIDE)
    assert np.asarray(opened(picture))[:, :SIDE].max() == 0
    assert gain >= 1


def test_meshes_are_as_far_apart_as_they_are_moved() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(8.0)] * 3), axis=-1).reshape(-1, 3)

    def mesh(points: Any) -> OutputSample:
        low, high = (tuple(map(float, side)) for side in (points.min(axis=0), points.max(axis=0)))
        return OutputSample(
            kind="mesh", mesh=MeshSample(vertices=8, faces=12, low=low, high=high, points=tuple(points.reshape(-1)))
        )

    seen = similarity(mesh(grid), mesh(grid + np.asarray([0.25, 0, 0])))
    diagonal = 7 * 3**0.5
    assert seen.chamfer == pytest.approx(0.25 / diagonal)
    assert seen.box == pytest.approx(0.25 / diagonal)
    assert seen.spacing == pytest.approx(1 / diagonal)
    still = similarity(mesh(grid), mesh(grid))
    assert (still.chamfer, still.box) == (0, 0)


def test_a_sample_from_elsewhere_is_read_with_care() -> None:
    for content in (b"", b"no picture", bomb(60_000, 60_000), png(levels())[:60]):
        with pytest.raises(DamagedError):
            opened(content)


# --------------------------------------------------------------------------------------------------------- judging


def judged(choice: QualityChoice, baseline: list[Drawn], now: list[Drawn]) -> Quality:
    reference = reference_of(baseline)
    assert reference is not None
    return judge_quality(choice, reference, now)


def test_the_same_picture_passes_and_another_one_does_not() -> None:
    steady = launches(levels(), levels(), levels())
    same = judged(LOSSLESS, steady, launches(levels()))
    assert (same.code, same.other_picture, same.launches) == ("same", False, 1)
    other = judged(LOSSLESS, steady, launches(levels(), levels(1)))
    assert (other.code, other.other_picture, other.launch, other.measure) == ("changed", True, 1, "psnr")
    assert other.limit == pytest.approx(48.13, abs=0.01)
    reference, now = reference_of(steady), launches(levels(), levels(1))
    (view,) = with_views(other, reference, now).views
    assert (view.then, view.now) == (png(levels()), png(levels(1)))
    assert view.difference


def test_a_level_of_rounding_is_the_same_picture() -> None:
    rounded = levels() + np.uint8(1)
    assert judged(LOSSLESS, launches(levels(), levels(), levels()), launches(rounded)).code == "same"
    assert judged(LOSSLESS, launches(levels(), levels(), levels()), launches(rounded + np.uint8(1))).code == "changed"


def test_a_small_defect_is_found_though_the_whole_picture_hardly_differs() -> None:
    large = levels(shape=(256, 256))
    patched = large.copy()
    patched[100:106, 100:106] ^= 0x30
    found = judged(LOSSLESS, launches(large, large, large), launches(patched))
    assert found.similarity is not None
    assert found.similarity.mse is not None
    assert found.similarity.mse < judge.ROUNDING_MSE
    assert (found.code, found.measure) == ("changed", "block")


def test_noise_of_the_baseline_is_measured_between_its_own_launches() -> None:
    noisy = launches(*(wavering(6, seed) for seed in range(3)))
    reference = reference_of(noisy)
    assert reference is not None
    assert reference.launches == 3
    noise = reference.outputs[0].noise
    assert noise is not None
    assert noise.mse == pytest.approx(72, rel=0.2)  # twice the variance of one
    assert judge_quality(LOSSLESS, reference, launches(wavering(6, 9))).code == "same"
    assert judge_quality(LOSSLESS, reference, launches(wavering(25, 9))).code == "changed"
    # Against a baseline without noise the same picture is another one.
    assert judged(LOSSLESS, launches(levels(), levels(), levels()), launches(wavering(6, 9))).code == "changed"


@pytest.mark.parametrize(
    ("choice", "code"),
    [
        (QualityChoice(mode="bounded", psnr=20), "allowed"),
        (QualityChoice(mode="bounded", psnr=40), "beyond-allowed"),
        (QualityChoice(mode="bounded", ssim=0.3, psnr=20, difference=20), "allowed"),
        (QualityChoice(mode="bounded", ssim=0.999), "beyond-allowed"),
        (QualityChoice(mode="bounded", difference=1), "beyond-allowed"),
        (QualityChoice(mode="lossy"), "lossy"),
        (LOSSLESS, "changed"),
    ],
)
def test_a_lossy_case_says_what_it_allows(choice: QualityChoice, code: str) -> None:
    steady = launches(levels(), levels(), levels())
    found = judged(choice, steady, launches(wavering(10, 1)))
    assert found.code == code
    assert found.similarity is not None


def test_dimensions_frames_kinds_and_numbers_come_before_pixels() -> None:
    steady = launches(levels(), levels(), levels())

    def of(*samples: OutputSample) -> Quality:
        return judged(QualityChoice(mode="lossy"), steady, [Drawn(launch=0, samples=samples)])

    size = of(drew(levels(shape=(SIDE, 40))))
    assert (size.code, size.then, size.now, size.other_picture) == ("other-size", "32x32", "40x32", True)
    assert of(drew(levels(), frames=8, shown=(0,))).code == "other-frames"
    assert of(drew(levels(), kind="video", frames=1, shown=(0,))).code == "other-kind"
    count = of(drew(levels()), drew(levels()))
    assert (count.code, count.then, count.now) == ("other-count", "1", "2")
    none = of()
    assert (none.code, none.then, none.now, none.other_picture) == ("other-count", "1", "0", True)


def test_what_is_not_compared_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = launches(levels(), levels(), levels())
    reference = reference_of(steady)
    unsampled = [Drawn(launch=0, samples=None)]
    assert judge_quality(QualityChoice(mode="off"), reference, steady).code == "off"
    assert judge_quality(LOSSLESS, reference, steady, saves=False).code == "no-output"
    assert judge_quality(LOSSLESS, reference, unsampled).code == "no-samples"
    assert judge_quality(LOSSLESS, reference, []).code == "no-samples"
    assert judge_quality(LOSSLESS, None, [Drawn(launch=0, samples=())]).code == "no-output"
    assert judge_quality(LOSSLESS, None, steady).code == "no-reference"
    huge = judge_quality(LOSSLESS, reference, [Drawn(launch=0, samples=(OutputSample(name="a", flaw="too-large"),))])
    assert (huge.code, huge.flaw, huge.name) == ("flawed", "too-large", "a")
    monkeypatch.setattr(judge, "missing", lambda: ("av",))
    lacking = judge_quality(LOSSLESS, reference, steady)
    assert (lacking.code, lacking.missing, lacking.other_picture) == ("no-library", ("av",), False)
    assert reference_of(steady) is None


def test_launches_that_drew_other_sizes_make_no_reference() -> None:
    assert reference_of(launches(levels(), levels(shape=(SIDE, 40)))) is None
    assert reference_of([]) is None
    assert reference_of([Drawn(launch=0, samples=None)]) is None


# ------------------------------------------------------------------------------------------------------- baselines


def baseline_with(reference: Reference | None) -> Any:
    return replace(factories.baseline(), reference=reference)


def test_a_reference_lies_beside_its_baseline_and_comes_back_as_it_was(tmp_path: Path) -> None:
    reference = reference_of(launches(levels(), wavering(3, 1), wavering(3, 2)))
    assert reference is not None
    path = save(tmp_path, baseline_with(reference))
    folder = references.folder_of(path)
    assert [file.name for file in folder.iterdir()] == [reference.outputs[0].file]
    machine = factories.baseline().measurement.machine
    found = find(tmp_path, machine, factories.baseline().measurement.case)
    assert found is not None
    assert found.reference is not None
    assert found.reference.outputs[0].sample.picture == b""
    assert references.read(found) == reference
    assert "stray" not in [flaw.code for flaw in check(tmp_path, {})]
    # Another picture takes its place, and leaves nothing of it.
    other = reference_of(launches(levels(1), levels(1)))
    assert other is not None
    save(tmp_path, baseline_with(other))
    assert [file.name for file in folder.iterdir()] == [other.outputs[0].file]
    save(tmp_path, baseline_with(None))
    assert not folder.exists()


@pytest.mark.parametrize("fault", ["missing", "edited", "link", "stray"])
def test_a_reference_that_is_not_the_recorded_one_is_refused(tmp_path: Path, fault: str) -> None:
    reference = reference_of(launches(levels(), levels()))
    path = save(tmp_path, baseline_with(reference))
    (file,) = references.folder_of(path).iterdir()
    if fault == "edited":
        file.write_bytes(png(levels(1)))
    elif fault == "stray":
        file.with_name("more.png").write_bytes(png(levels(1)))
    else:
        content = file.read_bytes()
        file.unlink()
        if fault == "link":
            (tmp_path / "elsewhere.png").write_bytes(content)
            file.symlink_to(tmp_path / "elsewhere.png")
    found = find(tmp_path, factories.baseline().measurement.machine, factories.baseline().measurement.case)
    assert found is not None
    flaws = [(flaw.code, Path(flaw.path).suffix) for flaw in check(tmp_path, {}) if Path(flaw.path).suffix == ".png"]
    if fault == "stray":
        assert flaws == [("stray-picture", ".png")]
        assert references.read(found) == reference
    else:
        assert flaws == [("unreadable", ".png")]
        with pytest.raises(BaselineError):
            references.read(found)


def test_points_of_a_mesh_are_a_file_of_numbers() -> None:
    mesh = MeshSample(vertices=4, faces=2, low=(0, 0, 0), high=(1, 1, 1), points=(0.0, 0.5, 1.0))
    one = OutputSample(kind="mesh", mesh=mesh)
    content = judge.content_of(one)
    assert content == b"0.0 0.5 1.0\n"
    bare = judge.without_content(one)
    assert bare.mesh is not None
    assert bare.mesh.points == ()
    assert judge.with_content(bare, content) == one
    for wrong in (b"1 2", b"", b"1 2 a", b"1 2 nan", b"\xff"):
        with pytest.raises(DamagedError):
            judge.with_content(bare, wrong)


def test_a_page_has_so_many_pictures_and_those_of_failed_cases_first(monkeypatch: pytest.MonkeyPatch) -> None:
    view = View(output=0, then=b"t" * 30, now=b"n" * 30, difference=b"d" * 30, gain=4)
    fine = factories.result(node_id="fine", quality=Quality(code="same", views=(view,)))
    bad = factories.regressed(node_id="bad", quality=Quality(code="changed", views=(view,)))
    both = drawn.pictures([fine, bad])
    assert [len(shown) for shown, _ in both.values()] == [3, 3]
    assert {left_out for _, left_out in both.values()} == {0}
    monkeypatch.setattr(drawn, "PAGE_BYTES", 300)
    few = drawn.pictures([fine, bad])
    assert [(len(few[name][0]), few[name][1]) for name in ("bad", "fine")] == [(3, 0), (0, 1)]
    assert few["bad"][0][2].caption == "difference, 4 times as bright"
