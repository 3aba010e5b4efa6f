"""The engine's own argument parsers accept every command line that is written for them. No launch: only the parser."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from pytest_sgdiff.cases import load
from pytest_sgdiff.data import Case, EngineInfo, LaunchFiles, Ports
from pytest_sgdiff.engine_version import engine_version
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.engines.flags import table as flagtable
from pytest_sgdiff.engines.flags.lookup import choices_of, known_flags
from pytest_sgdiff.engines.flags.translate import VERSIONS, complaints, table_flags
from pytest_sgdiff.tuning.settings import AXES
from pytest_sgdiff.tuning.space import space

pytestmark = pytest.mark.engine

# The engine that is run here, all before it, and the newest.
ASKED = (*VERSIONS[: VERSIONS.index("0.5.17") + 1], VERSIONS[-1])

SERVED = ("0.5.17", "0.5.23")
"""Those whose servers are started here."""

TUNED = {"wan21_t2v_1_3b_480p": 0, "qwen_image_t2i": 1, "wan22_t2v_a14b_720p": 4, "ltx2.3_hq_twostage[original]": 1}
"""Cases of which variants are tried, and the GPUs of these."""

ROOT = pathlib.Path(__file__).parent.parent.parent

PARSE = """
import argparse, contextlib, importlib, io, json, os, sys

# What all releases use. To import it is most of the work, and each release gets it by a fork; what is not here, or is
# not all of it, that one imports itself.
OTHERS = (
    "torch", "torch._dynamo", "torch._inductor.compile_fx", "torchvision", "transformers", "diffusers",
    "diffusers.loaders", "openai", "scipy.signal", "scipy.optimize", "scipy.stats", "networkx", "IPython",
    "compressed_tensors", "cache_dit", "triton", "accelerate", "fastapi", "aiohttp", "uvicorn", "cv2", "zmq.asyncio",
    "loguru", "pydantic", "imageio", "xgrammar",
)


def answers(command, lines):
    module = importlib.import_module(f"sglang.multimodal_gen.runtime.entrypoints.cli.{command}")
    parser = argparse.ArgumentParser()
    getattr(module, f"add_multimodal_gen_{command}_args")(parser)
    known = set(parser._option_string_actions)
    found = {
        "flags": {
            word[2:]: [getattr(action.type, "__name__", ""), list(map(str, action.choices or ()))]
            for word, action in parser._option_string_actions.items()
        }
    }
    for name, words in lines.items():
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                _, left = parser.parse_known_args(words)
            # An abbreviation is parsed, and then ignored by the engine, which looks for the exact word.
            short = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
            found[name] = {"unknown": left, "abbreviated": short}
        except BaseException as error:
            found[name] = {"error": f"{type(error).__name__}: {error} {said.getvalue()[-300:]}"}
    return found


def of_release(wanted):
    sys.path[:0] = wanted["path"]
    import sglang

    return {"version": sglang.__version__, **{name: answers(name, lines) for name, lines in wanted["lines"].items()}}


asked = json.load(sys.stdin)
for name in OTHERS:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
assert not [name for name in sys.modules if name.partition(".")[0] == "sglang"], "a release would be that of another"
for wanted in asked:
    if not (child := os.fork()):
        found = of_release(wanted)
        with open(wanted["answer"], "w") as file:
            json.dump(found, file)
        sys.stderr.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, wanted["answer"]
