"""Case files as pytest nodes: a `pytest.Module` whose functions are generated from the cases of a YAML file.

Generated functions, not a custom item: so `-m`, `-k`, node ids, `--lf`, parametrization, `pytest_generate_tests`,
overridable fixtures of every scope and other plugins work on cases as they do on tests.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sgdiff.cases.discover import registered_marks
from pytest_sgdiff.data import Case, Location
from pytest_sgdiff.errors import CaseFileError
from pytest_sgdiff.printable import printable

if TYPE_CHECKING:
    from pytest_sgdiff.cases.load import CaseFiles

CASE = pytest.StashKey[Case]()
"""On an item: the case that it measures."""

CASES = pytest.StashKey[dict[str, list[Case]]]()
"""On a case file: the name of a case -> its variants, in order."""

SEEN = pytest.StashKey[dict[str, Location]]()
"""On the config: case name -> where it was first collected from."""

CASE_FILES: pytest.StashKey[CaseFiles] = pytest.StashKey()
"""On the config: what is known of case files, collected or not."""

VARIANT = "sgdiff_variant"

_OWN_PLUGINS = frozenset({"python", "funcmanage"})
"""What the plugins are called by which pytest itself makes several tests of a function."""

_OWN_MAKERS = frozenset({"python", "unittest"})
"""What the plugins are called by which pytest itself makes items of what a module holds."""


class CaseFile(pytest.Module):
    """A YAML case file."""

    _module: types.ModuleType | None = None
    _hooks: _MakingCases | None = None
    _alike: dict[tuple[tuple[str, ...], tuple[str, ...]], pytest.Function | None]

    def _getobj(self) -> types.ModuleType:
        # pytest asks for it once more for each function where it collects no imported tests.
        if self._module is None:
            self._module = self._read()
        return self._module

    def _read(self) -> types.ModuleType:
        by_name: dict[str, list[Case]] = {}
        for case in load(self.path, self.config):
            by_name.setdefault(case.name, []).append(case)
        self.stash[CASES] = by_name
        seen = self.config.stash.setdefault(SEEN, {})
        if taken := [mistake for variants in by_name.values() for mistake in self._claim(variants[0], seen)]:
            raise self.CollectError("\n".join(map(printable, taken)))
        module = _Cases(self.path.stem)
        module.__file__ = str(self.path)
        self._alike = {}
        functions = _Functions(module)
        for name, variants in by_name.items():
            setattr(module, name, functions.of(variants))
        return module

    def istestfunction(self, obj: object, name: str) -> bool:
        # What a case is called is the author's choice: `python_functions` is about tests in Python files.
        return name in self.stash[CASES]

    def istestclass(self, obj: object, name: str) -> bool:
        return False

    def _genfunctions(self, name: str, funcobj: Callable[..., None]) -> Iterator[pytest.Function]:
        """As pytest does it, which finds the fixtures of each function anew. Cases of a file that have the same marks
        and fixtures need the same, as variants of one do, so the first of them is asked for all."""
        case = self.stash[CASES][name][0]
        if case.variant is not None:
            yield from super()._genfunctions(name, funcobj)
            return
        kind = (case.marks, case.fixtures)
        like = self._alike.get(kind)
        if kind not in self._alike:
            made = list(super()._genfunctions(name, funcobj))
            # With parameters each is another matter; and a pytest that keeps its fixtures elsewhere is asked each time.
            one = len(made) == 1 and not hasattr(made[0], "callspec") and hasattr(made[0], "_fixtureinfo")
            self._alike[kind] = made[0] if one else None
            yield from made
        elif like is None:
            yield from super()._genfunctions(name, funcobj)
        else:
            item = pytest.Function.from_parent(self, name=name, callobj=funcobj, fixtureinfo=like._fixtureinfo)
            if self._others_generate and self._is_generated(item):
                yield from super()._genfunctions(name, funcobj)
            else:
                yield item

    def items_of(self, name: str, function: Callable[..., None]) -> list[pytest.Function]:
        """The tests that the function of a case becomes."""
        return list(self._genfunctions(name, function))

    @cached_property
    def _others_generate(self) -> bool:
        """Whether anybody but pytest itself, which did for the first, may make tests of the functions of this file."""
        hook = self.ihook.pytest_generate_tests
        return any(one.plugin_name not in _OWN_PLUGINS for one in hook.get_hookimpls())

    def _is_generated(self, item: pytest.Function) -> bool:
        """Whether a plugin makes other tests of the function than this one, as pytest-repeat may."""
        shared = item._fixtureinfo
        names = list(shared.names_closure)
        own = replace(shared, names_closure=names, name2fixturedefs=dict(shared.name2fixturedefs))
        try:
            metafunc = pytest.Metafunc(item, own, self.config, module=self._module, _ispytest=True)  # type: ignore[arg-type]
        except TypeError:
            return True  # it is made of something else now
        self.ihook.pytest_generate_tests(metafunc=metafunc)
        # A pytest that notes them elsewhere is asked for the tests itself.
        return bool(getattr(metafunc, "_calls", True)) or names != shared.names_closure

    @property
    def ihook(self) -> Any:
        return self._hooks or super().ihook

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        hooks = super().ihook
        makes = hooks.pytest_pycollect_makeitem.get_hookimpls()
        if hasattr(pytest.Module, "_genfunctions") and all(one.plugin_name in _OWN_MAKERS for one in makes):
            self._hooks = _MakingCases(self, hooks)
        try:
            found = list(super().collect())
        finally:
            self._hooks = None
        for item in found:
            if isinstance(item, pytest.Function):
                case = item.stash[CASE] = self._case_of(item)
                if case.fixtures and not set(case.fixtures) <= set(item.fixturenames):
                    item.fixturenames = _with_own(item.fixturenames, case.fixtures)
            yield item

    def _case_of(self, item: pytest.Function) -> Case:
        variants = self.stash[CASES][item.originalname]
        callspec = getattr(item, "callspec", None)
        return variants[callspec.params[VARIANT]] if callspec and VARIANT in callspec.params else variants[0]

    @staticmethod
    def _claim(case: Case, seen: dict[str, Location]) -> tuple[str, ...]:
        """The mistake of a name that another file has used before, one of those `seen`."""
        first = seen.setdefault(case.name, case.location)
        if first.path == case.location.path:
            return ()
        return (f"{case.location}: the case '{case.name}' is defined already at {first}; ids are unique over files",)


class _MakingCases:
    """The hooks of a case file while it is collected, where nobody but pytest itself makes items of what a module
    holds: of the function of a case they are made at once, without a call of the hook for each."""

    def __init__(self, file: CaseFile, hooks: Any) -> None:
        self._file, self._hooks = file, hooks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hooks, name)

    def pytest_pycollect_makeitem(self, collector: CaseFile, name: str, obj: Any) -> Any:
        """As pytest's own does it of a function that is a test."""
        if self._file.istestfunction(obj, name):
            return self._file.items_of(name, obj)
        return self._hooks.pytest_pycollect_makeitem(collector=collector, name=name, obj=obj)


