# ruff: noqa: E501  (tables of one line per difference)
"""Cases against SGLang's nightly comparison, as its description looks in its generations."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from pytest_sgdiff.cases.load import load_cases, read_cases
from pytest_sgdiff.cli import main
from pytest_sgdiff.data import Case, LaunchFiles
from pytest_sgdiff.engines.serving.requests import requests, split
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.upstream.nightly import (
    Generation,
    check_nightly,
    compared,
    followed,
    followed_revision,
    generation_of,
    load_nightly,
)

ROOT = pathlib.Path(__file__).parents[2]


def entry(case_id: str, model: str, prompt: str, size: tuple[int, ...], serve_args: str, **more: Any) -> dict[str, Any]:
    """One case of the comparison; `size` is width, height and perhaps frames."""
    frames = {"num_frames": size[2]} if len(size) > 2 else {}
    frameworks = {"sglang": {"serve_args": serve_args, "extra_env": more.pop("env", {})}}
    base = {"id": case_id, "model": model, "prompt": prompt, "width": size[0], "height": size[1], **frames}
    return {**base, "seed": 42, "num_gpus": 1, "frameworks": frameworks, **more}


def published(revision: str) -> Any:
    """The file as it was at a revision of SGLang's repository."""
    return json.loads((ROOT / "tests" / "data" / "nightly" / f"{revision}.json").read_text())


def shipped() -> list[Case]:
    return [case for file in sorted((ROOT / "cases").glob("*.yaml")) for case in read_cases(file, ROOT)]


CASE = """\
cases:
  wan:
    marks: [nightly]
    model: Wan-AI/Wan2.2-T2V-A14B-Diffusers
    gpus: 4
    source: SGLang's comparison_configs.json
    env: {FLASHINFER_DISABLE_VERSION_CHECK: "1"}
    args:
      prompt: A cat
      width: 1280
      height: 720
      num-frames: 81
      seed: 42
      guidance-scale: 5.0
      enable-cfg-parallel: true
      dit-layerwise-offload: false
      save-output: true
"""


def wan(**more: Any) -> dict[str, Any]:
    args = "--warmup --enable-cfg-parallel --dit-layerwise-offload=False"
    size = (1280, 720, 81)
    env, args = more.pop("env", {}), more.pop("args", args)
    base = entry("wan", "Wan-AI/Wan2.2-T2V-A14B-Diffusers", "A cat", size, args, num_gpus=4, guidance_scale=5, env=env)
    return {**base, **more}


def differences(*entries: dict[str, Any], text: str = CASE) -> list[str]:
    return list(check_nightly(load_cases("c.yaml", text), {"cases": list(entries)}))


@pytest.mark.parametrize(
    ("revision", "generation", "cases"),
    [("03635624", Generation.SERVER_WARMUP, 13), ("a0325960", Generation.REQUEST_WARMUP, 10)],
)
def test_our_nightly_cases_are_those_of_the_nightly_comparison(
    revision: str, generation: Generation, cases: int
) -> None:
    document = published(revision)
    assert generation_of(document) is generation
    assert check_nightly(shipped(), document) == ()
    served = [case for case in compared(shipped(), generation) if case.serves]
    assert len(served) == len({followed(case) for case in served}) == len(document["cases"]) == cases


def payload(entry: dict[str, Any]) -> dict[str, Any]:
    """What upstream's runner puts into a request beside the prompt (run_comparison.py at 03635624)."""
    keys = ("width", "height", "num_inference_steps", "guidance_scale", "seed", "num_frames", "fps", "negative_prompt")
    sent = {key: entry[key] for key in keys if key in entry}
    for key, value in entry.get("sglang_request_extra", {}).items():
        sent.pop(key, None)
        sent |= {} if value is None else {key: value}
    return sent


