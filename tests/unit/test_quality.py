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

from pytest_sgdiff.baselines import check, find, load, references, save
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
from pytest_sgdiff.quality import extra, limits, noise, reference, sampling
from pytest_sgdiff.quality.child import sample
from pytest_sgdiff.quality.judge import judge_quality, sample_problems
from pytest_sgdiff.quality.odd import odd_launch, results
from pytest_sgdiff.quality.pictures import DamagedError, frames_shown, opened
from pytest_sgdiff.quality.reference import Drawn, reference_of
from pytest_sgdiff.quality.similarity import difference_picture, similarity
from pytest_sgdiff.quality.views import with_views
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
    # Half of it shows something: that is a fade, and its other half is counted.
    faded = tmp_path / "faded.mp4"
    write_video(faded, [np.zeros((SIDE, SIDE, 3), "uint8"), levels()])
    seen = sample("mp4", str(faded))
    assert (seen.blank, seen.blank_frames, seen.dim_frames) == (None, 1, 1)


def test_one_healthy_frame_makes_no_video_of_black_ones_and_no_frame_is_overlooked(tmp_path: Path) -> None:
    black, picture = np.zeros((SIDE, SIDE, 3), "uint8"), levels()
    mostly = tmp_path / "mostly.mp4"
    write_video(mostly, [picture] + [black] * 8)
    seen = sample("mp4", str(mostly))
    assert (seen.blank, seen.blank_frames, seen.frames) == ("black", 8, 9)
    (problem,) = sample_problems(QualityChoice(mode="lossy"), (replace(seen, name="a.mp4"),))
    assert (problem.code, problem.blank, problem.found) == ("blank-output", "black", ("a.mp4", "8", "9"))
    # One that the strip does not show.
    hidden = tmp_path / "hidden.mp4"
    write_video(hidden, [picture if number != 3 else black + np.uint8(128) for number in range(9)])
    seen = sample("mp4", str(hidden))
    assert (3 not in seen.shown, seen.blank, seen.blank_frames) == (True, None, 1)


def clip(*, blank: int | None, dim: int | None) -> OutputSample:
    return drew(levels(), kind="video", frames=9, shown=(0,), blank_frames=blank, dim_frames=dim)


@pytest.mark.parametrize("mode", ["lossless", "lossy"])
def test_more_blank_frames_than_the_reference_has_are_another_picture(mode: Any) -> None:
    def of(then: OutputSample, now: OutputSample) -> Quality:
        steady = [Drawn(launch=number, samples=(then,)) for number in range(3)]
        return judged(QualityChoice(mode=mode), steady, [Drawn(launch=0, samples=(now,))])

    found = of(clip(blank=0, dim=0), clip(blank=1, dim=1))
    assert (found.code, found.other_picture, found.then, found.now) == ("blank-frames", True, "0", "1")
    fade = of(clip(blank=2, dim=3), clip(blank=3, dim=3))
    assert fade.code == ("same" if mode == "lossless" else "lossy")
    # An earlier version did not count them.
    assert not of(clip(blank=None, dim=None), clip(blank=1, dim=1)).other_picture


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


def test_files_of_other_kinds_are_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no picture")
    (found,) = sampling.samples(str(tmp_path), [OutputFile(name="a.txt", size_bytes=9)])
    assert (found.name, found.flaw) == ("a.txt", "format")
    assert sampling.samples(str(tmp_path), []) == ()


def read_as(monkeypatch: pytest.MonkeyPatch, *, one_bytes: int = 9) -> list[str]:
    """Samples without a process of their own, each of other content; gives the list of the files that were read."""
    read: list[str] = []

    def one(self: sampling.Reader, form: str, path: str) -> OutputSample:
        read.append(Path(path).name)
        return OutputSample(kind="image", picture=path.encode().ljust(one_bytes))

    monkeypatch.setattr(sampling.Reader, "sample", one)
    return read


def many_files(folder: Path, count: int, *, alike: bool = False) -> list[OutputFile]:
    for number in range(count):
        (folder / f"{number:04d}.png").write_bytes(png(levels()) + (b"" if alike else b"%d" % number))
    return [OutputFile(name=f"{number:04d}.png", size_bytes=9) for number in range(count)]


