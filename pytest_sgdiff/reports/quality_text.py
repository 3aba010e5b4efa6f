"""The words for a `Quality`: what became of the pictures of a case. The one place that has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_sgdiff.data import Blank, Measure, Quality, QualityCode, SampleFlaw, Similarity
from pytest_sgdiff.reports.figures import fixed
from pytest_sgdiff.reports.numbers import plural

BLANK: Mapping[Blank, str] = {
    "black": "it is all black",
    "white": "it is all white",
    "grey": "it is all of one grey, as NaN often looks",
    "one-colour": "all of it is the same",
}

_FLAWS: Mapping[SampleFlaw, str] = {
    "format": "is neither a PNG, JPEG, WebP or MP4 nor an OBJ or GLB mesh",
    "unreadable": "cannot be read",
    "too-large": "needs more memory than its reader gets",
    "too-slow": "takes longer to read than its reader gets",
    "left-out": "is one of more outputs than are kept of a launch",
    "missing": "has no picture in the recording",
    "outdated": "is a mesh of which the baseline has points alone; --sgdiff-update records the rest with it",
}

_NAMES: Mapping[Measure, str] = {
    "ssim": "SSIM",
    "psnr": "PSNR",
    "block": "PSNR of the block that differs most",
    "difference": "mean difference",
    "chamfer": "distance of the surfaces",
    "box": "shift of the bounding box",
    "area": "change of the surface's area",
    "uncovered": "share of a region where only one of the two has a surface",
    "turned": "share of a region whose faces are turned the other way",
    "colour": "change of vertex colours (levels of 255)",
}


def words(q: Quality, *, paired: bool = False, base: str = "") -> str:
    """`pictures: another one than the baseline's: PSNR 17.5 dB, at least 42.0 dB accepted`: what became of them, in
    one line; empty where nobody was to look at them. `base` is what they are compared with."""
    told = _WORDS[q.code](q, base or ("base engine" if paired else "baseline"))
    if q.reference is None:
        return told
    made = f"{plural(len(q.reference.outputs), 'output')} recorded as what the baseline draws"
    own = [
        f"launches differ by {figures(output.noise)}"
        + (f" (those of the first recording by {figures(output.first_noise)})" if output.first_noise else "")
        for output in q.reference.outputs
        if output.noise
    ]
    return "; ".join([", ".join([made, *own[:1]]), *([told] if told and q.code != "no-reference" else [])])


def unseen(q: Quality) -> str:
    """Why pictures were not compared, in a few words; empty where they were."""
    words = _UNSEEN.get(q.code)
    return "" if words is None else words(q)


_UNSEEN: Mapping[QualityCode, Callable[[Quality], str]] = {
    "off": lambda q: "the case has it off",
    "no-output": lambda q: "no output was written",
    "no-library": lambda q: f"{', '.join(q.missing)} not installed",
    "no-samples": lambda q: "the launches have no samples of their outputs",
    "no-reference": lambda q: "the case as it is written has no samples of its outputs",
    "odd-launch": lambda q: odd(q),
    "other-request": lambda q: "it is another request",
    "flawed": lambda q: (
        f"{q.name or 'an output'} {_FLAWS[q.flaw or 'unreadable']}" + (f" ({q.said})" if q.said else "")
    ),
}


def noisy(q: Quality, *, paired: bool, recorded: bool) -> str:
    """That launches with one seed are so far from one another that any picture passes, or drew several."""
    whose = "the recorded launches" if recorded else f"the launches of the {'base engine' if paired else 'baseline'}"
    apart = "" if q.noise is None else figures(q.noise)
    if q.results > 1:
        return (
            f"{whose} drew {q.results} different pictures with one seed ({apart}), and whatever differs by no more "
            "than twice as much passes: have the engine draw the same each time, or say under its `quality` what it "
            "allows"
        )
    return (
        f"{whose} differ so much ({apart}) that any picture passes: check that the case has a seed and the engine uses "
        "it, or say under its `quality` what it allows"
    )


def figures(seen: Similarity) -> str:
    """`SSIM 0.9987, PSNR 48.1 dB, mean difference 0.31`, of meshes their distance."""
    told = [
        None if seen.ssim is None else f"SSIM {_number('ssim', seen.ssim)}",
        None if seen.mse is None else f"PSNR {_psnr(seen)}",
        None if seen.difference is None else f"mean difference {_number('difference', seen.difference)}",
        None if seen.chamfer is None else f"surfaces {_number('chamfer', seen.chamfer)} apart",
        None if seen.box is None else f"bounding box moved by {_number('box', seen.box)}",
        None if not seen.area else f"area changed by {_number('area', seen.area)}",
        None if not seen.uncovered else f"{_number('uncovered', seen.uncovered)} of a region missing or new",
        None if not seen.turned else f"{_number('turned', seen.turned)} of a region turned the other way",
        None if not seen.colour else f"colours of a region changed by {_number('colour', seen.colour)} levels",
    ]
    return ", ".join(one for one in told if one)


def _psnr(seen: Similarity) -> str:
    return "infinite" if seen.psnr_db is None else _number("psnr", seen.psnr_db)


def _number(measure: Measure, value: float) -> str:
    if measure in ("psnr", "block"):
        return f"{fixed(value, 1)} dB"
    if measure in ("chamfer", "box", "area"):
        return f"{fixed(100 * value, 2)} %"
    if measure in ("uncovered", "turned"):
        return f"{fixed(100 * value, 0)} %"
    return fixed(value, 4 if measure == "ssim" else 2)


def _compared(q: Quality) -> str:
    seen = "" if q.similarity is None else figures(q.similarity)
    return f" ({seen}; {plural(q.launches, 'launch')})" if seen else ""


def _beyond(q: Quality, whose: str) -> str:
    if q.measure is None or q.found is None or q.limit is None:
        return ""
    least = "at least" if q.measure in ("ssim", "psnr", "block") else "at most"
    found, limit = _number(q.measure, q.found), _number(q.measure, q.limit)
    return f"{_NAMES[q.measure]} {found}, {whose} {least} {limit}"


def _which(q: Quality) -> str:
    """The launch and output that are meant, and the frame."""
    frame = q.similarity.frame if q.similarity else None
    told = [f"launch {q.launch}"] if q.launch is not None else []
    told += [f"output {q.output}"] if q.output else []
    told += [f"frame {frame}"] if frame is not None else []
    return f" ({', '.join(told)})" if told else ""


def _changed(q: Quality, base: str) -> str:
    return f"the picture is not the one of the {base}{_which(q)}: {_beyond(q, 'the noise between its launches allows')}"


def _allowed(q: Quality, base: str) -> str:
    return f"the picture is not close enough to the one of the {base}{_which(q)}: {_beyond(q, 'the case allows')}"


def _other(what: str) -> Callable[[Quality, str], str]:
    return lambda q, base: f"the output has other {what} than the one of the {base}{_which(q)}: {q.now}, not {q.then}"


def _kind(q: Quality, base: str) -> str:
    now = q.now or f"an unknown format ({q.name})"
    return f"the output has other content than the one of the {base}{_which(q)}: {now}, not {q.then}"


def _blank_frames(q: Quality, base: str) -> str:
    return f"{q.now} frames show nothing, and {q.then} of the {base}{_which(q)}"


def odd(q: Quality, base: str = "") -> str:
    """Which of several launches with one seed drew something else than the others."""
    of = f" of the {base}" if base else ""
    output = f" (output {q.output})" if q.output else ""
    other = f"launch {q.launch}{of} drew another picture than the other launches with the same seed{output}"
    if q.measure is None:
        return f"{other}: {q.now}, not {q.then}"
    return f"{other}: {_beyond(q, 'the noise between those allows')}"


def _flawed(q: Quality, base: str) -> str:
    why = _FLAWS[q.flaw or "unreadable"] + (f" ({q.said})" if q.said else "")
    what = f"{q.uncompared} outputs are" if q.uncompared > 1 else "pictures are"
    in_part = " as a whole" if q.flaw == "outdated" else ""
    return f"{what} not compared{in_part}: {q.name or 'an output'} {why}"


_WORDS: Mapping[QualityCode, Callable[[Quality, str], str]] = {
    "same": lambda q, base: f"the pictures are those of the {base}{_compared(q)}",
    "allowed": lambda q, base: f"the pictures are as close to those of the {base} as the case allows{_compared(q)}",
    "rounding": lambda q, base: f"the pictures are like those of the {base}, and differ by rounding{_compared(q)}",
    "lossy": lambda q, base: f"the pictures may differ from those of the {base}{_compared(q)}",
    "changed": _changed,
    "beyond-allowed": _allowed,
    "other-size": _other("dimensions"),
    "other-frames": _other("frames"),
    "other-kind": _kind,
    "blank-frames": _blank_frames,
    "odd-launch": lambda q, base: f"pictures are not compared: {odd(q, base)}",
    "other-request": lambda q, base: f"pictures are not compared: it is another request than the {base}",
    "other-count": lambda q, base: f"a launch wrote {q.now} outputs{_which(q)}, those of the {base} {q.then}",
    "off": lambda q, base: "",
    "no-output": lambda q, base: "",
    "no-library": lambda q, base: (
        f"pictures are not compared: {', '.join(q.missing)} not installed: pip install {' '.join(q.missing)}"
    ),
    "no-samples": lambda q, base: "pictures are not compared: the launches have no samples of their outputs",
    "no-reference": lambda q, base: (
        f"pictures are not compared: the {base} has none; --sgdiff-update records them with it"
    ),
    "flawed": _flawed,
}
