"""Word for word: every mistake that a case file can hold, at its place."""

from __future__ import annotations

import pytest

from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.data import Case, Expect, FasterThan, LaunchPlan, Location, MetricChoice, OutputSize, Requires
from pytest_sgdiff.errors import CaseFileError

LOADS = "throughput:<name>, latency_p50:<name>, latency_p95:<name> or latency_p99:<name>"
PRIMARY = f"denoise, e2e, stage:<name>, client_e2e, queue, load, warmup, {LOADS}"
GATE = f"denoise, e2e, stages, stage:<name>, peak_memory, client_e2e, queue, load, warmup, {LOADS}"
PATH = "cases/x.yaml"


def mistakes(text: str, known_marks: tuple[str, ...] | None = None) -> list[str]:
    with pytest.raises(CaseFileError) as caught:
        load_cases(PATH, text, known_marks=known_marks)
    return list(caught.value.mistakes)


def in_case(line: str) -> list[str]:
    """The mistakes of a case with this line, without the path: the line is the third, its key in column 5."""
    found = mistakes(f"cases:\n  one:\n    {line}\n    model: Lightricks/LTX-2\n")
    assert all(m.startswith(f"{PATH}:3:") for m in found), found
    return [m.removeprefix(f"{PATH}:3:") for m in found]


FULL = """\
cases:
  ltx2_twostage_t2v:
    summary: LTX-2 two-stage text to video
    marks: [nightly, slow]
    fixtures: [warm_disk]
    model: Lightricks/LTX-2
    gpus: 2
    engine: sglang-serve
    backend: diffusers
    warmup: off
    args:
      pipeline-class-name: LTX2TwoStagePipeline
      width: 768
      guidance-scale: 4.0
      save-output: true
      vae-tiling: false
      warmup-resolutions: [256x256, 720x720]
    env: {FLASHINFER_DISABLE_VERSION_CHECK: "1"}
    config: {paint_enable: false, nested: {levels: [1, null]}}
    assets: {image-path: animals/cat.png}
    expect: {pipeline: LTX2Pipeline, stages: [A, B], output: {width: 768, height: 512, frames: 121}, attention: fa}
    metrics: {primary: e2e, gate: [e2e, stages, "stage:A"], allow: {e2e: 4%, "stage:A": 0.1, "stage:B": 12.5%}}
    launches: {baseline: 10, checkpoints: [1, 3, 5]}
    timeout: 45m
    requires: {gpu: [H100, H200], engine: ">=0.5.11", token: true}
    faster_than: {case: other, at_least: 10%}
    source: the guide
"""


def test_every_key_becomes_the_field_it_names() -> None:
    (case,) = load_cases(PATH, FULL)
    assert case == Case(
        name="ltx2_twostage_t2v",
        summary="LTX-2 two-stage text to video",
        location=Location(path=PATH, line=2, column=3),
        locations=case.locations,
        written=tuple(case.locations),
        model="Lightricks/LTX-2",
        gpus=2,
        engine="sglang-serve",
        backend="diffusers",
        warmup="off",
        marks=("nightly", "slow"),
        fixtures=("warm_disk",),
        args={
            "pipeline-class-name": "LTX2TwoStagePipeline",
            "width": 768,
            "guidance-scale": 4.0,
            "save-output": True,
            "vae-tiling": False,
            "warmup-resolutions": ("256x256", "720x720"),
        },
        env={"FLASHINFER_DISABLE_VERSION_CHECK": "1"},
        config={"paint_enable": False, "nested": {"levels": [1, None]}},
        assets={"image-path": "animals/cat.png"},
        expect=Expect(
            pipeline="LTX2Pipeline",
            stages=("A", "B"),
            output=OutputSize(width=768, height=512, frames=121),
            attention="fa",
        ),
        metrics=MetricChoice(
            primary="e2e", gate=("e2e", "stages", "stage:A"), allow={"e2e": 0.04, "stage:A": 0.1, "stage:B": 0.125}
        ),
        launches=LaunchPlan(baseline=10, looks=(1, 3, 5)),
        timeout_s=2700.0,
        requires=Requires(gpu=("H100", "H200"), engine=">=0.5.11", token=True),
        faster_than=FasterThan(case="other", at_least=0.1),
        source="the guide",
    )
    assert list(case.args) == [
        "pipeline-class-name",
        "width",
        "guidance-scale",
        "save-output",
        "vae-tiling",
        "warmup-resolutions",
    ]