def test_all_outputs_of_a_launch_are_sampled_and_equal_ones_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_as(monkeypatch)
    found = sampling.samples(str(tmp_path), many_files(tmp_path, 40))
    assert [sample.flaw for sample in found] == [None] * 40
    assert len(read) == 40
    read.clear()
    found = sampling.samples(str(tmp_path), many_files(tmp_path, 40, alike=True))
    assert ([sample.flaw for sample in found], read) == ([None] * 40, ["0000.png"])
    assert [sample.name for sample in found][:2] == ["0000.png", "0001.png"]


def test_what_goes_beyond_the_store_of_a_launch_is_left_out_each_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_as(monkeypatch, one_bytes=1000)
    monkeypatch.setattr(limits, "STORE_BYTES", 2500)
    found = sampling.samples(str(tmp_path), many_files(tmp_path, 5))
    assert [(one.name, one.flaw) for one in found[3:]] == [("0003.png", "left-out"), ("0004.png", "left-out")]
    assert [one.flaw for one in found[:3]] == [None] * 3
    monkeypatch.setattr(limits, "STORE_BYTES", 1 << 20)
    # The points of equal meshes are each in the record of the launch.
    mesh = MeshSample(vertices=4, faces=2, points=(0.25,) * 300)
    monkeypatch.setattr(sampling.Reader, "sample", lambda self, form, path: OutputSample(kind="mesh", mesh=mesh))
    monkeypatch.setattr(limits, "MESHES_BYTES", 2000)
    found = sampling.samples(str(tmp_path), many_files(tmp_path, 4, alike=True))
    assert [one.flaw for one in found] == [None, None, "left-out", "left-out"]
    monkeypatch.setattr(limits, "MESHES_BYTES", 1 << 20)
    monkeypatch.setattr(limits, "FILES_AT_MOST", 2)
    assert [one.flaw for one in sampling.samples(str(tmp_path), many_files(tmp_path, 3))] == [None, None, "left-out"]
    monkeypatch.setattr(limits, "SAMPLING_SECONDS", -1.0)
    assert [one.flaw for one in sampling.samples(str(tmp_path), many_files(tmp_path, 1))] == ["left-out"]


def test_one_process_reads_several_files_and_one_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    for name, content in (("a.png", png(levels())), ("b.png", png(levels())[:60]), ("c.png", png(levels(1)))):
        (tmp_path / name).write_bytes(content)
    outputs = [OutputFile(name=name, size_bytes=9) for name in ("a.png", "b.png", "c.png")]
    assert [one.flaw for one in sampling.samples(str(tmp_path), outputs)] == [None, "unreadable", None]


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
    assert (still.chamfer, still.box, still.turned, still.colour) == (0, 0, None, None)


def grid_of(*, side: int = 24, colour: int | None = 200) -> tuple[list[str], list[str]]:
    """The vertices and faces of a bent sheet, as lines of an OBJ."""
    shade = "" if colour is None else f" {colour / 255} 0.2 0.2"
    points = [(x, y, 4 * np.sin(x / 5) * np.cos(y / 7)) for y in range(side + 1) for x in range(side + 1)]
    at = [(y * (side + 1) + x + 1) for y in range(side) for x in range(side)]
    faces = [f"f {a} {a + 1} {a + side + 2}\nf {a} {a + side + 2} {a + side + 1}" for a in at]
    return [f"v {x} {y} {z}{shade}" for x, y, z in points], faces


def obj(folder: Path, vertices: list[str], faces: list[str]) -> OutputSample:
    file = folder / "a.obj"
    file.write_text("\n".join([*vertices, *faces]))
    return sample("obj", str(file))


def turned(face: str) -> str:
    return "\n".join(" ".join([line.split()[0], *line.split()[:0:-1]]) for line in face.splitlines())