@pytest.mark.parametrize("case", [case for case in shipped() if case.serves], ids=lambda case: case.id)
def test_a_server_gets_the_requests_that_upstreams_runner_sends(case: Case) -> None:
    document = published(followed_revision(case) or "")
    (entry,) = [one for one in document["cases"] if one["id"] == followed(case)]
    files = LaunchFiles(workdir="w", output_dir="o", perf_dump="d.json", perf_log_dir="l", config="c.json")
    plans = requests(split(case), case, release=23, files=files)
    assert [plan.warmup for plan in plans] == [True] + [False] * document.get("measurement_repeats", 1)
    images = [*plans[0].uploads.values(), *plans[0].references.values()]
    assert bool(images) is entry.get("reference_image", False)
    video, edit = "video" in entry["task"], entry["task"] == "image-edit"
    assert plans[0].path == ("/v1/videos" if video else "/v1/images/edits" if edit else "/v1/images/generations")
    sent = {**plans[1].fields, **dict.fromkeys(("prompt", "perf_dump_path", "response_format"))}
    if size := sent.pop("size", None):
        sent["width"], sent["height"] = map(int, size.split("x"))
    expected = payload(entry)
    if "num_frames" in expected:
        # What a server takes where the runner sends none.
        expected.setdefault("fps", 24)
    assert {key: value for key, value in sent.items() if value is not None} == expected
    assert len({plan.fields["prompt"] for plan in plans}) == len(plans)


def test_a_change_of_the_comparison_is_seen_in_every_field_of_a_served_case() -> None:
    document = published("03635624")
    (entry,) = [one for one in document["cases"] if one["id"] == "zimage_turbo_t2i_1024"]
    entry["frameworks"]["sglang"]["serve_args"] = "--warmup-mode request --tp-size 4"
    document["measurement_repeats"] = 5
    found = check_nightly(shipped(), document)
    ours = [line.partition(": ")[2] for line in found if ": nightly_zimage_turbo_t2i_1024: " in line]
    assert ours == [
        "nightly_zimage_turbo_t2i_1024: --tp-size is 2 here, 4 in the nightly comparison",
        "nightly_zimage_turbo_t2i_1024: launches.requests is 3 here, 5 in the nightly comparison",
        "nightly_zimage_turbo_t2i_1024: --warmup-mode is server here, request in the nightly comparison",
    ]
    # Of all 13 the number of requests, and these two.
    assert len(found) == 15
    assert all(line.startswith("cases/upstream_nightly.yaml:") for line in found)


def test_equal_values_may_be_spelt_differently() -> None:
    assert differences(wan()) == []
    assert differences(wan(args="--warmup-mode server --enable-cfg-parallel=true --dit-layerwise-offload false")) == []
    assert differences(wan(args="--server-warmup --num-gpus 4 --backend auto --enable-cfg-parallel --dit-layerwise-offload false")) == []  # fmt: skip
    assert differences(wan(args=["--warmup", "--enable-cfg-parallel", "--dit-layerwise-offload", "false"])) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "Wan-AI/Other"}, "4:5: wan: model is Wan-AI/Wan2.2-T2V-A14B-Diffusers here, Wan-AI/Other in the nightly comparison"),
        ({"num_gpus": 8}, "5:5: wan: gpus is 4 here, 8 in the nightly comparison"),
        ({"prompt": "A dog"}, "9:7: wan: --prompt is A cat here, A dog in the nightly comparison"),
        ({"width": 832}, "10:7: wan: --width is 1280 here, 832 in the nightly comparison"),
        ({"height": 480}, "11:7: wan: --height is 720 here, 480 in the nightly comparison"),
        ({"num_frames": 21}, "12:7: wan: --num-frames is 81 here, 21 in the nightly comparison"),
        ({"seed": 1}, "13:7: wan: --seed is 42 here, 1 in the nightly comparison"),
        ({"guidance_scale": 4.5}, "14:7: wan: --guidance-scale is 5 here, 4.5 in the nightly comparison"),
        ({"guidance_scale": None}, "14:7: wan: --guidance-scale 5 is given here and not in the nightly comparison"),
        ({"num_inference_steps": 2}, "8:5: wan: --num-inference-steps 2 is given in the nightly comparison and not here"),
        ({"fps": 24}, "8:5: wan: --fps 24 is given in the nightly comparison and not here"),
        ({"negative_prompt": "x"}, "8:5: wan: --negative-prompt x is given in the nightly comparison and not here"),
        ({"reference_image": True}, "2:3: wan: the nightly comparison works on the reference image, here no image is named"),
        ({"env": {"SGLANG_X": "1"}}, "7:5: wan: SGLANG_X 1 is given in the nightly comparison and not here"),
        ({"args": "--warmup --dit-layerwise-offload false"}, "15:7: wan: --enable-cfg-parallel true is given here and not in the nightly comparison"),
        ({"args": "--warmup --enable-cfg-parallel --dit-layerwise-offload"}, "16:7: wan: --dit-layerwise-offload is false here, true in the nightly comparison"),
        ({"args": "--enable-cfg-parallel --dit-layerwise-offload false"}, "2:3: wan: warmup is on here, off in the nightly comparison"),
        ({"args": "--warmup-mode off --enable-cfg-parallel --dit-layerwise-offload false"}, "2:3: wan: warmup is on here, off in the nightly comparison"),
        ({"args": "--warmup --backend diffusers --enable-cfg-parallel --dit-layerwise-offload false"}, "2:3: wan: backend is sglang here, diffusers in the nightly comparison"),
        ({"sglang_request_extra": {"task": "t2v"}}, "2:3: wan: config task t2v is given in the nightly comparison and not here"),
        ({"sglang_request_extra": {"num_frames": None}}, "12:7: wan: --num-frames 81 is given here and not in the nightly comparison"),
        ({"sglang_request_extra": {"seed": 7}}, "13:7: wan: --seed is 42 here, 7 in the nightly comparison"),
    ],
)  # fmt: skip
def test_each_difference_is_named_at_its_place(change: dict[str, Any], expected: str) -> None:
    assert differences(wan(**change)) == [f"c.yaml:{expected}"]