def test_locations_hold_the_place_of_every_dotted_key() -> None:
    (case,) = load_cases(PATH, FULL)
    places = {key: str(place) for key, place in case.locations.items()}
    assert places["gpus"] == "cases/x.yaml:7:5"
    assert places["args"] == "cases/x.yaml:11:5"
    assert places["args.width"] == "cases/x.yaml:13:7"
    assert places["expect.output.frames"] == "cases/x.yaml:21:88"
    assert places["config.nested.levels"] == "cases/x.yaml:19:44"
    assert str(case.at("args.not-there")) == "cases/x.yaml:11:5"
    assert str(case.at("not-there")) == "cases/x.yaml:2:3"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("45m", 2700.0), ("90s", 90.0), ("2h", 7200.0), ("1.5h", 5400.0), ("300", 300.0), ("'300s'", 300.0)],
)
def test_a_timeout_is_a_duration_or_seconds(written: str, seconds: float) -> None:
    (case,) = load_cases(PATH, f"cases: {{a: {{model: m, timeout: {written}}}}}")
    assert case.timeout_s == seconds


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # Unknown keys
        ("gpu: 2", ["5: unknown key 'gpu', did you mean 'gpus'?"]),
        ("matrx: {}", ["5: unknown key 'matrx', did you mean 'matrix'?"]),
        (
            "frobnicate: 1",
            [
                (
                    "5: unknown key 'frobnicate'; known are args, assets, backend, config, engine, env, expect,"
                    " faster_than, fixtures, gpus, launches, marks, matrix, metrics, model, quality, requires, source, "
                    "summary, timeout, warmup"
                )
            ],
        ),
        ("requires: {gpus: [H100]}", ["16: unknown key 'requires.gpus', did you mean 'requires.gpu'?"]),
        (
            "expect: {output: {heigth: 3}}",
            ["23: unknown key 'expect.output.heigth', did you mean 'expect.output.height'?"],
        ),
        # Types
        ("gpus: four", ["11: 'gpus' must be int, got 'four'"]),
        ('gpus: "2"', ["11: 'gpus' must be int, got '2'"]),
        ("gpus: 2.0", ["11: 'gpus' must be int, got 2.0"]),
        ("gpus: true", ["11: 'gpus' must be int, got true"]),
        ("gpus: [2]", ["11: 'gpus' must be int, got a list"]),
        ("gpus: 042", ["11: 'gpus' must be int, got '042'"]),
        ("gpus: 1e2", ["11: 'gpus' must be int, got 1e2"]),
        ("gpus: -1", ["11: 'gpus' must be 0 or more, got -1"]),
        ("gpus:", ["5: 'gpus' has no value, and there is no inherited one to drop"]),
        ("summary: 4", ["14: 'summary' must be str, got 4: quote it (\"4\")"]),
        ("source: true", ["13: 'source' must be str, got true: quote it (\"true\")"]),
        ("engine: ' '", ["13: 'engine' must be text without spaces around it, got ' '"]),
        ("marks: nightly", ["12: 'marks' must be a list, got 'nightly': write [nightly]"]),
        ("marks: [1]", ["13: 'marks[0]' must be str, got 1: quote it (\"1\")"]),
        ("marks: [a b]", ["13: 'marks[0]' must be the name of a mark, such as nightly, got 'a b'"]),
        ("marks: [_a]", ["13: 'marks[0]' must be the name of a mark, such as nightly, got '_a'"]),
        ("fixtures: [2x]", ["16: 'fixtures[0]' must be the name of a fixture, got '2x'"]),
        ("args: [a]", ["11: 'args' must be a mapping, got a list"]),
        (
            "backend: diffuser",
            ["14: 'backend' must be 'sglang' or 'diffusers', got 'diffuser', did you mean 'diffusers'?"],
        ),
        ("warmup: true", ["13: 'warmup' must be 'request' or 'off', got true"]),
        ("warmup: server", ["13: 'warmup' must be 'request' or 'off', got 'server'"]),
        # args
        ("args: {num-frames: {a: 1}}", ["24: 'args.num-frames' must be a value or a list of values, got a mapping"]),
        ("args: {num-frames: []}", ["24: 'args.num-frames' must not be empty"]),
        ("args: {size: [1, [2]]}", ["22: 'args.size[1]' must be a single value, got a list"]),
        ("args: {seed: }", ["12: 'args.seed' has no value, and there is no inherited one to drop"]),
        ("args: {fps: .nan}", ["17: 'args.fps' must be finite, got .nan"]),
        ("args: {fps: -.inf}", ["17: 'args.fps' must be finite, got -.inf"]),
        ("args: {fps: 1e999}", ["17: 'args.fps' must be finite, got 1e999"]),
        (
            "args: {num_frames: 3}",
            [
                (
                    "12: key 'num_frames' of 'args' must be a long flag without its dashes, words joined by '-',"
                    " did you mean 'num-frames'?"
                )
            ],
        ),
        (
            "args: {--num_gpus: 3}",
            [
                (
                    "12: key '--num_gpus' of 'args' must be a long flag without its dashes, words joined by '-',"
                    " did you mean 'num-gpus'?"
                )
            ],
        ),
        (
            "args: {'a b': 3}",
            ["12: key 'a b' of 'args' must be a long flag without its dashes, words joined by '-'"],
        ),
        # env
        ("env: {CUDA_LAUNCH_BLOCKING: 1}", ["33: 'env.CUDA_LAUNCH_BLOCKING' must be str, got 1: quote it (\"1\")"]),
        ("env: {A: true}", ["14: 'env.A' must be str, got true: quote it (\"true\")"]),
        ("env: {A-B: x}", ["11: key 'A-B' of 'env' must be the name of a variable"]),
        # config, assets
        ("config: {a: [1, .inf]}", ["21: 'config.a[1]' must be finite, got .inf"]),
        ("config: {a: {b: .nan}}", ["21: 'config.a.b' must be finite, got .nan"]),
        *[
            (
                f"assets: {{image-path: {path}}}",
                [f"26: 'assets.image-path' must be a path inside the assets folder, such as cat.png, got '{path}'"],
            )
            for path in ("/etc/passwd", "../cat.png", "a/../../b", "..", "folder/")
        ],
        # metrics
        (
            "metrics: {primary: Hunyuan3DShapeDenoisingStage}",
            [f"24: 'metrics.primary' must be {PRIMARY}, got 'Hunyuan3DShapeDenoisingStage'"],
        ),
        ("metrics: {primary: 'stage:'}", [f"24: 'metrics.primary' must be {PRIMARY}, got 'stage:'"]),
        (
            "metrics: {gate: [speed]}",
            [f"22: 'metrics.gate[0]' must be {GATE}, got 'speed'"],
        ),
        ("metrics: {gate: []}", ["21: 'metrics.gate' must not be empty"]),
        (
            "metrics: {allow: {speed: 4%}}",
            [f"23: key 'speed' of 'metrics.allow' must be {GATE}"],
        ),
        (
            "metrics: {gate: [denoise], allow: {peak_memory: 4%}}",
            ["40: 'metrics.allow.peak_memory' has no effect: add peak_memory to 'metrics.gate'"],
        ),
        ("metrics: {allow: {e2e: 4}}", ["28: 'metrics.allow.e2e' must be less than 100%, got 4: for 4 % write 4%"]),
        ("metrics: {allow: {e2e: 250%}}", ["28: 'metrics.allow.e2e' must be less than 100%, got '250%'"]),
        ("metrics: {allow: {e2e: -0.1}}", ["28: 'metrics.allow.e2e' must be 0 or more, got -0.1"]),
        ("metrics: {allow: 10}", ["22: 'metrics.allow' must be less than 100%, got 10: for 10 % write 10%"]),
        (
            "metrics: {limits: {e2e: 4%}}",
            [
                (
                    "15: 'metrics.limits' is 'metrics.allow' now: slowdown that is accepted and never fails, "
                    "for the case or by metric, such as 10% (it was what a pass rules out)"
                )
            ],
        ),
        ("metrics: {allow: 10%, detect: 5%}", ["35: 'metrics.detect' must be more than the 10% that is allowed"]),
        ("metrics: {detect: {e2e: 1%}}", ["24: 'metrics.detect' must be more than the 1.2% that is allowed"]),
        (
            "metrics: {primary: e2e, gate: [denoise]}",
            ["15: 'metrics.primary' is not gated: add e2e to 'metrics.gate', or leave it out"],
        ),
        ("metrics: {allow: {e2e: .nan}}", ["28: 'metrics.allow.e2e' must be a share such as 4% or 0.04, got .nan"]),
        ("metrics: {allow: {e2e: few}}", ["28: 'metrics.allow.e2e' must be a share such as 4% or 0.04, got 'few'"]),
        # launches
        ("launches: {baseline: 2}", ["26: 'launches.baseline' must be 3 or more, got 2"]),
        ("launches: {checkpoints: [3, 1]}", ["29: 'launches.checkpoints' must increase, got [3, 1]"]),
        ("launches: {checkpoints: [1, 1]}", ["29: 'launches.checkpoints' must increase, got [1, 1]"]),
        ("launches: {checkpoints: [0, 1]}", ["30: 'launches.checkpoints[0]' must be 1 or more, got 0"]),
        ("launches: {checkpoints: []}", ["29: 'launches.checkpoints' must not be empty"]),
        # the earlier name
        ("launches: {looks: [3, 1]}", ["23: 'launches.looks' must increase, got [3, 1]"]),
        (
            "launches: {looks: [1], checkpoints: [1]}",
            ["16: 'launches.looks' is the earlier name of 'launches.checkpoints': keep one of them"],
        ),
        ("launches: 5", ["15: 'launches' must be a mapping, got 5"]),
        # timeout
        ("timeout: 0", ["14: 'timeout' must be more than 0, got 0"]),
        ("timeout: 0s", ["14: 'timeout' must be more than 0, got '0s'"]),
        ("timeout: soon", ["14: 'timeout' must be a duration such as 45m, 90s or 2h, or seconds, got 'soon'"]),
        ("timeout: 1:30", ["14: 'timeout' must be a duration such as 45m, 90s or 2h, or seconds, got '1:30'"]),
        ("timeout: .inf", ["14: 'timeout' must be a duration such as 45m, 90s or 2h, or seconds, got .inf"]),
        ("timeout: true", ["14: 'timeout' must be a duration such as 45m, 90s or 2h, or seconds, got true"]),
        # requires, expect, faster_than
        ("requires: {token: yes}", ["23: 'requires.token' must be bool, got 'yes': write true"]),
        ("requires: {token: 1}", ["23: 'requires.token' must be bool, got 1"]),
        ("requires: {gpu: H100}", ["21: 'requires.gpu' must be a list, got 'H100': write [H100]"]),
        (
            "requires: {engine: 0.5.11}",
            ["24: 'requires.engine' must be a version specifier such as >=0.5.11, got '0.5.11'"],
        ),
        ("expect: {output: {width: 0}}", ["30: 'expect.output.width' must be 1 or more, got 0"]),
        ("expect: {pipeline: }", ["23: 'expect.pipeline' must be str, got nothing"]),
        ("faster_than: {at_least: 10%}", ["18: 'faster_than' has no 'case'"]),
        (
            "faster_than: {case: a, at_least: 1}",
            ["38: 'faster_than.at_least' must be less than 100%, got 1: for 1 % write 1%"],
        ),
        (
            "faster_than: {case: a, at_least: -1%}",
            ["38: 'faster_than.at_least' must be a share such as 4% or 0.04, got '-1%'"],
        ),
        # matrix
        ("matrix: {}", ["13: 'matrix' must map axes to their variants, got an empty mapping"]),
        ("matrix: [cfg]", ["13: 'matrix' must map axes to their variants, got a list"]),
        ("matrix: {t: {}}", ["17: 'matrix.t' must map variants to what they change, got an empty mapping"]),
        ("matrix: {t: {cfg: 3}}", ["23: 'matrix.t.cfg' must be a mapping, got 3"]),
        ("matrix: {t: {cfg: {gpus: x}}}", ["30: 'gpus' must be int, got 'x'"]),
        ("matrix: {t: {cfg: {matrix: {}}}}", ["24: 'matrix' belongs to a case"]),
        (
            "matrix: {t: {'a b': {}}}",
            ["18: variant 'a b' must be letters, digits, '_', '.' and '-', and begin with a letter, a digit or '_'"],
        ),
        ("matrix: {t: {a-b: , a: }, u: {c: , b-c: }}", ["13: two variants of case 'one' are called 'a-b-c'"]),
        # Text that no process can be given
        ('env: {A: "\\0"}', ["14: contains a NUL character or half a character, which no command line can contain"]),
        (
            'env: {A: "\\ud83d"}',
            ["14: contains a NUL character or half a character, which no command line can contain"],
        ),
    ],
)
def test_each_mistake_names_its_place_and_the_fix(line: str, expected: list[str]) -> None:
    assert in_case(line) == expected