"""

FILES = LaunchFiles(
    workdir="/launch",
    output_dir="/launch/out",
    perf_dump="/launch/perf.json",
    perf_log_dir="/launch/log",
    config="/c.json",
)


def every_case(command: str = "generate") -> list[Case]:
    cases = [case for file in sorted((ROOT / "cases").glob("*.yaml")) for case in load.read_cases(file, ROOT)]
    return [case for case in cases if case.engine == f"sglang-{command}"]


def every_variant(version: str) -> list[Case]:
    """What a search would launch of a few cases with that release."""
    cases = [case for case in every_case() if case.id in TUNED and may_be_launched(case, version)]
    found = [
        space(
            case, gpus=TUNED[case.id], engine=table_flags(version), allow_lossy="yes", axes=AXES, transformers=["a/b"]
        )
        for case in cases
    ]
    return [one.case for each in found for one in each.variants]


def written(version: str, command: str = "generate") -> dict[str, list[str]]:
    """The command lines of all cases of a command, and of variants of some, by case."""
    info = EngineInfo(command=("sglang",), version=version)
    ports = Ports(http=30000, scheduler=30010, master=30040)
    lines = {}
    for case in (*every_case(command), *(every_variant(version) if command == "generate" else ())):
        files = replace(FILES, assets={flag: f"/assets/{name}" for flag, name in case.assets.items()})
        argv = ENGINES[case.engine].command(case, info=info, files=files, ports=ports).argv
        assert argv[:2] == ("sglang", command)
        lines[case.id] = list(argv[2:])
    return lines


def parsed(engine_env: pathlib.Path, folder: pathlib.Path) -> dict[str, Any]:
    """What the parsers of each release say to the probes and to every case, by release and command."""
    asked = []
    for version in ASKED:
        commands = ("generate", "serve") if version in SERVED else ("generate",)
        other = engine_env.absolute() / "parsers" / version
        asked.append(
            {
                "path": [str(other), str(other.parent / "imports")] if other.exists() else [],
                "lines": {command: {**PROBES, **written(version, command)} for command in commands},
                "answer": str(folder / version),
            }
        )
    done = subprocess.run(
        [str(engine_env.absolute() / "bin" / "python"), "-c", PARSE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = {version: json.loads((folder / version).read_text()) for version in ASKED}
    assert {version: answer["version"] for version, answer in answers.items()} == {
        version: version for version in ASKED
    }
    return answers


PROBES = {
    "unknown": ["--model-path", "m", "--no-such-flag", "1"],
    "abbreviated": ["--model-path", "m", "--ulysses", "2"],
    "of 0.5.17": ["--model-path", "m", "--warmup"],
}


ACCEPTED: dict[str, Any] = {"unknown": [], "abbreviated": []}
COMPONENTS = ("transformer-path",)


def may_be_launched(case: Case, version: str) -> bool:
    """Whether the plugin launches the case with a version: others are skipped for `requires.engine`, or refused."""
    errors = [complaint for complaint in complaints(case, table_flags(version)) if complaint.level == "error"]
    return SpecifierSet(case.requires.engine).contains(version) and not errors


@pytest.fixture(scope="module", params=ASKED)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def answered(engine_env: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return parsed(engine_env, tmp_path_factory.mktemp("parsers"))


@pytest.fixture
def answers(answered: dict[str, Any], version: str) -> dict[str, Any]:
    answer: dict[str, Any] = answered[version]["generate"]
    return answer


@pytest.mark.parametrize("release", SERVED)
def test_every_server_that_may_be_launched_is_accepted_by_the_real_parser(
    answered: dict[str, Any], release: str
) -> None:
    said = answered[release]["serve"]
    cases = [case.id for case in every_case("serve") if may_be_launched(case, release)]
    assert len(cases) > 5
    assert {name: said[name] for name in cases if said[name] != ACCEPTED} == {}
    assert said["unknown"]["unknown"] == ["--no-such-flag", "1"]


def test_every_case_that_may_be_launched_is_accepted_by_the_real_parser(answers: dict[str, Any], version: str) -> None:
    cases = {case.id: case for case in every_case() if may_be_launched(case, version)}
    assert len(cases) > (50 if engine_version(version).release >= 13 else 15)
    assert {name: answers[name] for name in cases if answers[name] != accepted(cases[name])} == {}


def test_every_variant_of_a_search_is_accepted_by_the_real_parser(answers: dict[str, Any], version: str) -> None:
    cases = {case.id: case for case in every_variant(version)}
    assert len(cases) > 40
    assert {name: answers[name] for name in cases if answers[name] != accepted(cases[name])} == {}


def accepted(case: Case) -> dict[str, Any]:
    """What the parser says to a case that it accepts: the path of a component is left to the engine, which takes every
    `--<component>-path` for one."""
    words = [word for flag in COMPONENTS if flag in case.args for word in (f"--{flag}", str(case.args[flag]))]
    return {"unknown": words, "abbreviated": words[::2]}


def test_a_flag_that_the_parser_accepts_is_refused_only_where_the_engine_drops_it(
    answers: dict[str, Any], version: str
) -> None:
    """A complaint too many would show here. That a version lacks the model or the pipeline, no parser knows."""
    about_flags = {
        case.id: {one.slug for one in complaints(case, table_flags(version)) if one.slug.startswith("flag-")}
        for case in every_case()
        if answers[case.id] == ACCEPTED
    }
    dropped = {"ltx2.3_twostage_ti2v_2gpus": {"flag-ignored"}} if version == "0.5.12" else {}
    # It accepts `snapshot` and runs `original`.
    deprecated = {"ltx2.3_hq_twostage[snapshot]": {"flag-value"}} if 14 <= engine_version(version).release <= 17 else {}
    assert {name: slugs for name, slugs in about_flags.items() if slugs} == {**dropped, **deprecated}


def test_the_tables_numbers_and_choices_are_those_of_the_real_parser(answers: dict[str, Any], version: str) -> None:
    """Other spellings of a flag (`window_size`) and settings within a component are not in the tables."""
    flags = {name: found for name, found in answers["flags"].items() if "_" not in name and "." not in name}
    for names, kind in ((flagtable.INTEGERS, "int"), (flagtable.FLOATS, "float")):
        assert {name for name, (type_, _) in flags.items() if type_ == kind} == set(names.split()) & set(flags)
    release = engine_version(version).release
    choices = {name: set(values) for name, (_, values) in flags.items() if values and name in flagtable.CHOICES}
    table = {name: set(choices_of(name, release)) for name in choices}
    if 14 <= release <= 17:
        # It accepts `snapshot` and runs `original`.
        table["ltx2-two-stage-device-mode"].add("snapshot")
    assert choices == table
    assert len(choices) > 5


def test_the_parser_is_a_real_one(answers: dict[str, Any], version: str) -> None:
    """It refuses what that version does not know; else the test above would prove nothing."""
    assert answers["unknown"]["unknown"] == ["--no-such-flag", "1"]
    assert answers["abbreviated"]["abbreviated"] == ["--ulysses"]
    assert ("error" in answers["of 0.5.17"]) is (engine_version(version).release > 17)


def test_the_table_has_the_flags_of_the_real_parser_and_no_others(answers: dict[str, Any], version: str) -> None:
    """Settings within a component are not in the table, nor a flag that each release declares and none implements."""
    real = {name for name in answers["flags"] if "." not in name} - {"help", "", "text-encoder-configs"}
    assert set(known_flags(engine_version(version).release)) == real
