"""Defaults, matrix variants, and what is only seen over several files."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from pytest_sgdiff.cases.load import check_files, check_relations, load_cases, read_cases
from pytest_sgdiff.data import Case, LaunchPlan
from pytest_sgdiff.engines.flags.translate import table_flags, translate
from pytest_sgdiff.errors import CaseFileError
from pytest_sgdiff.judging.power import recorded_at_most

PATH = "cases/x.yaml"
FIRERED = """\
defaults:
  model: FireRedTeam/FireRed-Image-Edit-1.1
  gpus: 2
  timeout: 10m
  env: {A: "1", B: "2"}
  args: {enable-torch-compile: true, width: 1024}
  marks: [pr]
  expect: {pipeline: X}
cases:
  firered:
    args: {height: 1024, enable-torch-compile: }
    env: {B: "3"}
    expect: {stages: [DenoisingStage]}
    matrix:
      topology:
        cfg:
          args: {enable-cfg-parallel: true, ulysses-degree: 1}
          faster_than: {case: "firered[ulysses]", at_least: 10%}
        ulysses: {args: {ulysses-degree: 2}, marks: [topology], timeout: , gpus: 4}
"""


def test_args_and_env_merge_key_by_key_and_everything_else_replaces() -> None:
    cfg, ulysses = load_cases(PATH, FIRERED)
    assert list(cfg.args.items()) == [
        ("width", 1024),
        ("height", 1024),
        ("enable-cfg-parallel", True),
        ("ulysses-degree", 1),
    ]
    assert dict(cfg.env) == {"A": "1", "B": "3"}
    assert cfg.expect.pipeline is None
    assert cfg.expect.stages == ("DenoisingStage",)
    assert (cfg.id, cfg.marks, cfg.gpus, cfg.timeout_s) == ("firered[cfg]", ("pr",), 2, 600.0)
    # The variant drops the inherited timeout, so that the default is back.
    assert (ulysses.id, ulysses.marks, ulysses.gpus, ulysses.timeout_s) == (
        "firered[ulysses]",
        ("topology",),
        4,
        1800.0,
    )
    assert ulysses.faster_than is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("marks: [pr]", (5, (1, 3, 5))),
        ("marks: [nightly, pr]", (10, (1, 3, 5))),
        ("marks: [nightly], launches: {looks: [1, 2]}", (10, (1, 2))),
        ("marks: [nightly], launches: {checkpoints: [1, 2]}", (10, (1, 2))),
        ("marks: [nightly], launches: {baseline: 5}", (5, (1, 3, 5))),
        ("marks: [nightly], launches: ", (10, (1, 3, 5))),
    ],
)
def test_a_nightly_case_has_ten_launches_in_its_baseline_unless_it_says_otherwise(
    given: str, expected: tuple[int, tuple[int, ...]]
) -> None:
    text = f"defaults: {{launches: {{baseline: 7}}}}\ncases: {{a: {{model: m/m, args: {{prompt: x}}, {given}}}}}\n"
    if "launches" not in given:
        text = text.partition("\n")[2]
    (case,) = load_cases(PATH, text)
    assert (case.recorded_launches, case.launches.looks) == expected


@pytest.mark.parametrize("launches", [5, 10, None])
@pytest.mark.parametrize("backend", ["sglang", "diffusers", None])
def test_a_case_of_python_does_what_the_same_case_of_a_file_does(launches: int | None, backend: str | None) -> None:
    keys = [f"launches: {{baseline: {launches}}}"] if launches else []
    keys += [f"backend: {backend}"] if backend else []
    (written,) = load_cases(PATH, f"cases: {{a: {{{', '.join(['model: m/m', 'args: {prompt: x}', *keys])}}}}}\n")
    built = Case(
        name="a",
        location=written.location,
        model="m/m",
        args={"prompt": "x"},
        backend=backend,
        launches=LaunchPlan(baseline=launches),
    )
    for case in (written, built):
        assert recorded_at_most(case.launches.baseline, case.recorded_launches) == (launches or 10)
        words = " ".join(translate(case, table_flags("0.5.17"))).replace("=", " ")
        assert (f"--backend {backend} " in words) is (backend is not None)
        assert ("--backend" in words) is (backend is not None)


def test_a_merged_value_still_knows_where_it_was_written() -> None:
    cfg, ulysses = load_cases(PATH, FIRERED)
    assert str(cfg.location) == str(ulysses.location) == "cases/x.yaml:10:3"
    assert str(cfg.at("gpus")) == "cases/x.yaml:3:3"
    assert str(ulysses.at("gpus")) == "cases/x.yaml:19:76"
    assert str(cfg.at("args.width")) == "cases/x.yaml:6:38"
    assert str(cfg.at("args.ulysses-degree")) == "cases/x.yaml:17:45"
    assert str(cfg.at("env.A")) == "cases/x.yaml:5:9"
    assert "args.enable-torch-compile" not in cfg.locations


def test_config_merges_its_own_keys_only() -> None:
    text = "defaults: {model: m, config: {a: {x: 1}, b: 2}}\ncases: {c: {config: {a: {y: 2}, c: 3}}}"
    (case,) = load_cases(PATH, text)
    assert dict(case.config) == {"a": {"y": 2}, "b": 2, "c": 3}


def test_a_null_drops_a_whole_inherited_mapping() -> None:
    (case,) = load_cases(PATH, "defaults: {model: m, env: {A: x}}\ncases: {c: {env: }}")
    assert dict(case.env) == {}


def test_several_axes_are_multiplied_in_the_files_order() -> None:
    text = """\