@pytest.mark.parametrize("name", ["against", "again", "baselines", "profile"])
def test_a_case_that_is_named_as_a_folder_of_recordings_is_refused(name: str) -> None:
    assert mistakes(f"cases:\n  {name}: {{model: m}}\n") == [
        f"cases/x.yaml:2:3: case id '{name}' is the name of a folder that recordings have; name it '{name}_case'"
    ]


def test_a_flag_given_as_asset_and_as_argument_is_refused() -> None:
    text = "cases:\n  a:\n    model: m\n    args: {image-path: dog.png}\n    assets: {image-path: cat.png}\n"
    assert mistakes(text) == [
        "cases/x.yaml:5:14: 'assets.image-path' is also given as 'args.image-path': keep one of them"
    ]


def test_all_mistakes_of_a_file_come_at_once_in_the_files_order() -> None:
    text = """\
defaults: {gpus: x}
case: {}
cases:
  1a: {model: m, gpu: 1}
  b: {timeout: never, gpus: 2}
  c: 7
"""
    assert mistakes(text) == [
        "cases/x.yaml:1:18: 'gpus' must be int, got 'x'",
        "cases/x.yaml:2:1: unknown key 'case', did you mean 'cases'?",
        "cases/x.yaml:4:3: case id '1a' must be letters, digits, '_', '.' and '-', and begin with a letter or '_'",
        "cases/x.yaml:4:18: unknown key 'gpu', did you mean 'gpus'?",
        "cases/x.yaml:5:3: case 'b' has no 'model'",
        "cases/x.yaml:5:16: 'timeout' must be a duration such as 45m, 90s or 2h, or seconds, got 'never'",
        "cases/x.yaml:6:6: case 'c' must be a mapping, got 7",
    ]