def test_what_a_case_gives_in_its_config_is_compared_as_the_flag_that_it_is() -> None:
    text = CASE.replace("      seed: 42\n", "") + "    config: {seed: 42, flow_shift: 12, mode_of_ours: x}\n"
    assert differences(wan(sglang_request_extra={"flow_shift": 12.0, "mode_of_ours": "x"}), text=text) == []
    assert differences(wan(seed=7, sglang_request_extra={"mode_of_ours": "y"}), text=text) == [
        "c.yaml:17:14: wan: --seed is 42 here, 7 in the nightly comparison",
        "c.yaml:17:24: wan: --flow-shift 12 is given here and not in the nightly comparison",
        "c.yaml:17:40: wan: config mode_of_ours is x here, y in the nightly comparison",
    ]


def test_an_image_that_the_comparison_lacks_is_a_difference() -> None:
    text = CASE + "    assets: {image-path: cat.png}\n"
    assert differences(wan(), text=text) == ["c.yaml:18:14: wan: the nightly comparison has no image"]
    assert differences(wan(reference_image=True), text=text) == []


def test_cases_on_one_side_only_are_named() -> None:
    assert differences(wan(), entry("new", "x/New", "p", (1, 1), "")) == [
        "comparison_configs.json: nightly case 'new' (x/New) has no case here"
    ]
    assert differences() == [
        "c.yaml:6:5: wan names comparison_configs.json as its source, which has no case of this name"
    ]
    assert differences(wan(), text=CASE.replace("nightly", "pr")) == [
        "c.yaml:2:3: wan is in the nightly comparison: add the mark 'nightly'"
    ]


def test_only_cases_that_say_they_follow_the_comparison_are_asked_about() -> None:
    own = CASE.replace("    source: SGLang's comparison_configs.json\n", "    source: comparison_configs_b200.json\n")
    assert differences(text=own) == []
    (told,) = differences(wan(seed=7), text=own)
    assert told.startswith("comparison_configs.json: nightly case 'wan' (Wan-AI/Wan2.2-T2V-A14B-Diffusers) has no case")
    assert "`source`" in told


def test_cases_that_other_frameworks_run_alone_do_not_count() -> None:
    other = entry("vllm_only", "x/Y", "p", (1, 1), "")
    other["frameworks"] = {"vllm-omni": {"serve_args": ""}}
    assert differences(wan(), other) == []


def test_of_a_repeated_case_the_first_counts() -> None:
    # The comparison did once hold ltx2_twostage_t2v twice.
    assert differences(wan(), wan(seed=7)) == []


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], "f.json: not a comparison: it has no list of 'cases'"),
        ({"cases": {}}, "f.json: not a comparison: it has no list of 'cases'"),
        ({"cases": [3]}, "f.json: not a comparison: cases[0] has no 'id' and 'model'"),
        ({"cases": [{"id": "a"}]}, "f.json: not a comparison: cases[0] has no 'id' and 'model'"),
    ],
)
def test_a_document_of_another_form_is_refused(document: Any, expected: str) -> None:
    with pytest.raises(OptionError) as caught:
        check_nightly([], document, name="f.json")
    assert str(caught.value) == expected