cases:
  a:
    model: m
    matrix:
      size: {small: {args: {width: 256}}, large: {args: {width: 1024}}}
      compile: {on: {args: {enable-torch-compile: true}}, off: }
"""
    cases = load_cases(PATH, text)
    assert [c.id for c in cases] == ["a[small-on]", "a[small-off]", "a[large-on]", "a[large-off]"]
    assert [dict(c.args) for c in cases] == [
        {"width": 256, "enable-torch-compile": True},
        {"width": 256},
        {"width": 1024, "enable-torch-compile": True},
        {"width": 1024},
    ]


def test_a_matrix_that_explodes_is_refused() -> None:
    axes = "".join(f"      x{i}: {{a: , b: , c: }}\n" for i in range(6))
    with pytest.raises(CaseFileError) as caught:
        load_cases(PATH, f"cases:\n  a:\n    model: m\n    matrix:\n{axes}")
    assert caught.value.mistakes == ("cases/x.yaml:5:7: 'matrix' makes 729 variants, more than 256",)


def test_an_axis_that_is_called_like_a_key_may_list_its_values() -> None:
    text = "cases: {a: {model: m, matrix: {engine: [sglang-generate, sglang-serve], gpus: [1, 2]}}}"
    found = [(case.variant, case.engine, case.gpus) for case in load_cases(PATH, text)]
    assert found == [
        ("sglang-generate-1", "sglang-generate", 1),
        ("sglang-generate-2", "sglang-generate", 2),
        ("sglang-serve-1", "sglang-serve", 1),
        ("sglang-serve-2", "sglang-serve", 2),
    ]
    assert str(load_cases(PATH, text)[2].at("engine")) == "cases/x.yaml:1:58"


@pytest.mark.parametrize(
    ("matrix", "mistake"),
    [
        ("{gpus: [1, x]}", "35: 'gpus' must be int, got 'x'"),
        ("{engine: [a, a]}", "32: 'matrix.engine' must map variants to what they change, got a list"),
        ("{args: [1, 2]}", "32: 'matrix.args' must map variants to what they change, got a list"),
        ("{engine: []}", "32: 'matrix.engine' must map variants to what they change, got an empty mapping"),
    ],
)  # fmt: skip
def test_a_list_of_anything_else_is_no_axis(matrix: str, mistake: str) -> None:
    with pytest.raises(CaseFileError) as caught:
        load_cases(PATH, f"cases: {{a: {{model: m, matrix: {matrix}}}}}")
    assert [one.partition(":1:")[2].partition(":")[2] for one in caught.value.mistakes] == [mistake.partition(":")[2]]


def test_a_variant_may_bring_the_model() -> None:
    cases = load_cases(PATH, "cases: {a: {matrix: {m: {v1: {model: x}, v2: {model: y}}}}}")
    assert [c.model for c in cases] == ["x", "y"]
    with pytest.raises(CaseFileError) as caught:
        load_cases(PATH, "cases: {a: {matrix: {m: {v1: {model: x}, v2: {}}}}}")
    assert caught.value.mistakes == ("cases/x.yaml:1:9: case 'a' has no 'model'",)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("firered[ulyses]", "no case is called 'firered[ulyses]', did you mean 'firered[ulysses]'?"),
        ("firered", "case 'firered' has variants, name one of them: firered[cfg], firered[ulysses]"),
        ("firered[cfg]", "case 'firered[cfg]' cannot be faster than itself"),
        ("zzz", "no case is called 'zzz'"),
    ],
)
def test_a_relation_must_name_another_case(tmp_path: pathlib.Path, other: str, expected: str) -> None:
    cases = load_cases(PATH, FIRERED.replace('case: "firered[ulysses]"', f'case: "{other}"'))
    assert check_relations(cases, files=(), root=tmp_path) == (f"cases/x.yaml:18:25: {expected}",)
    assert check_relations(load_cases(PATH, FIRERED), files=(), root=tmp_path) == ()


# ------------------------------------------------------------------------------------------------------------ files


def write(folder: pathlib.Path, **files: str | bytes) -> list[pathlib.Path]:
    (folder / "cases").mkdir(exist_ok=True)
    paths = []
    for name, content in files.items():
        path = folder / "cases" / f"{name}.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        paths.append(path)
    return paths


def test_an_id_in_two_files_names_both_places(tmp_path: pathlib.Path) -> None:
    files = write(tmp_path, a="cases:\n  one: {model: m}\n", b="cases:\n  two: {model: m}\n  one: {model: m}\n")
    assert check_files(files, tmp_path) == ("cases/b.yaml:3:3: case id 'one' is already used at cases/a.yaml:2:3",)


def test_an_id_with_a_matrix_in_two_files_is_reported_once(tmp_path: pathlib.Path) -> None:
    files = write(tmp_path, a=FIRERED, b=FIRERED)
    assert check_files(files, tmp_path) == (
        "cases/b.yaml:10:3: case id 'firered' is already used at cases/a.yaml:10:3",
    )


def test_mistakes_of_all_files_come_together(tmp_path: pathlib.Path) -> None:
    files = write(
        tmp_path,
        a="cases: {one: {model: m, gpu: 1}}",
        b="cases: {two: {model: m, marks: [x], faster_than: {case: one}}}",
        c="cases: [",
    )
    assert check_files([*files, tmp_path / "cases" / "d.yaml"], tmp_path, known_marks={"nightly"}) == (
        "cases/a.yaml:1:25: unknown key 'gpu', did you mean 'gpus'?",
        "cases/b.yaml:1:33: 'x' not found in `markers` configuration option",
        (
            "cases/c.yaml:1:9: not valid YAML: expected the node content, but found '<stream end>'"
            " (while parsing a flow node, line 1)"
        ),
        "cases/d.yaml:1:1: no such file",
    )


def test_a_relation_to_a_case_of_another_file_holds(tmp_path: pathlib.Path) -> None:
    files = write(tmp_path, a="cases: {one: {model: m}}", b="cases: {two: {model: m, faster_than: {case: one}}}")
    assert check_files(files, tmp_path) == ()
    # So that `pytest cases/b.yaml` is no error.
    assert check_files(files[1:], tmp_path) == ()
    # Nor is one where the two lie far apart.
    (tmp_path / "other" / "cases").mkdir(parents=True)
    moved = files[0].rename(tmp_path / "other" / "cases" / "a.yaml")
    assert check_files(files[1:], tmp_path) == ()
    moved.unlink()
    assert check_files(files[1:], tmp_path) == ("cases/b.yaml:1:39: no case is called 'one'",)


def test_a_relation_to_what_may_be_in_a_file_with_mistakes_is_none(tmp_path: pathlib.Path) -> None:
    files = write(
        tmp_path, a="cases: {one: {model: m, gpu: 1}}", b="cases: {two: {model: m, faster_than: {case: one}}}"
    )
    assert check_files(files[1:], tmp_path) == ()
    # What is no case file has no cases.
    files[0].write_text("jobs: {}")
    assert check_files(files[1:], tmp_path) == ("cases/b.yaml:1:39: no case is called 'one'",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"\xff\xfe\x00c", "a binary file, not YAML"),
        (b"cases:\n  caf\xe9: {}\n", "not UTF-8 text: byte 0xe9 on line 2"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "a binary file, not YAML"),
        (b"#" * (1024 * 1024 + 1), "the file is larger than 1 MiB: split it"),
    ],
)
def test_a_file_that_is_no_text_is_a_mistake_at_its_start(
    tmp_path: pathlib.Path, content: bytes, expected: str
) -> None:
    (file,) = write(tmp_path, a=content)
    with pytest.raises(CaseFileError) as caught:
        read_cases(file, tmp_path)
    assert caught.value.mistakes == (f"cases/a.yaml:1:1: {expected}",)


def test_a_byte_order_mark_is_not_part_of_the_file(tmp_path: pathlib.Path) -> None:
    (file,) = write(tmp_path, a=b"\xef\xbb\xbfcases: {a: {model: m}}")
    assert str(read_cases(file, tmp_path)[0].location) == "cases/a.yaml:1:9"


def test_a_folder_and_a_pipe_are_no_files(tmp_path: pathlib.Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(CaseFileError, match=r":1:1: not a file$"):
            read_cases(path, tmp_path)


def test_a_file_that_may_not_be_read_says_why(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = write(tmp_path, a="cases: {a: {model: m}}")

    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(pathlib.Path, "open", refuse)
    with pytest.raises(CaseFileError) as caught:
        read_cases(file, tmp_path)
    assert caught.value.mistakes == ("cases/a.yaml:1:1: cannot be read: Permission denied",)


def test_a_file_outside_the_root_is_named_relative_to_it(tmp_path: pathlib.Path) -> None:
    (file,) = write(tmp_path, a="cases: {a: {model: m}}")
    (case,) = read_cases(file, tmp_path / "project")
    assert str(case.location) == "../cases/a.yaml:1:9"


def test_importing_the_module_imports_nothing_heavy() -> None:
    heavy = "{'yaml', 'pydantic', 'packaging', 'pytest'}"
    code = f"import sys, pytest_sgdiff.cases.load; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