def test_a_mistake_in_defaults_is_reported_once_and_not_per_case() -> None:
    text = "defaults: {model: m, timeout: 0}\ncases: {a: {gpus: 1}, b: {gpus: 2}, c: {timeout: 5m}}\n"
    assert mistakes(text) == ["cases/x.yaml:1:31: 'timeout' must be more than 0, got 0"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty"),
        ("# only a comment\n", "1:1: the file is empty"),
        ("---\n...\n", "2:1: a case file must be a mapping with 'cases', got nothing"),
        ("- a\n", "1:1: a case file must be a mapping with 'cases', got a list"),
        ("defaults: {}\n", "1:1: the file has no 'cases'"),
        ("cases:\n", "1:7: 'cases' must map case ids to cases, got nothing"),
        ("cases: {}\n", "1:8: 'cases' must map case ids to cases, got an empty mapping"),
        ("cases: [a]\n", "1:8: 'cases' must map case ids to cases, got a list"),
        ("cases: {a: }\n", "1:11: case 'a' must be a mapping, got nothing"),
        ("defaults: 3\ncases: {a: {model: m}}\n", "1:11: 'defaults' must be a mapping, got 3"),
        ("defaults: {matrix: {}}\ncases: {a: {model: m}}\n", "1:12: 'matrix' belongs to a case"),
    ],
)
def test_a_file_that_holds_no_cases_says_so(text: str, expected: str) -> None:
    assert mistakes(text) == [f"cases/x.yaml:{expected}"]