def test_arguments_that_no_shell_understands_are_refused() -> None:
    with pytest.raises(OptionError) as caught:
        differences(wan(args="--x 'y"))
    assert str(caught.value) == (
        "comparison_configs.json: wan: 'serve_args' cannot be split into words: No closing quotation"
    )


def test_a_file_is_loaded_or_says_why_not(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "f.json"
    file.write_text(json.dumps(published("a0325960")))
    assert load_nightly(file) == published("a0325960")
    file.write_text('{"cases":\n [,]}')
    with pytest.raises(OptionError) as caught:
        load_nightly(file)
    assert str(caught.value) == f"{file}:2:3: not JSON: Expecting value"
    file.write_bytes(b"\xff")
    with pytest.raises(OptionError, match="not JSON"):
        load_nightly(file)
    file.write_text("[" * 100_000)
    with pytest.raises(OptionError, match="not JSON"):
        load_nightly(file)
    with pytest.raises(OptionError) as caught:
        load_nightly(tmp_path / "none.json")
    assert str(caught.value) == f"{tmp_path / 'none.json'}: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    "text", ['{"cases": 1' + "0" * 5000 + "}", "[" * 100000, "\xff"], ids=["number", "depth", "bytes"]
)
def test_a_file_that_python_cannot_read_is_named(tmp_path: pathlib.Path, text: str) -> None:
    file = tmp_path / "f.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(OptionError, match=f"^{file}: not JSON: "):
        load_nightly(file)


def test_a_folder_is_no_comparison_and_a_device_is_not_read(tmp_path: pathlib.Path) -> None:
    for path in (tmp_path, pathlib.Path("/dev/zero")):
        with pytest.raises(OptionError, match="cannot be read: is not a regular file"):
            load_nightly(path)


@pytest.mark.parametrize("words", [True, 5, {"a": 1}])
def test_a_command_line_that_is_none_is_named(words: Any) -> None:
    document = {"cases": [entry("a", "m", "p", (1, 1), words)]}
    with pytest.raises(OptionError, match="a: 'serve_args' must be a text or a list of words, got "):
        check_nightly(load_cases("f.yaml", FOLLOWS), document)


@pytest.mark.parametrize("field", ["fps", "num_gpus"])
def test_values_of_any_depth_and_length_are_a_difference(field: str) -> None:
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    for value, words in ((deep, ""), (1, "--num-gpus " + "9" * 5000)):
        document = {"cases": [entry("a", "m", "p", (1, 1), words, **{field: value})]}
        assert check_nightly(load_cases("f.yaml", FOLLOWS), document)


FOLLOWS = "cases:\n  a:\n    model: m\n    marks: [nightly]\n    source: comparison_configs.json\n"


# ------------------------------------------------------------------------------------------------------- generations

FORMER = "--enable-torch-compile --warmup"


@pytest.mark.parametrize(
    ("entries", "generation"),
    [
        ([wan(args="--warmup", num_inference_steps=40)], Generation.STATED),
        ([wan(args=FORMER)], Generation.REQUEST_WARMUP),
        ([wan(args=["--server-warmup"])], Generation.REQUEST_WARMUP),
        # One of several states its steps in the newest, too.
        ([wan(args="--warmup-mode server", num_inference_steps=40)], Generation.SERVER_WARMUP),
        ([wan(args="--warmup-mode=server"), {**wan(args=FORMER), "id": "b"}], Generation.SERVER_WARMUP),
        ([wan(args="")], Generation.UNKNOWN),
        ([], Generation.UNKNOWN),
    ],
)
def test_the_generation_of_a_file_is_told(entries: list[dict[str, Any]], generation: Generation) -> None:
    assert generation_of({"cases": entries}) is generation


