"""Images and videos as small pictures, the same for the same file."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pytest_sgdiff.data import Blank, OutputSample
from pytest_sgdiff.quality import limits

if TYPE_CHECKING:
    from PIL import Image

UNIFORM_LEVELS = 8
"""A picture shows nothing if in each of its channels all pixels lie within so many levels of 255: what an encoder makes
of one colour stays within."""

DIM_LEVELS = 16
"""The same for what nearly shows nothing, as a frame of a fade does: one launch may draw it a little brighter than
another."""

_BLACK, _WHITE = 24, 231
"""Levels up to which one colour is called black, and from which white: videos with limited range have black at 16 and
white at 235."""


_DEEP = ("le", "be")
"""How the names of formats with more than 8 bits end."""


class TooLargeError(Exception):
    """An output that a reader does not get enough memory or time for."""


class DamagedError(Exception):
    """An output that is incomplete or broken."""


def image(path: str) -> OutputSample:
    """The sample of an image. Raises TooLargeError, DamagedError."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # the limit here is checked before anything is decoded
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as opened:
            width, height = opened.size
            _bounded(width, height)
            plain = _plain(opened)
    except UnidentifiedImageError as error:  # which names the file
        raise DamagedError("its head is incomplete") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise DamagedError(str(error)) from error
    small = _small(plain, limits.IMAGE_SIDE)
    return OutputSample(kind="image", width=width, height=height, picture=png(small), blank=blank(plain))


def video(path: str) -> OutputSample:
    """The sample of a video: a strip of some of its frames. Raises TooLargeError, DamagedError."""
    import av

    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise DamagedError("holds no pictures")
            count = sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
            # Of a file that was cut off behind its index, packets are missing that this counts.
            count = max(count, container.streams.video[0].frames)
        if count > limits.FRAMES_AT_MOST:
            raise TooLargeError(f"{count} frames")
        if not count:
            raise DamagedError("holds no frame")
        wanted = frames_shown(count)
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            _bounded(stream.width, stream.height)
            width, height = stream.width, stream.height
            whole, found, dim, empty = _frames(container, wanted)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DamagedError(str(getattr(error, "strerror", None) or error)) from error
    if found < count:
        raise DamagedError(f"{found} of {count} frames can be decoded")
    strip = _strip([_small(frame, limits.FRAME_SIDE) for frame in whole])
    return OutputSample(
        kind="video",
        width=width,
        height=height,
        frames=found,
        shown=wanted,
        picture=png(strip),
        # One frame that shows something makes no video of the others.
        blank=empty.most_common(1)[0][0] if 2 * sum(empty.values()) > found else None,
        blank_frames=sum(empty.values()),
        dim_frames=dim,
    )


def _frames(container: Any, wanted: Sequence[int]) -> tuple[list[Image.Image], int, int, Counter[Blank]]:
    """The frames that are wanted, how many there are, how many show nothing or nearly so, and what those show that
    show nothing."""
    kept, number, dim, empty = [], 0, 0, Counter[Blank]()
    for frame in container.decode(video=0):
        shown = number in wanted
        number += 1
        if not shown and not _may_be_dim(frame):
            continue
        _bounded(frame.width, frame.height)
        picture = frame.to_image().convert("RGB")
        if shown:
            kept.append(picture)
        dim += _spread(picture) <= DIM_LEVELS
        if (shows := blank(picture)) is not None:
            empty[shows] += 1
    return kept, number, dim, empty


def _may_be_dim(frame: Any) -> bool:
    """Whether the frame is to be looked at closely: not where its brightness alone shows something. That is its first
    plane in all formats that SGLang writes; a frame of another one is always looked at."""
    import numpy as np

    if not frame.format.name.startswith(("yuv420p", "yuv422p", "yuv444p", "yuvj")) or frame.format.name[-2:] in _DEEP:
        return True
    plane = frame.planes[0]
    levels = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    return int(levels.max()) - int(levels.min()) <= 2 * DIM_LEVELS


def frames_shown(count: int) -> tuple[int, ...]:
    """Which of so many frames are kept."""
    if count <= limits.FRAMES:
        return tuple(range(count))
    return tuple(round(place * (count - 1) / (limits.FRAMES - 1)) for place in range(limits.FRAMES))


def blank(picture: Image.Image) -> Blank | None:
    """What a picture shows that shows nothing; None if it shows something."""
    channels = _extrema(picture)
    if _spread(picture) > UNIFORM_LEVELS:
        return None
    means = [(low + high) / 2 for low, high in channels]
    if max(means) <= _BLACK:
        return "black"
    if min(means) >= _WHITE:
        return "white"
    return "grey" if max(means) - min(means) <= UNIFORM_LEVELS else "one-colour"


def _spread(picture: Image.Image) -> int:
    """By how many levels the pixels differ, in the channel in which they do most."""
    return max(high - low for low, high in _extrema(picture))


def _extrema(picture: Image.Image) -> list[tuple[int, int]]:
    found: list[Any] = [channel.getextrema() for channel in picture.split()]
    return found


def png(picture: Image.Image) -> bytes:
    """The picture as the bytes of a PNG."""
    data = io.BytesIO()
    picture.save(data, format="PNG", optimize=False, compress_level=9)
    return data.getvalue()


def opened(data: bytes) -> Image.Image:
    """The picture of a sample that was kept. Raises DamagedError for what is no sample."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Of what is too large for Pillow, too; the limit here is far below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=("PNG",))
        with picture as found:
            if found.width * found.height > limits.SAMPLE_PIXELS:
                raise DamagedError(f"{found.width}x{found.height} pixels are more than a sample has")
            return found.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DamagedError(str(error)) from error


def parts(strip: Image.Image, count: int) -> Iterator[Image.Image]:
    """The pictures of a strip, or the one of an image."""
    width = strip.width // max(1, count)
    for place in range(max(1, count)):
        yield strip.crop((place * width, 0, (place + 1) * width, strip.height))


def _plain(opened: Image.Image) -> Image.Image:
    """Red, green and blue; what is transparent shows black, as most of its pixels hold anyway."""
    if opened.mode in ("I;16", "I", "F"):
        import numpy as np
        from PIL import Image

        # 16 bits become the upper 8 of them, which PIL's own conversion clips.
        levels = np.asarray(opened, dtype=np.float64)
        scale = 257.0 if levels.max(initial=0) > 255 else 1.0
        return Image.fromarray((levels / scale).clip(0, 255).astype("uint8")).convert("RGB")
    if opened.mode in ("RGBA", "LA", "PA") or "transparency" in opened.info:
        from PIL import Image

        seen = opened.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen).convert("RGB")
    return opened.convert("RGB")


def _small(picture: Image.Image, side: int) -> Image.Image:
    from PIL import Image

    longer = max(picture.size)
    if longer <= side:
        return picture
    size = tuple(max(1, round(length * side / longer)) for length in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.BOX)


def _strip(frames: Sequence[Image.Image]) -> Image.Image:
    from PIL import Image

    width, height = frames[0].size
    strip = Image.new("RGB", (width * len(frames), height))
    for place, frame in enumerate(frames):
        strip.paste(frame if frame.size == (width, height) else frame.resize((width, height)), (place * width, 0))
    return strip


def _bounded(width: int, height: int) -> None:
    if width * height > limits.PIXELS_AT_MOST:
        raise TooLargeError(f"{width}x{height} pixels")