def test_unknown_marks_are_mistakes_only_where_the_known_ones_are_given() -> None:
    text = "cases: {a: {model: m, marks: [nightly, nightlyy]}}"
    assert mistakes(text, ("nightly",)) == ["cases/x.yaml:1:40: 'nightlyy' not found in `markers` configuration option"]
    assert load_cases(PATH, text)[0].marks == ("nightly", "nightlyy")


def test_ids_that_no_file_could_be_named_after_are_refused() -> None:
    name = "a" * 201
    assert mistakes(f"cases:\n  {name}: {{model: m}}") == [
        f"cases/x.yaml:2:3: case id '{'a' * 40}...' is longer than 200 characters"
    ]


def test_the_dots_and_digits_of_upstream_ids_are_fine() -> None:
    (case,) = load_cases(PATH, "cases: {ltx2.3_twostage_ti2v_2gpus: {model: m}}")
    assert case.node_id == "cases/x.yaml::ltx2.3_twostage_ti2v_2gpus"


def test_what_stands_under_a_repeated_key_is_checked_too() -> None:
    text = """\
defaults: {gpus: 2, env: {A: 1, A: {}}}
cases:
  a: {model: m}
  a:
    gpus: four
    gpu: 1
    timeout: 45x
    marks: nightly
  a: {model: m, marks: [unheard_of], gpus: 1, gpus: 1.5, matrix: {x: {v: {}, v: {backend: other}}}}
defaults: {warmup: cold}
cases:
  b: {}
"""
    assert [m.removeprefix(f"{PATH}:") for m in mistakes(text, known_marks=("nightly",))] == [
        "1:30: 'env.A' must be str, got 1: quote it (\"1\")",
        "1:33: duplicate key 'A', first on line 1",
        "1:36: 'env.A' must be str, got a mapping",
        "4:3: case 'a' has no 'model'",
        "4:3: duplicate key 'a', first on line 3",
        "5:11: 'gpus' must be int, got 'four'",
        "6:5: unknown key 'gpu', did you mean 'gpus'?",
        "7:14: 'timeout' must be a duration such as 45m, 90s or 2h, or seconds, got '45x'",
        "8:12: 'marks' must be a list, got 'nightly': write [nightly]",
        "9:3: duplicate key 'a', first on line 3",
        "9:25: 'unheard_of' not found in `markers` configuration option",
        "9:47: duplicate key 'gpus', first on line 9",
        "9:53: 'gpus' must be int, got 1.5",
        "9:78: duplicate key 'v', first on line 9",
        "9:91: 'backend' must be 'sglang' or 'diffusers', got 'other'",
        "10:1: duplicate key 'defaults', first on line 1",
        "10:20: 'warmup' must be 'request' or 'off', got 'cold'",
        "11:1: duplicate key 'cases', first on line 2",
        "12:3: case 'b' has no 'model'",
    ]


def test_a_file_of_nothing_but_mistakes_is_not_picked_to_pieces() -> None:
    found = mistakes("a: 1\n" * 200_000)
    assert len(found) == 1001
    assert found[0] == "cases/x.yaml:2:1: duplicate key 'a', first on line 1"
    assert found[-1] == "cases/x.yaml:1:1: more than 1,000 mistakes: only these are shown"
