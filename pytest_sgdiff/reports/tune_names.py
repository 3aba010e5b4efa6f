"""How the variants of a search are called: a lossy one, or another request, never without saying so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pytest_sgdiff.data import OtherRequest, RequestPart, Variant
from pytest_sgdiff.tuning.report import TunedVariant, TuneReport

Shown = Callable[[str], str]
"""How the variant of a name is called, with what must be known of it (`shown_in`)."""

WRITTEN = "the case as it is written"
SHOWN_AT_MOST = 3
"""Of many things of a kind so many are named."""


def plain_name(name: str) -> str:
    """A name where nobody knows what must be known of it."""
    return name


def shown_in(variants: Iterable[Variant | TunedVariant]) -> Shown:
    """How variants are called: a lossy one, or another request, never without saying so. A name that none of them has
    stays as it is."""
    names = {
        one.name: marked(one.name, lossy=one.lossy, asks=one.asks if isinstance(one, TunedVariant) else ())
        for one in variants
    }
    return lambda name: names.get(name, name)


def marked(name: str, *, lossy: bool, asks: Sequence[RequestPart] = ()) -> str:
    """`sage (lossy)`, `short (other steps)`."""
    marks = ["lossy"] if lossy else []
    marks += [", ".join(_PARTS[part] for part in asks)] if asks else []
    return " ".join([name, *(f"({mark})" for mark in marks)])


_PARTS: Mapping[RequestPart, str] = {
    "model": "another model",
    "prompt": "another prompt",
    "inputs": "other inputs",
    "size": "another size",
    "frames": "other frames",
    "steps": "other steps",
    "outputs": "other outputs",
    "guidance": "other guidance",
    "seed": "another seed",
}


def other_requests(others: Sequence[OtherRequest], variants: Iterable[Variant | TunedVariant] = ()) -> str:
    """`not the same request as the case as it is written, …: b (other steps, another size); c (another prompt)`."""
    lossy = {one.name for one in variants if one.lossy}
    told = "; ".join(marked(one.variant, lossy=one.variant in lossy, asks=one.parts) for one in others)
    return f"not the same request as {WRITTEN}, so that times compare requests, and not settings alone: {told}"


def name_of(variant: TunedVariant) -> str:
    """The name of a variant, with what must be known of it."""
    return marked(variant.name, lossy=variant.lossy, asks=variant.asks)


def shown_name(report: TuneReport, name: str) -> str:
    """The name of a variant of the report, with what must be known of it."""
    return shown_in(report.variants)(name)


def first_few(names: Sequence[str], rest: str) -> str:
    """The first names, and how many more there are: `rest` says where."""
    more = len(names) - SHOWN_AT_MOST
    return ", ".join(names[:SHOWN_AT_MOST]) + (f" and {more} more ({rest})" if more > 0 else "")