class _Cases(types.ModuleType):
    """The module of a case file. pytest looks for fixtures among the names that `dir` gives, and no case is one."""

    def __dir__(self) -> list[str]:
        return ["__file__", "__name__"]


class _Functions:
    """Makes the functions of a file's cases. What they share is made once."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module
        self._names = {"__name__": module.__name__}
        self._made: dict[str, pytest.MarkDecorator] = {}
        self._lists: dict[tuple[str, ...], list[pytest.Mark]] = {}

    def of(self, variants: Sequence[Case]) -> Callable[..., None]:
        """The function of a case with these variants."""
        first = variants[0]

        def case_body(sgdiff: Any) -> None:
            sgdiff.check()

        # The case's own file and line, so that reports and tracebacks lead there.
        code = case_body.__code__.replace(
            co_filename=str(self._module.__file__), co_firstlineno=first.location.line, co_name=first.name
        )
        function = types.FunctionType(code, self._names, first.name)
        function.__doc__ = first.summary or None
        # `usefixtures` is refused on a parameter: what only some variants use is requested by their items.
        common = first.fixtures
        if len(variants) > 1:
            common = tuple(name for name in common if all(name in case.fixtures for case in variants))
        # Variants differ in their marks, which ride on the parameters; a lone case carries them itself.
        if first.variant is None:
            key = (*first.marks, "", *common)
            if key not in self._lists:
                self._lists[key] = self._marks(map(self._mark, first.marks), common)
            marks = self._lists[key]
        else:
            parameters = [
                pytest.param(number, id=case.variant, marks=[self._mark(name) for name in case.marks])
                for number, case in enumerate(variants)
            ]
            marks = self._marks([pytest.mark.parametrize(VARIANT, parameters, indirect=True)], common)
        function.pytestmark = marks  # type: ignore[attr-defined]
        return function

    def _marks(self, marks: Iterable[pytest.MarkDecorator], fixtures: Sequence[str]) -> list[pytest.Mark]:
        uses = [pytest.mark.usefixtures(*fixtures).mark] if fixtures else []
        return [pytest.mark.sgdiff.mark, *(mark.mark for mark in marks), *uses]

    def _mark(self, name: str) -> pytest.MarkDecorator:
        if name not in self._made:
            self._made[name] = getattr(pytest.mark, name)
        return self._made[name]


def _with_own(names: Sequence[str], own: Sequence[str]) -> list[str]:
    """The fixtures of an item, in the order in which pytest sets them up, and those that only its variant uses: before
    `sgdiff`, which leases the GPUs."""
    at = names.index("sgdiff")
    return [*names[:at], *(name for name in own if name not in names), *names[at:]]


def case_files(config: pytest.Config) -> CaseFiles:
    """What this session knows of case files, so that none is read twice."""
    from pytest_sgdiff.cases.load import CaseFiles

    if CASE_FILES not in config.stash:
        config.stash[CASE_FILES] = CaseFiles(config.rootpath)
    return config.stash[CASE_FILES]


def load(path: Path, config: pytest.Config) -> tuple[Case, ...]:
    """The cases of a file.

    Raises:
        pytest.Collector.CollectError: with every mistake of the file, one a line, and no traceback.
    """
    from pytest_sgdiff.cases.load import check_relations

    elsewhere = case_files(config)
    try:
        cases = elsewhere.read(path, registered_marks(config))
    except CaseFileError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    if mistakes := check_relations(cases, files=[path], root=config.rootpath, elsewhere=elsewhere):
        raise pytest.Collector.CollectError("\n".join(map(printable, mistakes)))
    return cases