@pytest.mark.parametrize(
    ("source", "name", "revision"),
    [
        ("SGLang's comparison_configs.json", "wan", None),
        ("scripts/comparison_configs.json@03635624#wan22", "wan22", "03635624"),
        ("comparison_configs.json@03635624690c11ff6ea89d288ca1854b521d9b1c, as of October", "wan", "03635624"),
        ("comparison_configs.json@a032596#ltx2.3_two.", "ltx2.3_two", "a0325960"),
        ("comparison_configs.json#other", "other", None),
        # One that is not known here, and what is none.
        ("comparison_configs.json@0000000#other", "other", None),
        ("comparison_configs.json@main", "wan", None),
    ],
)
def test_a_source_names_the_revision_and_the_case(source: str, name: str, revision: str | None) -> None:
    (case,) = load_cases("c.yaml", CASE.replace("SGLang's comparison_configs.json", source))
    assert (followed(case), followed_revision(case)) == (name, revision)


def following(name: str, revision: str, *, marks: str = "[nightly]") -> str:
    text = CASE.partition("cases:\n")[2].replace("  wan:", f"  {name}:").replace("[nightly]", marks)
    return text.replace("SGLang's comparison_configs.json", f"comparison_configs.json@{revision}#wan")


def test_a_file_is_compared_with_the_cases_of_its_generation_alone() -> None:
    text = "cases:\n" + following("now", "03635624") + following("then", "a0325960", marks="[pr]")
    cases = load_cases("c.yaml", text)
    newest = "--warmup-mode server --enable-cfg-parallel --dit-layerwise-offload false"
    current = {"cases": [wan(args=newest, seed=7)]}
    assert [case.id for case in compared(cases, Generation.SERVER_WARMUP)] == ["now"]
    assert list(check_nightly(cases, current)) == ["c.yaml:13:7: now: --seed is 42 here, 7 in the nightly comparison"]
    former = {"cases": [wan(seed=7)]}
    assert [case.id for case in compared(cases, Generation.REQUEST_WARMUP)] == ["then"]
    # What follows a former revision need not run every night.
    assert list(check_nightly(cases, former)) == ["c.yaml:29:7: then: --seed is 42 here, 7 in the nightly comparison"]
    # Of a file that is newer than this package the newest is the nearest.
    assert [case.id for case in compared(cases, Generation.UNKNOWN)] == ["now"]
    assert [case.id for case in compared(cases, Generation.STATED)] == ["now"]


def test_two_cases_may_follow_the_same_one() -> None:
    text = "cases:\n" + following("a", "03635624") + following("b", "03635624")
    cases = load_cases("c.yaml", text)
    found = check_nightly(cases, {"cases": [wan(args="--warmup-mode server --dit-layerwise-offload false")]})
    extra = "--enable-cfg-parallel true is given here and not in the nightly comparison"
    assert found == (f"c.yaml:15:7: a: {extra}", f"c.yaml:31:7: b: {extra}")


def test_fields_that_no_generation_had_are_named() -> None:
    odd = wan(lora_path="x/y")
    odd["frameworks"]["sglang"]["client_args"] = "--fast"
    document = {"cases": [odd], "measurement_repeats": 3, "warmup_requests": 2}
    assert check_nightly(load_cases("c.yaml", CASE), document) == (
        "comparison_configs.json: wan: lora_path is not compared: no key of a case says it",
        "comparison_configs.json: wan: frameworks.sglang.client_args is not compared: no key of a case says it",
        "comparison_configs.json: warmup_requests is not compared: no key of a case says it",
    )


def test_the_command_says_which_generation_a_file_is(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cases").mkdir()
    text = "cases:\n" + following("now", "03635624") + following("then", "a0325960", marks="[pr]")
    (tmp_path / "cases" / "c.yaml").write_text(text)
    (tmp_path / "f.json").write_text(json.dumps({"cases": [wan()]}))
    assert main(["cases", "--check-nightly", "f.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": "f.json",
        "generation": "request-warmup",
        "revision": "a0325960",
        "compared": 1,
        "other_generations": 1,
        "differences": [],
    }
    assert main(["cases", "--check-nightly", "f.json"]) == 0
    assert capsys.readouterr().out == (
        "f.json: generation request-warmup, as revision a0325960\n"
        "not compared: 1 case of another generation\n"
        "no difference: 1 case here against f.json\n"
    )
    (tmp_path / "f.json").write_text(json.dumps({"cases": [wan(seed=7)]}))
    assert main(["cases", "--check-nightly", "f.json", "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["differences"]) == 1
