"""What a case asks for that cannot work (errors) or is not reproducible (warnings), at the case's line.

Everything here is known before a GPU is leased: from the engine's own checks, from SGLang's performance guide, and
from how the engine measures. docs/advice.md explains every slug. Flags that a version of the engine does not have are
not looked at here, but in `pytest_sgdiff.engines`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff.data import Advice, Case, Transformer
from pytest_sgdiff.engines.flags.lookup import EngineFlags
from pytest_sgdiff.lint import heads, lossy, models, offload, parallelism, reproducibility, reserved_flags
from pytest_sgdiff.lint.protocol import Rule, View

RULES: tuple[Rule, ...] = (
    *reserved_flags.RULES,
    *parallelism.RULES,
    *heads.RULES,
    *offload.RULES,
    *lossy.RULES,
    *models.RULES,
    *reproducibility.RULES,
)


def advise(
    case: Case,
    *,
    engine: EngineFlags | None = None,
    gpu_products: Sequence[str] = (),
    transformers: Sequence[Transformer] | None = None,
) -> tuple[Advice, ...]:
    """All that is known against a case, errors first, then in the file's order.

    `engine` is the one that will run it, None if nobody knows. `gpu_products` are the names of the GPUs that are
    there, such as `NVIDIA H100 80GB HBM3`; without them the words of `requires.gpu` stand in. `transformers` are what
    `cases.transformers` read in the folder of the model; with None the model is known by its id at most.
    """
    view = View(
        case=case,
        version=() if engine is None else engine.version.numbers,
        engine=engine,
        products=tuple(gpu_products) or case.requires.gpu,
        transformers=transformers,
    )
    advice = [
        Advice(level=rule.level, slug=rule.slug, message=found.message, location=case.at(found.key), key=found.key)
        for rule in RULES
        for found in rule.check(view)
    ]
    return tuple(sorted(advice, key=lambda one: (one.level, one.location.line, one.location.column)))


def together(refused: Sequence[Advice], general: Sequence[Advice]) -> tuple[Advice, ...]:
    """What an engine refuses, then what is known in general of other keys: a flag that the engine refuses may be wrong
    in general too, and the engine's word is the more exact one."""
    keys = {one.key for one in refused}
    return (*refused, *(one for one in general if one.key not in keys))


__all__ = ["RULES", "Rule", "View", "advise", "together"]
