"""What an engine version would ignore or reject of a case, reported at the key of the case that asks for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import SERVE, ArgValue, Case
from pytest_sgdiff.engines.attention import attention_asked
from pytest_sgdiff.engines.conditioning import DISABLE
from pytest_sgdiff.engines.flags import models, table
from pytest_sgdiff.engines.flags.lookup import EngineFlags, config_key, flag_of, given, key_given, spans_of
from pytest_sgdiff.engines.flags.values import FlagProblem, choice_problem, shown, value_problem
from pytest_sgdiff.engines.serving.requests import misfits

# Flags that the plugin writes itself, with the key of the case that they are written from; those with none have another
# value for each launch. That a case gives them is a matter of advice, whatever the version.
OWN: Mapping[str, str] = {
    "model-path": "model",
    "num-gpus": "gpus",
    "backend": "backend",
    "config": "config",
    **dict.fromkeys(("perf-dump-path", "output-path", "output-file-path", "output-file-name"), ""),
    **dict.fromkeys(("master-port", "scheduler-port", "port", "strict-ports"), ""),
}
_ENGINES = ("sglang-generate", SERVE)
_NESTED = (
    "vae-config.",
    "dit-config.",
    "component-paths.",
    "component-weights-paths.",
    "component-attention-backends.",
)
_COMPONENTS = frozenset(
    (
        *("transformer", "transformer-2", "transformer-3", "unet", "vae", "video-vae", "audio-vae", "vocoder"),
        *("text-encoder", "text-encoder-2", "text-encoder-3", "tokenizer", "tokenizer-2", "tokenizer-3", "scheduler"),
        *("image-encoder", "image-processor", "processor", "feature-extractor", "connectors", "bridge"),
        *("spatial-upsampler", "distilled-lora", "duration-predictor", "dual-tower-bridge"),
    )
)
_SINCE_COMPONENTS = 10
_CFG_SIZE_WORKS = 13
# Where `--enable-cfg-parallel` takes no value and yet, not given, is turned on by the engine: before, it was off unless
# given, after, it takes `false`.
_CFG_AUTO_AND_BARE = 11
_WARMUP = ("warmup", "warmup-mode", "server-warmup")
_DEGREES = ("sp-degree", "ulysses-degree", "ring-degree")
_ABOUT_EXISTENCE = (
    *("flag-missing", "flag-unknown", "flag-abbreviated", "flag-swallowed", "flag-underscore", "flag-ambiguous"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """One thing that the engine would ignore or reject. `key` is the dotted key in the case (`args.width`). `new` tells
    that nothing like it is known: it may have come after what is known."""

    level: Literal["error", "warning"]
    slug: str
    message: str
    key: str
    new: bool = False


def complaints(case: Case, engine: EngineFlags) -> tuple[Complaint, ...]:
    """Everything that this engine would not do as the case says; empty for a case that it runs as written, and for one
    of another kind of engine, which has flags of its own.

    The tables are knowledge of the past: of an engine that is newer than they are, and that was not asked itself, they
    only warn.
    """
    return tuple(_complaints(case, engine)) if has_flags(case) else ()


def has_flags(case: Case) -> bool:
    """Whether the case is run with flags of `sglang generate` or `sglang serve`, which has a part of them; an engine
    that a plugin brings has others."""
    return case.engine in _ENGINES


def lacks_flags(case: Case, engine: EngineFlags) -> bool:
    """Whether the case names a flag that the engine is not known to have, so that it should be asked itself."""
    found = complaints(case, engine)
    return any(
        one.slug in _ABOUT_EXISTENCE and one.key.partition(".")[0] in ("args", "assets", "config") for one in found
    )


def _complaints(case: Case, engine: EngineFlags) -> Iterator[Complaint]:
    warning = engine.version.warning
    if warning is not None:
        if engine.told is not None:
            warning = f"{warning}; its flags are those of its own help"
        yield Complaint(level="warning", slug="engine-unknown", message=warning, key="requires.engine")
    yield from _model(case, engine)
    for name, value in case.args.items():
        found = _dropped_false(case, name, engine) or _flag(name, value, engine)
        if found is not None:
            yield _complaint(found, f"args.{name}", engine)
    yield from _warmup(case, engine)
    yield from _attention(case, engine)
    for name in case.assets:
        if engine.kind_of(name) is None:
            yield _complaint(_absent(name, engine), f"assets.{name}", engine)
    for key in case.config:
        found = _in_config(case, key, engine)
        if found is not None:
            yield _complaint(found, f"config.{key}", engine)
    if case.serves:
        for one in misfits(case, engine.release, engine.name):
            yield Complaint(level="error", slug=one.slug, message=one.message, key=one.key)


def _complaint(found: FlagProblem, key: str, engine: EngineFlags) -> Complaint:
    sure = found.sure and not engine.guessed and found.slug != "component-path"
    new = found.slug == "flag-unknown" and not found.meant
    return Complaint(level="error" if sure else "warning", slug=found.slug, message=found.message, key=key, new=new)


def _model(case: Case, engine: EngineFlags) -> Iterator[Complaint]:
    since = models.MODELS.get(case.model)
    if since is None or engine.release >= since or case.runs_on != "sglang":
        return
    if case.model in models.KIN:
        message = f"{engine.name} does not know {case.model}, which came with 0.5.{since}: it may fall back"
        yield Complaint(level="warning", slug="model-unknown", message=message, key="model")
    else:
        message = f"{engine.name} has no native support for {case.model}: it came with 0.5.{since}"
        yield Complaint(level="error", slug="model-unsupported", message=message, key="model")


def _warmup(case: Case, engine: EngineFlags) -> Iterator[Complaint]:
    """A warmup that an engine has no word for: only its own help can show that."""
    own = any(name in case.args for name in (*_WARMUP, "warmup-resolutions"))
    wordless = engine.told is not None and not any(map(engine.kind_of, ("warmup-mode", "warmup")))
    if case.warmup == "request" and wordless and not own:
        message = f"{engine.name} has neither --warmup-mode nor --warmup: write `warmup: off`"
        yield Complaint(level="error", slug="flag-missing", message=message, key="warmup")


def _attention(case: Case, engine: EngineFlags) -> Iterator[Complaint]:
    """Attention backends of the native backend that came later. In 0.5.8 the parser itself has a list."""
    for flag, backend in attention_asked(case).items():
        since = models.ATTENTION.get(backend, 0)
        if table.OLDEST < engine.release < since and case.runs_on == "sglang":
            key = key_given(case, flag) or key_given(case, flag.partition(".")[0]) or "args"
            message = f"{engine.name} has no attention backend {backend}: it came with 0.5.{since}"
            yield Complaint(level="error", slug="flag-value", message=message, key=key)


def _dropped_false(case: Case, name: str, engine: EngineFlags) -> FlagProblem | None:
    """CFG parallel switched off where that cannot be said, so that the engine would switch it on."""
    if name != "enable-cfg-parallel" or engine.release != _CFG_AUTO_AND_BARE or case.gpus < 2:
        return None
    if shown(case.args[name]).lower() != "false" or any(given(case, degree) is not None for degree in _DEGREES):
        return None
    return FlagProblem(
        slug="flag-ignored",
        message=f"{engine.name} cannot express `{name}: false`, and switches CFG parallel on by itself where nothing "
        f"says how {case.gpus} GPUs are used: pin `ulysses-degree: {case.gpus}`",
    )


def _flag(name: str, value: ArgValue, engine: EngineFlags) -> FlagProblem | None:
    """What is wrong with one flag, None if nothing is."""
    kind = engine.kind_of(name)
    if "_" in name.partition(".")[0] or ("_" in name and not name.startswith("component-")):
        fixed = name.replace("_", "-")
        # A newer engine may have the flag in this spelling alone.
        if engine.told is None or kind is None or engine.kind_of(fixed) is not None:
            message = f"`{name}` is written with underscores, which `sglang generate` rejects: `{fixed}`"
            return FlagProblem(slug="flag-underscore", message=message)
    if name in OWN:
        return None
    since, until, instead = table.DROPPED.get(name, (0, 0, ""))
    if since <= engine.release <= until:
        message = f"{engine.name} accepts --{name} and ignores it: write `{instead}`"
        return FlagProblem(slug="flag-ignored", message=message, sure=not engine.version.newest)
    if kind is None:
        # An engine without the cache needs no flag to have none of it turned off.
        void = name == DISABLE and value is False
        return None if void or name.startswith(_NESTED) else _absent(name, engine)
    return value_problem(name, value, kind, engine)


def _absent(name: str, engine: EngineFlags) -> FlagProblem:
    """Why that engine does not have the flag, and what to write instead."""
    spans = spans_of(name)
    lacks = _lacks(name, engine)
    if name == "warmup":
        message = f"{engine.name} rejects --warmup as ambiguous: write `warmup: request` on the case"
        return FlagProblem(slug="flag-ambiguous", message=message)
    if name == "warmup-mode":
        message = f"{lacks} (since 0.5.14): write `warmup: request` on the case"
        return FlagProblem(slug="flag-missing", message=message)
    if name == "cfg-parallel-size":
        message = f"{lacks} that works (since 0.5.{_CFG_SIZE_WORKS}): write `enable-cfg-parallel: true`"
        return FlagProblem(slug="flag-missing", message=message)
    if spans and engine.release < spans[0][0]:
        return FlagProblem(slug="flag-missing", message=f"{lacks}: it came with 0.5.{spans[0][0]}")
    if spans:
        last = f": the last release known to have it is 0.5.{spans[-1][1]}" if engine.told is not None else ""
        message = f"{lacks}{last or f': it was removed after 0.5.{spans[-1][1]}'}{_asking(_meant(name, engine))}"
        return FlagProblem(slug="flag-missing", message=message)
    return _unknown(name, engine)


def _lacks(name: str, engine: EngineFlags) -> str:
    if engine.guessed:
        return f"whether {engine.name} has --{name} is not known: 0.5.{engine.release}, the newest known, has none"
    return f"{engine.name} has no --{name}"


def _meant(name: str, engine: EngineFlags) -> str:
    """The flag that the name resembles, empty if it resembles none."""
    return next(iter(difflib.get_close_matches(name, engine.known(), n=1, cutoff=0.75)), "")


def _asking(meant: str) -> str:
    return f"; did you mean `{meant}`?" if meant else ""


def _unknown(name: str, engine: EngineFlags) -> FlagProblem:
    longer = [flag for flag in engine.known() if flag.startswith(name)]
    if longer:
        shown = ", ".join(longer[:3])
        message = f"`{name}` is an abbreviation, which the engine accepts and then ignores: write it in full ({shown})"
        return FlagProblem(slug="flag-abbreviated", message=message)
    meant = _meant(name, engine)
    if name.endswith("-path") and engine.release >= _SINCE_COMPONENTS:
        component = name.removesuffix("-path").removesuffix("-weights")
        if component in _COMPONENTS:
            message = f"`{name}` replaces the component {component}: the numbers are not comparable with other cases"
            return FlagProblem(slug="component-path", message=message)
        lacks = f"{_lacks(name, engine)}," if engine.guessed else f"sglang has no --{name}"
        message = f"{lacks} and would read it as the path of a component{_asking(meant)}"
        return FlagProblem(slug="flag-swallowed", message=message)
    component = name.removesuffix("-attention-backend")
    if component != name and component in _COMPONENTS:
        meant = f"component-attention-backends.{component.replace('-', '_')}"
    message = f"{_lacks(name, engine)}{_asking(meant)}"
    return FlagProblem(slug="flag-unknown", message=message, meant=meant)


def _in_config(case: Case, key: str, engine: EngineFlags) -> FlagProblem | None:
    """What is wrong with one key of the config. What is no flag may still be a setting of the model's pipeline."""
    name = flag_of(key)
    if name in (*OWN, *_WARMUP):
        return None
    if name is None and "-" in key:
        fixed = key.replace("-", "_")
        return _ignored(f"the engine does not read `{key}` in a config, whose keys have underscores: `{fixed}`")
    if name is None:
        return None
    if key != config_key(name):
        return _ignored(f"the engine does not read `{key}` in a config, where it is called `{config_key(name)}`")
    if name in case.args:
        return _ignored(f"`{name}` under `args` overrides `{key}` of the config: drop one of them")
    if name in table.SAMPLING and engine.release < table.SAMPLING_IN_CONFIG:
        return _ignored(
            f"{engine.name} reads no parameters of the request from a config (since "
            f"0.5.{table.SAMPLING_IN_CONFIG}): give `{name}` under `args`"
        )
    kind, value = engine.kind_of(name), case.config[key]
    if kind is None:
        return None if name == DISABLE and value is False else _absent(name, engine)
    if not isinstance(value, str):
        return None
    if kind in ("boolean", "switch"):
        message = f"in a config any text counts as true, '{value}' too: write true or false without quotes"
        return FlagProblem(slug="flag-value", message=message)
    if name in (*table.INTEGERS.split(), *table.FLOATS.split()):
        message = f"in a config '{value}' is text: write the number without quotes"
        return FlagProblem(slug="flag-value", message=message)
    return choice_problem(name, value, engine)


def _ignored(message: str) -> FlagProblem:
    return FlagProblem(slug="flag-ignored", message=message)
