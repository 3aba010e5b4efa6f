"""The case file of the winner of `sgdiff tune`, and the case of a bare model."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from pytest_sgdiff.cases.load import check_relations, load_cases, read_cases
from pytest_sgdiff.cases.written import flow, keys_of, scalar
from pytest_sgdiff.cli import main
from pytest_sgdiff.data import Case, Expect, FasterThan, OutputSize
from pytest_sgdiff.data.tuning import DropCode, Dropped, Space, Standing, Tuned
from pytest_sgdiff.engines.flags.translate import table_flags
from pytest_sgdiff.tuning.bare import Bare, bare_case, nearest, shipped
from pytest_sgdiff.tuning.space import matrix_space, space
from pytest_sgdiff.tuning.variants import work
from pytest_sgdiff.tuning.written import case_file

ROOT = pathlib.Path(__file__).parents[2]
SHIPPED = [case for file in sorted((ROOT / "cases").glob("*.yaml")) for case in read_cases(file, ROOT)]
WAN = next(case for case in SHIPPED if case.id == "wan22_t2v_a14b_720p")
H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB"


def tuned(times: Mapping[str, float], *, spread: float = 0.01) -> Tuned:
    found = [
        Standing(variant=name, launches=5, ms=ms, low=ms * (1 - spread), high=ms * (1 + spread))
        for name, ms in times.items()
    ]
    return Tuned(code="decided", standings=tuple(found), confidence=0.95, within=0.02)


@functools.cache
def of_wan() -> Space:
    return spaced(WAN)


def spaced(case: Case) -> Space:
    return space(case, gpus=case.gpus, engine=table_flags("0.5.17"), products=(H100,), allow_lossy="yes")


def written(
    found: Space, ranked: Tuned, winner: str, *, product: str = H100, lossy: Sequence[str] = ()
) -> dict[str, Case]:
    text = case_file(
        found,
        ranked,
        winner,
        named="wan[a.b]",
        schema="x.json",
        lossy=lossy,
        products=(product,),
        engine="0.5.17",
    )
    cases = load_cases("mine.yaml", text)
    assert check_relations(cases, files=(), root=pathlib.Path("/nonexistent")) == ()
    return {case.variant or "": case for case in cases}


def test_every_shipped_case_is_written_as_it_is():
    for case in SHIPPED:
        lines = ["cases:", f"  {case.name}:", *(f"    {key}: {flow(value)}" for key, value in keys_of(case).items())]
        loaded = load_cases("c.yaml", "\n".join(lines))[0]
        there = {"variant": case.variant, "location": case.location, "locations": {}, "written": case.written}
        assert replace(loaded, **there) == replace(case, locations={}, faster_than=None)


@pytest.mark.parametrize("text", ["", "null", "1", "1e3", "a: b", "- a", "#x", "é\u2028\x07", "{a}", "'", '"\\', "a "])
def test_a_text_stays_a_text(text: str):
    assert load_cases("c.yaml", f"cases:\n  a: {{model: m, args: {{x: {scalar(text)}}}}}\n")[0].args == {"x": text}


def test_the_winner_is_a_case_with_relations_to_the_next_best_and_to_the_case_as_it_was():
    found = of_wan()
    cases = written(
        found, tuned({"ulysses4+resident": 800.0, "resident": 900.0, "as-written": 1000.0}), "ulysses4+resident"
    )
    assert list(cases) == ["fastest", "runner_up", "as_written"]
    variants = {one.name: one.case for one in found.variants}
    for label, name in (("fastest", "ulysses4+resident"), ("runner_up", "resident"), ("as_written", "as-written")):
        assert work(cases[label]) == work(variants[name])
        assert cases[label].expect == WAN.expect
        assert cases[label].timeout_s == WAN.timeout_s
    # Of one variant of a matrix, so that another one has another name.
    name = "wan_a.b_tuned"
    # The proven gains are 9 and 8 %.
    assert cases["fastest"].faster_than == FasterThan(case=f"{name}[runner_up]", at_least=0.04)
    assert cases["runner_up"].faster_than == FasterThan(case=f"{name}[as_written]", at_least=0.04)
    assert cases["as_written"].faster_than is None
    assert list(cases["fastest"].args) == list(variants["ulysses4+resident"].args)


def test_what_the_intervals_do_not_show_is_not_claimed():
    equal = tuned({"ulysses4+resident": 800.0, "resident": 805.0, "as-written": 1000.0})
    cases = written(of_wan(), equal, "ulysses4+resident")
    assert list(cases) == ["fastest", "as_written"]
    nothing = tuned({"ulysses4+resident": 800.0, "resident": 805.0, "as-written": 810.0})
    alone = written(of_wan(), nothing, "ulysses4+resident")
    assert [(label, case.faster_than) for label, case in alone.items()] == [("", None)]


@pytest.mark.parametrize("code", ["memory", "disturbed"])
def test_what_cannot_be_used_is_no_rival(code: DropCode):
    ranked = tuned({"ulysses4+resident": 800.0, "resident": 900.0, "as-written": 1000.0})
    first, second, written_one = ranked.standings
    given_up = replace(second, dropped=Dropped(code=code))
    cases = written(of_wan(), replace(ranked, standings=(first, written_one, given_up)), "ulysses4+resident")
    assert list(cases) == ["fastest", "as_written"]


def test_a_case_that_was_the_best_as_it_was_written_beats_the_next_best():
    cases = written(of_wan(), tuned({"as-written": 800.0, "resident": 900.0}), "as-written")
    assert list(cases) == ["fastest", "runner_up"]
    assert work(cases["fastest"]) == work(WAN)


def test_another_request_is_no_rival():
    """That fewer steps take less time is no gain of settings."""
    how = "{plain: {}, short: {args: {num-inference-steps: 4}}, brief: {args: {seed: 1}}, "
    how += "compiled: {args: {num-inference-steps: 4, enable-torch-compile: true}}}"
    text = f"cases: {{one: {{model: m, gpus: 1, args: {{num-inference-steps: 50}}, matrix: {{how: {how}}}}}}}"
    found = matrix_space(load_cases("c.yaml", text), gpus=1, engine=table_flags("0.5.17"))
    times = {"short": 100.0, "compiled": 150.0, "brief": 800.0, "plain": 1000.0}
    cases = written(found, tuned(times), "short")
    assert [(label, one.args["num-inference-steps"]) for label, one in cases.items()] == [
        *(("fastest", 4), ("runner_up", 4))
    ]
    assert written(found, tuned({"short": 100.0, "plain": 1000.0}), "short")[""].faster_than is None
    assert written(found, tuned({"brief": 800.0, "plain": 1000.0}), "brief")[""].faster_than is None


def test_a_variant_that_does_not_count_is_no_rival():
    ranked = tuned({"resident": 800.0, "fsdp": 900.0, "as-written": 1000.0})
    first, second, third = ranked.standings
    dropped = replace(ranked, standings=(first, replace(second, dropped=Dropped(code="memory")), third))
    assert list(written(of_wan(), dropped, "resident")) == ["fastest", "as_written"]


def test_a_lossy_winner_is_marked_and_judged_by_its_own_pictures():
    cases = written(of_wan(), tuned({"sage": 700.0, "as-written": 1000.0}), "sage")
    assert (cases["fastest"].marks, cases["fastest"].quality) == (("nightly", "lossy"), WAN.quality)
    assert cases["fastest"].summary.endswith("settings: sage (lossy)")
    assert (cases["as_written"].marks, cases["as_written"].expect) == (WAN.marks, WAN.expect)
    assert cases["fastest"].expect.attention == "sage_attn"
    lossless = written(of_wan(), tuned({"resident": 600.0, "sage": 700.0, "as-written": 1000.0}), "resident")
    assert list(lossless) == ["fastest", "as_written"]


def test_a_variant_that_drew_another_picture_is_written_as_a_lossy_one():
    ranked = tuned({"ulysses4+resident": 700.0, "resident": 800.0, "as-written": 1000.0})
    cases = written(of_wan(), ranked, "ulysses4+resident", lossy=("ulysses4+resident",))
    assert [(label, case.marks) for label, case in cases.items()] == [
        ("fastest", ("nightly", "lossy")),
        ("runner_up", WAN.marks),
        ("as_written", WAN.marks),
    ]
    # It is no rival of a lossless one, and one of a lossy one.
    assert list(written(of_wan(), ranked, "ulysses4+resident", lossy=("resident",))) == ["fastest", "as_written"]
    assert len(written(of_wan(), ranked, "ulysses4+resident", lossy=("resident", "ulysses4+resident"))) == 3


def test_a_winner_that_is_not_the_first_is_not_called_the_fastest():
    ranked = tuned({"ulysses4+resident": 700.0, "resident": 705.0, "as-written": 1000.0})
    cases = written(of_wan(), ranked, "resident")
    assert list(cases) == ["recommended", "as_written"]
    assert cases["recommended"].faster_than == FasterThan(case="wan_a.b_tuned[as_written]", at_least=0.14)


def test_the_case_requires_what_it_was_measured_on():
    cases = written(
        of_wan(), tuned({"compile-regional": 700.0, "as-written": 1000.0}), "compile-regional", product=A100
    )
    assert cases["fastest"].requires.gpu == ("H100", "H200", A100)
    assert cases["fastest"].requires.engine == ">=0.5.10,>=0.5.17"
    assert cases["as_written"].requires.engine == WAN.requires.engine


def test_the_file_passes_the_check_of_case_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    ranked = tuned({"ulysses4+resident": 800.0, "as-written": 1000.0})
    text = case_file(spaced(replace(WAN, marks=())), ranked, "ulysses4+resident", named="wan", schema="x.json")
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["cases", "--check", "mine.yaml"]) == 0
    assert "no mistakes" in capsys.readouterr().out


def test_a_winner_that_is_no_variant_is_an_error():
    with pytest.raises(KeyError):
        case_file(of_wan(), tuned({"as-written": 1.0}), "nothing", named="wan", schema="")


@pytest.mark.parametrize(
    ("model", "template"),
    [
        ("Wan-AI/Wan2.2-T2V-A14B-Diffusers", "wan22_t2v_a14b_720p"),
        ("/models/wan2.1-t2v-1.3b", "wan21_t2v_1_3b_480p"),
        ("black-forest-labs/FLUX.1-schnell", "flux1_dev_t2i_1024"),
        ("/c/models--Qwen--Qwen-Image-Edit/snapshots/0a1b", "qwen_image_edit_2511"),
        ("me/my-model", None),
    ],
)
def test_the_nearest_recipe_is_one_of_the_family(model: str, template: str | None):
    found = nearest(model, shipped())
    assert (found and found.id) == template


def test_a_bare_model_has_the_size_that_is_asked_for_and_no_topology():
    said = Bare(model=WAN.model, gpus=2, width=832, height=480, frames=17, steps=8, prompt="x")
    case = bare_case(said, shipped())
    asked = {"width": 832, "height": 480, "num-frames": 17, "num-inference-steps": 8, "prompt": "x"}
    assert asked.items() <= case.args.items()
    assert "ulysses-degree" not in case.args
    assert case.expect == replace(WAN.expect, output=OutputSize(width=832, height=480, frames=17))
    assert (case.id, case.gpus, case.requires.gpu, case.faster_than) == ("wan2_2_t2v_a14b", 2, (), None)
    assert [one.name for one in spaced(case).variants][:3] == ["as-written", "cfg2", "ulysses2"]


def test_of_a_model_of_the_same_family_nothing_is_expected_that_may_be_another():
    case = bare_case(Bare(model="me/wan2.1-tuned", gpus=1), shipped())
    assert case.expect == Expect()
    assert case.args["width"] == 832


def test_a_model_of_no_family_is_a_case_all_the_same():
    case = bare_case(Bare(model="me/my-model", gpus=0, width=64, height=64), shipped())
    assert (case.id, case.gpus, case.model) == ("my_model", 0, "me/my-model")
    assert {"width": 64, "height": 64, "seed": 42}.items() <= case.args.items()
    assert spaced(case).variants[0].case.args == case.args


def test_the_winner_of_a_bare_model_and_of_a_matrix_is_a_case_too():
    bare = spaced(bare_case(Bare(model="me/my-model", gpus=2), shipped()))
    assert list(written(bare, tuned({"cfg2": 700.0, "as-written": 1000.0}), "cfg2")) == ["fastest", "as_written"]
    firered = [case for case in SHIPPED if case.name == "firered_1_0"]
    matrix = matrix_space(firered, gpus=2, engine=table_flags("0.5.17"))
    cases = written(matrix, tuned({"ulysses": 700.0, "cfg": 1000.0}), "ulysses")
    assert work(cases["fastest"]) == work(firered[1])
    assert work(cases["as_written"]) == work(firered[0])
    assert cases["fastest"].name == "wan_a.b_tuned"