@pytest.mark.parametrize(
    ("change", "measure"),
    [
        ("nothing", None),
        ("moved a little", None),
        ("20 % missing", "area"),
        ("a hole and a patch elsewhere", "uncovered"),
        ("added surface", "area"),
        ("inside out", "turned"),
        ("a region inside out", "turned"),
        ("another colour", "colour"),
        ("a region of another colour", "colour"),
        ("no colours", "colour"),
    ],
)
def test_a_mesh_with_holes_turned_faces_or_other_colours_is_another_one(
    tmp_path: Path, change: str, measure: str | None
) -> None:
    vertices, faces = grid_of()
    then = obj(tmp_path, vertices, faces)
    inside = [place for place in range(len(faces)) if 6 <= place % 24 < 16 and 6 <= place // 24 < 17]
    if change == "moved a little":
        vertices = [f"v {float(x) + 0.001} {y} {z} {rest}" for _, x, y, z, rest in (v.split(" ", 4) for v in vertices)]
    elif change == "20 % missing":
        faces = [face for place, face in enumerate(faces) if place not in inside]
    elif change == "a hole and a patch elsewhere":
        kept = [face for place, face in enumerate(faces) if place not in inside]
        faces = [*kept, *faces[: len(inside)]]
    elif change == "added surface":
        faces = [*faces, *faces[:100]]
    elif change == "inside out":
        faces = [turned(face) for face in faces]
    elif change == "a region inside out":
        faces = [turned(face) if place in inside else face for place, face in enumerate(faces)]
    elif change == "another colour":
        vertices = grid_of(colour=170)[0]
    elif change == "a region of another colour":
        other = grid_of(colour=60)[0]
        vertices = [
            two if 60 <= place < 160 else one for place, (one, two) in enumerate(zip(vertices, other, strict=True))
        ]
    elif change == "no colours":
        vertices = grid_of(colour=None)[0]
    now = obj(tmp_path, vertices, faces)
    found = judged(LOSSLESS, [Drawn(launch=0, samples=(then,))], [Drawn(launch=0, samples=(now,))])
    assert (found.code, found.measure) == ("same" if measure is None else "changed", measure)


def test_a_thin_shell_that_is_turned_inside_out_is_another_mesh(tmp_path: Path) -> None:
    corners = [(x, y, z) for x in (0, 1) for y in (0, 2) for z in (0, 0.01)]
    vertices = [f"v {x} {y} {z}" for x, y, z in corners]
    quads = ("1 2 4 3", "5 7 8 6", "1 5 6 2", "3 4 8 7", "1 3 7 5", "2 6 8 4")
    faces = [f"f {a} {b} {c}\nf {a} {c} {d}" for a, b, c, d in (quad.split() for quad in quads)]
    seen = similarity(obj(tmp_path, vertices, faces), obj(tmp_path, vertices, [turned(face) for face in faces]))
    assert (seen.turned, seen.uncovered, seen.area) == (1, 0, 0)


def test_a_reference_of_points_alone_is_compared_in_part_and_says_so(tmp_path: Path) -> None:
    now = obj(tmp_path, *grid_of())
    assert now.mesh is not None
    old = replace(now, mesh=replace(now.mesh, area=None, volume=None, normals=(), colours=()))
    # It may have had colours, for all that anybody knows.
    found = judged(LOSSLESS, [Drawn(launch=0, samples=(old,))], [Drawn(launch=0, samples=(now,))])
    assert (found.code, found.flaw, found.other_picture) == ("flawed", "outdated", False)


def test_a_sample_from_elsewhere_is_read_with_care(monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a process that has read no output itself: Pillow warns and refuses by limits of its own.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_478_485)
    for content in (b"", b"no picture", bomb(60_000, 60_000), bomb(10_000, 10_000), png(levels())[:60]):
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
    assert found.similarity.mse < noise.ROUNDING_MSE
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
    monkeypatch.setattr(extra, "missing", lambda: ("av",))
    lacking = judge_quality(LOSSLESS, reference, steady)
    assert (lacking.code, lacking.missing, lacking.other_picture) == ("no-library", ("av",), False)
    assert reference_of(steady) is None


def test_a_format_that_nobody_knows_any_more_is_another_picture_and_a_file_that_is_too_large_is_not() -> None:
    steady = launches(levels(), levels(), levels())
    unknown = judged(LOSSLESS, steady, [Drawn(launch=2, samples=(OutputSample(name="a.gif", flaw="format"),))])
    assert (unknown.code, unknown.other_picture, unknown.then, unknown.now) == ("other-kind", True, "image", "")
    assert (unknown.name, unknown.launch) == ("a.gif", 2)
    none_before = judge_quality(LOSSLESS, None, [Drawn(launch=0, samples=(OutputSample(name="a.gif", flaw="format"),))])
    assert (none_before.code, none_before.other_picture) == ("flawed", False)


def test_outputs_that_were_left_out_are_said_and_the_others_are_compared() -> None:
    left_out = OutputSample(name="b.png", flaw="left-out")

    def of(*samples: OutputSample) -> list[Drawn]:
        return [Drawn(launch=number, samples=samples) for number in range(3)]

    found = judged(LOSSLESS, of(drew(levels()), left_out), of(drew(levels()), left_out))
    assert (found.code, found.flaw, found.uncompared, found.other_picture) == ("flawed", "left-out", 3, False)
    other = judged(LOSSLESS, of(drew(levels()), left_out), of(drew(levels(1)), left_out))
    assert (other.code, other.uncompared) == ("changed", 3)
    # Which ones there was room for may be others in each launch.
    found = judged(LOSSLESS, of(drew(levels()), drew(levels(1))), of(drew(levels()), left_out))
    assert (found.code, found.uncompared) == ("flawed", 3)
    assert reference_of(of(left_out)) is None


# ------------------------------------------------------------------------------------------------- odd launches


def patched(pixels: Any) -> Any:
    changed = pixels.copy()
    changed[4:16, 4:16] ^= 0x40
    return changed


@pytest.mark.parametrize(
    ("pictures", "odd"),
    [
        ([levels()] * 4 + [levels(1)], 4),
        ([levels(1)] + [levels()] * 4, 0),
        ([levels()] * 3 + [levels(1)], 3),
        # Of three nobody can tell, and what two drew is a result of the engine.
        ([levels(), levels(), levels(1)], None),
        ([levels()] * 3 + [levels(1)] * 2, None),
        ([levels()] * 2 + [levels(1)] * 2, None),
        ([levels(), levels(1), levels(), levels(2), levels(1)], None),
        ([levels()] * 4 + [levels(1)] * 2 + [levels(2)], 6),
        # Two that are odd, each in its own way: one does not hide the other.
        ([levels()] * 3 + [levels(1), levels(2)], 3),
        ([levels(1), levels(), levels(), levels(2), levels()], 0),
        ([wavering(3, seed) for seed in range(4)] + [wavering(30, 9)], 4),
        # Of the whole picture it is little.
        ([wavering(2, seed) for seed in range(4)] + [patched(wavering(2, 9))], 4),
        ([levels()] * 4 + [levels(shape=(SIDE, 40))], 4),
        ([levels(), levels(shape=(SIDE, 40))], 1),
        ([levels()] * 3, None),
        ([wavering(6, seed) for seed in range(5)], None),
        ([wavering(amount, amount) for amount in (3, 4, 5, 6, 7)], None),
        ([levels()] * 4 + [levels() + np.uint8(1)], None),
        ([levels(), levels(1)], None),
    ],
)
def test_a_launch_that_drew_something_else_than_the_others_is_found(pictures: list[Any], odd: int | None) -> None:
    found = odd_launch(launches(*pictures))
    assert (None if found is None else found.launch) == odd
    assert found is None or (found.code, found.other_picture) == ("odd-launch", False)


@pytest.mark.parametrize(
    ("drawn", "count"),
    [("AAB", 2), ("AAABB", 2), ("ABBAB", 2), ("ABACB", 3), ("AABBCC", 3), ("AAAAA", 1), ("AB", 1), ("A", 1), ("", 1)],
)
def test_an_engine_with_several_results_is_no_odd_launch_and_they_are_counted(drawn: str, count: int) -> None:
    several = launches(*(levels("ABC".index(one)) for one in drawn))
    assert (odd_launch(several), results(several)) == (None, count)


def test_noise_is_one_result() -> None:
    assert results(launches(*(wavering(6, seed) for seed in range(5)))) == 1
    assert results(launches(levels(), levels(), levels() + np.uint8(1))) == 1


def test_an_odd_launch_has_its_figures_or_the_shapes() -> None:
    found = odd_launch(launches(levels(), levels(), levels(), levels(1)))
    assert found is not None
    assert (found.measure, found.launches) == ("psnr", 4)
    assert found.found is not None
    assert found.limit is not None
    assert found.found < found.limit
    size = odd_launch(launches(levels(), levels(), levels(shape=(SIDE, 40))))
    assert size is not None
    assert (size.then, size.now, size.measure) == ("image 32x32", "image 40x32", None)
    twice = Drawn(launch=7, samples=(drew(levels()), drew(levels())))
    count = odd_launch([*launches(levels(), levels()), twice])
    assert count is not None
    assert (count.launch, count.then, count.now) == (7, "1", "2")


def test_additions_never_widen_the_noise_beyond_what_was_accepted_of_them() -> None:
    reference = reference_of(launches(*(wavering(3, seed) for seed in range(3))))
    assert reference is not None
    (kept,) = reference.outputs
    assert kept.noise is not None
    assert kept.noise.mse is not None
    far = Similarity(ssim=0.1, mse=1e4, block_mse=1e4, difference=90.0)
    once = noise.with_more_noise(kept, (far,))
    twice = noise.with_more_noise(once, (far,))
    assert once.noise is not None
    assert twice.noise is not None
    assert twice.noise == once.noise
    assert once.noise.mse == pytest.approx(noise.NOISE_FACTOR * kept.noise.mse)
    assert twice.first_noise == kept.noise
    assert noise.as_first_recorded(replace(reference, outputs=(twice,))).outputs[0].noise == kept.noise


def test_no_noise_accepts_a_region_that_is_missing_as_a_whole() -> None:
    noisy, seen = Similarity(uncovered=0.5, turned=0.5), Similarity(uncovered=1.0, turned=0.0)
    assert noise.beyond_noise(noisy, seen)[0] == "uncovered"
    assert noise.beyond_noise(noisy, Similarity(turned=1.0))[0] == "turned"
    assert noise.beyond_noise(noisy, Similarity(uncovered=0.8, turned=0.8))[0] is None


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


def test_an_output_that_was_left_out_has_no_file_and_any_other_one_must(tmp_path: Path) -> None:
    left_out = OutputSample(name="b.png", flaw="left-out")
    drawn = [Drawn(launch=number, samples=(drew(levels()), left_out)) for number in range(3)]
    reference = reference_of(drawn)
    assert reference is not None
    path = save(tmp_path, baseline_with(reference))
    assert references.read(load(path)) == reference
    assert [flaw for flaw in check(tmp_path, {}) if flaw.code in ("unreadable", "stray-picture")] == []
    first, second = reference.outputs
    unnamed = replace(reference, outputs=(replace(first, file="", sha256=""), second))
    with pytest.raises(BaselineError):
        references.read(replace(baseline_with(unnamed), path=str(path)))
    path.write_text(path.read_text().replace(first.file, "").replace(first.sha256, ""))
    with pytest.raises(BaselineError):
        load(path)


def test_points_of_a_mesh_are_a_file_of_numbers() -> None:
    mesh = MeshSample(vertices=4, faces=2, low=(0, 0, 0), high=(1, 1, 1), points=(0.0, 0.5, 1.0))
    one = OutputSample(kind="mesh", mesh=mesh)
    content = reference.content_of(one)
    assert content == b"0.0 0.5 1.0\n"
    whole = replace(one, mesh=replace(mesh, normals=(0.0, 0.0, 1.0), colours=(200, 51, 51)))
    assert reference.content_of(whole) == b"0.0 0.5 1.0 0.0 0.0 1.0 200 51 51\n"
    assert reference.with_content(reference.without_content(whole), reference.content_of(whole)) == whole
    bare = reference.without_content(one)
    assert bare.mesh is not None
    assert bare.mesh.points == ()
    assert reference.with_content(bare, content) == one
    for wrong in (b"1 2", b"", b"1 2 a", b"1 2 nan", b"\xff"):
        with pytest.raises(DamagedError):
            reference.with_content(bare, wrong)


def test_reports_show_some_of_very_many_outputs_and_the_one_that_decides_among_them() -> None:
    many = tuple(drew(levels(place)) for place in range(limits.VIEWS_AT_MOST + 3))
    steady = [Drawn(launch=number, samples=many) for number in range(3)]
    now = [Drawn(launch=0, samples=(*many[:-1], drew(levels(77))))]
    found = with_views(judged(LOSSLESS, steady, now), reference_of(steady), now)
    assert (found.code, found.output, len(found.views), found.unseen) == ("changed", 10, limits.VIEWS_AT_MOST, 3)
    assert found.views[-1].output == 10
    result = factories.regressed(node_id="bad", quality=found)
    assert drawn.pictures([result])["bad"][1] == 3


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
