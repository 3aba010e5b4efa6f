"""The shipped JSON Schema: in step with the keys, and editors refuse and accept with it what the plugin does."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
import yaml

from pytest_sgdiff.cases import json_schema, tree
from pytest_sgdiff.cases.keys import CASE, MATRIX_HELP, RESERVED
from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.cases.marks import CASE_MARKS
from pytest_sgdiff.cases.shapes import Record
from pytest_sgdiff.cases.yaml import read_tree
from pytest_sgdiff.data import Case
from pytest_sgdiff.engines.flags.check import OWN, complaints
from pytest_sgdiff.engines.flags.descriptions import DESCRIPTIONS
from pytest_sgdiff.engines.flags.table import FLAGS
from pytest_sgdiff.engines.flags.translate import NEWEST, table_flags
from pytest_sgdiff.errors import CaseFileError
from pytest_sgdiff.lint import advise

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "cases"
OURS = sorted((ROOT / "cases").glob("*.yaml"))
GOOD = sorted((DATA / "good").glob("*.yaml"))
BAD = sorted((DATA / "bad").glob("*.yaml"))


def plain(text: str) -> Any:
    root = read_tree(text, tree.Mistakes("x"))
    assert root is not None
    return tree.to_plain(root)


def check_jsonschema(*files: pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(json_schema.FILE), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_shipped_schema_is_the_generated_one() -> None:
    assert json_schema.FILE.read_text(encoding="utf-8") == json_schema.text(), (
        "run python -m pytest_sgdiff.cases.json_schema"
    )


def test_the_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema.document_schema())


def test_editors_accept_our_cases_and_every_form_of_every_key() -> None:
    done = check_jsonschema(*OURS, *GOOD)
    assert (done.returncode, done.stdout) == (0, "ok -- validation done\n"), done.stdout


def test_editors_refuse_every_bad_file() -> None:
    done = check_jsonschema(*BAD)
    assert done.returncode == 1
    refused = set(re.findall(r"(\w+\.yaml)::", done.stdout))
    assert refused == {file.name for file in BAD}


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_the_plugin_says_of_every_bad_file_what_is_expected(file: pathlib.Path) -> None:
    with pytest.raises(CaseFileError) as caught:
        load_cases(file.name, file.read_text())
    expected = file.with_suffix(".txt").read_text().splitlines()
    assert list(caught.value.mistakes) == [f"{file.name}:{line}" for line in expected]


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_the_plugin_accepts_every_good_file(file: pathlib.Path) -> None:
    assert load_cases(file.name, file.read_text())


@pytest.mark.parametrize(
    "line",
    [
        "gpus: four", "gpus: 2.5", "gpus: true", "gpus: -1", "gpu: 1", "summary: 4", "engine: ' x'", "marks: nightly",
        "marks: [a b]", "marks: [_a]", "fixtures: [2x]", "backend: torch", "warmup: true", "args: []", "args: {a_b: 1}",
        "args: {--a: 1}", "args: {a: {}}", "args: {a: []}", "args: {a: [[1]]}", "env: {A: 1}", "env: {A-B: x}",
        "config: 3", "assets: {a: /x}", "assets: {a: ../x}", "assets: {a: x/..}", "assets: {a: b/}", "expect: {a: 1}",
        "expect: {output: {width: 0}}", "expect: {stages: x}", "metrics: {primary: x}", "metrics: {gate: []}",
        "metrics: {gate: [speed]}", "metrics: {allow: {speed: 4%}}", "metrics: {allow: {e2e: 4}}",
        "metrics: {allow: {e2e: few}}", "metrics: {detect: {e2e: 0}}", "launches: {baseline: 2}",
        "launches: {checkpoints: [1, 1]}", "launches: {checkpoints: []}", "timeout: 0", "timeout: soon",
        "requires: {token: 1}",
        "requires: {gpu: []}", "faster_than: {at_least: 1%}", "faster_than: {case: a, at_least: 1}", "matrix: {}",
        "matrix: {t: {}}", "matrix: {t: {'a b': {}}}", "matrix: {t: {a: {matrix: {}}}}", "matrix: {t: {a: {gpus: x}}}",
        "timeout: 0s", "timeout: 0.00h", "metrics: {detect: {e2e: 0%}}", "metrics: {allow: {e2e: 100%}}",
        "metrics: {allow: {e2e: 0250.5%}}", "faster_than: {case: a, at_least: 100%}", "requires: {engine: 0.5.11}",
        "requires: {engine: newest}", "requires: {engine: '>=0.5.11 <0.6'}", "requires: {engine: '>='}",
    ],
)  # fmt: skip
def test_plugin_and_schema_refuse_the_same(line: str) -> None:
    _both_refuse(f"cases: {{a: {{model: m, {line}}}}}")


@pytest.mark.parametrize("name", [*RESERVED, "'9a'", "a/b", "'a b'"])
def test_plugin_and_schema_refuse_the_same_names(name: str) -> None:
    _both_refuse(f"cases: {{{name}: {{model: m}}}}")
    assert load_cases("x.yaml", "cases: {profile_case: {model: m}, Again: {model: m}}")


def _both_refuse(text: str) -> None:
    with pytest.raises(CaseFileError):
        load_cases("x.yaml", text)
    errors = list(jsonschema.Draft202012Validator(json_schema.document_schema()).iter_errors(plain(text)))
    assert errors


@pytest.mark.parametrize(
    "line",
    [
        "timeout: 0.5s", "timeout: 10m", "metrics: {allow: {e2e: 099.5%}}", "metrics: {allow: {e2e: 0.1%}}",
        "faster_than: {case: a, at_least: 0%}", "requires: {engine: '>=0.5.11,<0.6'}", "requires: {engine: ''}",
        "requires: {engine: '~= 0.5.11 , != 0.5.14.post1 ,'}", "requires: {engine: '==0.5.*'}",
        "requires: {engine: '===0.5.11+local'}", "requires: {engine: '>v0.5'}",
    ],
)  # fmt: skip
def test_plugin_and_schema_accept_the_same(line: str) -> None:
    text = f"cases: {{a: {{model: m}}, b: {{model: m, {line}}}}}"
    assert len(load_cases("x.yaml", text)) == 2
    assert list(jsonschema.Draft202012Validator(json_schema.document_schema()).iter_errors(plain(text))) == []


def test_the_keys_are_the_fields_of_the_data() -> None:
    def assert_fields(record: Record) -> None:
        assert list(record.keys) == list(record.help)
        for shape in record.keys.values():
            if isinstance(shape, Record):
                names = {shape.fields.get(key, key) for key in shape.keys}
                assert names == {f.name for f in dataclasses.fields(shape.kind)}
                assert_fields(shape)

    assert_fields(CASE)
    written = {"timeout" if f.name == "timeout_s" else f.name for f in dataclasses.fields(Case)}
    # These five say where a case stands in its file.
    assert set(CASE.keys) == written - {"name", "variant", "location", "locations", "written"}


def test_defaults_in_the_schema_are_those_of_the_data() -> None:
    keys = json_schema.document_schema()["$defs"]["overrides"]["properties"]
    shown = {key: schema["default"] for key, schema in keys.items() if "default" in schema}
    assert shown == {"gpus": 1, "engine": "sglang-generate", "warmup": "request"}


def test_the_docs_explain_every_key_in_the_same_words() -> None:
    text = (ROOT / "docs" / "cases.md").read_text()
    for key, help_ in {**CASE.help, "matrix": MATRIX_HELP}.items():
        assert f"| `{key}` | {help_}" in text, key
    for key, shape in CASE.keys.items():
        shape = getattr(shape, "record", shape)
        for part, help_ in shape.help.items() if isinstance(shape, Record) else ():
            assert f"| `{key}.{part}` | {help_}" in text, f"{key}.{part}"


def test_the_example_in_the_docs_loads_and_is_accepted() -> None:
    text = (ROOT / "docs" / "cases.md").read_text()
    examples = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "cases:" in block]
    assert examples
    for example in examples:
        read = load_cases("x.yaml", example)
        assert read
        advice = [one for case in read for one in advise(case, engine=table_flags(NEWEST))]
        assert [str(one) for one in advice if one.level == "error"] == []
        jsonschema.validate(plain(example), json_schema.document_schema())


def test_every_case_file_names_the_schema_for_editors() -> None:
    for file in OURS:
        first = file.read_text().splitlines()[0]
        assert first == "# yaml-language-server: $schema=../pytest_sgdiff/cases/case.schema.json", file.name
        assert yaml.safe_load(file.read_text())["cases"]


# -------------------------------------------------------------------------------------------------- flags of the engine


def flags() -> dict[str, Any]:
    found: dict[str, Any] = json_schema.document_schema()["$defs"]["flags"]["properties"]
    return found


def refused(text: str) -> list[str]:
    return [error.json_path for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(plain(text))]


SCHEMA = json_schema.document_schema()


def test_every_flag_of_every_known_release_has_a_type_and_a_meaning() -> None:
    known = {name for names in FLAGS.values() for name in names.split()}
    # A case file may not write those with an underscore: each has a twin with a dash.
    assert set(flags()) == {name for name in known if "_" not in name}
    assert {name.replace("_", "-") for name in known} == set(flags())
    assert set(DESCRIPTIONS) <= known
    for name, schema in flags().items():
        assert schema["description"], name
        assert {"type", "enum", "anyOf"} & set(schema), name


@pytest.mark.parametrize(
    "args",
    [
        "{width: wide}", "{width: 8.5}", "{width: true}", "{guidance-scale: few}", "{enable-torch-compile: maybe}",
        "{save-output: 3}", "{encoder-parallel: folds}", "{lora-path: [a, b]}", "{seed: [1, x]}", "{lora-path: true}",
        "{text-encoder-precisions: [fp32, fp8]}", "{flow-shift: [1.0, 2.0]}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["args: ", "matrix: {t: {v: {args: ", "defaults"])
def test_a_value_that_no_release_takes_is_marked(args: str, where: str) -> None:
    closing = "}" * where.count("{")
    text = f"defaults: {{args: {args}}}\ncases: {{a: {{model: m}}}}"
    if where != "defaults":
        text = f"cases: {{a: {{model: m, {where}{args}{closing}}}}}"
    assert len(refused(text)) == 1
    case = load_cases("x.yaml", text)[0]
    assert any(one.level == "error" for one in complaints(case, table_flags(NEWEST)))


@pytest.mark.parametrize(
    "args",
    [
        "{width: '832', seed: 1, prompt: [a, b], unknown-flag: {}, enable-cfg-parallel: 'true', guidance-scale: 4}",
        "{save-output: false, enable-cfg-parallel: true, text-encoder-precisions: fp32, seed: [1, 2], width: }",
        "{attention-backend: of-tomorrow, vae-precision: bf16, flow-shift: '1e-1', log-requests-level: 2}",
    ],
)
def test_what_a_release_takes_is_not_marked(args: str) -> None:
    assert refused(f"cases: {{a: {{model: m, args: {args.replace('unknown-flag: {}', 'unknown-flag: x')}}}}}") == []


@pytest.mark.parametrize(
    "text",
    [
        "defaults: {engine: toy}\ncases: {a: {model: m, args: {width: wide}}}",
        "cases: {a: {model: m, engine: toy, args: {width: wide}}}",
        "cases: {a: {model: m, matrix: {engine: [toy, sglang-serve]}, args: {width: wide}}}",
        "cases: {a: {model: m, matrix: {x: {y: {engine: toy}}}, args: {width: wide}}}",
        "cases: {a: {model: m, matrix: {engine: {y: {engine: toy}}}, args: {width: wide}}}",
    ],
)
def test_engines_of_plugins_have_flags_of_their_own(text: str) -> None:
    assert refused(text) == []
    assert refused(text.replace("toy", "sglang-generate")) != []


def test_flags_that_the_plugin_writes_are_named_and_not_proposed() -> None:
    assert {name for name, schema in flags().items() if "deprecationMessage" in schema} == set(OWN) & set(flags())
    assert "'gpus'" in flags()["num-gpus"]["deprecationMessage"]
    case = load_cases("x.yaml", "cases: {a: {model: m, args: {num-gpus: 2, port: 1, perf-dump-path: x}}}")[0]
    assert {one.key for one in advise(case) if one.slug == "owned-flag"} == {
        f"args.{name}" for name in ("num-gpus", "port", "perf-dump-path")
    }


def test_marks_metrics_and_engines_are_proposed() -> None:
    keys = SCHEMA["$defs"]["case"]["properties"]
    assert keys["marks"]["items"]["examples"] == list(CASE_MARKS)
    assert "denoise" in keys["metrics"]["properties"]["gate"]["items"]["examples"]
    assert "peak_memory" in keys["metrics"]["properties"]["allow"]["properties"]
    assert keys["engine"]["examples"] == ["sglang-generate", "sglang-serve"]


def test_no_editor_has_to_show_a_regular_expression() -> None:
    def walk(schema: Any, place: str) -> None:
        if isinstance(schema, dict):
            if isinstance(schema.get("pattern"), str):
                assert schema.get("errorMessage"), place
            # Of alternatives an editor says only that none fits: one flag is of two kinds that share a type.
            assert "anyOf" not in schema or place.endswith("text-encoder-precisions"), place
            for key, inner in schema.items():
                walk(inner, f"{place}/{key}")
        elif isinstance(schema, list):
            for inner in schema:
                walk(inner, place)

    walk(SCHEMA, "")
