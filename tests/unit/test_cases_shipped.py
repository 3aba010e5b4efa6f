"""The cases that we ship: sound, documented, and every recipe and model family of the performance guide among them."""

from __future__ import annotations

import pathlib
import shlex

import pytest
from packaging.specifiers import SpecifierSet

from pytest_sgdiff.cases.load import check_files, read_cases
from pytest_sgdiff.data import Case
from pytest_sgdiff.engines.flags.translate import complaints, table_flags
from pytest_sgdiff.upstream.nightly import followed, followed_revision

ROOT = pathlib.Path(__file__).parents[2]
FILES = sorted((ROOT / "cases").glob("*.yaml"))
MARKS = ("nightly", "upstream_nightly", "pr", "stress", "topology", "lossy", "low_vram", "diffusers")
CASES = {case.id: case for file in FILES for case in read_cases(file, ROOT)}
NEGATIVE = (
    "shaky, glitchy, low quality, worst quality, deformed, distorted, disfigured, motion smear, motion artifacts, "
    "fused fingers, bad anatomy, weird hand, ugly, transition, static."
)
CAKE = "A cat and a dog baking a cake together in a kitchen."
CAT = "The cat starts walking slowly towards the camera."

# Case -> the guide's recipe as a command line: what --model-path, --num-gpus, --backend, --warmup and --image-path say
# are keys of the case. "..." is whatever prompt one likes.
RECIPES = {
    "wan22_t2v_a14b_8gpu[cfg]": "--model-path Wan-AI/Wan2.2-T2V-A14B-Diffusers --num-gpus 8 --enable-cfg-parallel "
    "--ulysses-degree 4 --enable-torch-compile --warmup --text-encoder-cpu-offload true --prompt ... --save-output",
    "ltx2_twostage_t2v": "--model-path Lightricks/LTX-2 --pipeline-class-name LTX2TwoStagePipeline "
    f"--prompt '{CAKE}' --width 768 --height 512 --num-frames 121 --seed 42 --num-gpus 2 --enable-cfg-parallel "
    "--enable-torch-compile --warmup --save-output",
    "ltx2.3_twostage_ti2v_2gpus": "--model-path Lightricks/LTX-2.3 --pipeline-class-name LTX2TwoStagePipeline "
    f"--prompt '{CAT}' --image-path cat.png --width 768 --height 512 --num-frames 121 --seed 42 --num-gpus 2 "
    "--cfg-parallel-size 2 --enable-torch-compile --warmup --save-output",
    "ltx2.3_onestage_t2v": "--model-path Lightricks/LTX-2.3 --prompt 'A beautiful sunset over the ocean' "
    f"--negative-prompt '{NEGATIVE}' --width 768 --height 512 --num-frames 121 --fps 24 --num-inference-steps 30 "
    "--guidance-scale 3.0 --seed 1234 --num-gpus 2 --enable-torch-compile --warmup --save-output",
    "ltx2.3_twostage_stress": "--model-path Lightricks/LTX-2.3 --pipeline-class-name LTX2TwoStagePipeline "
    f"--prompt 'A beautiful sunset over the ocean' --negative-prompt '{NEGATIVE}' --width 1536 --height 1024 "
    "--num-frames 121 --fps 24 --num-inference-steps 30 --guidance-scale 3.0 --seed 1234 --num-gpus 2 "
    "--enable-torch-compile --warmup --save-output",
    "flux1_dev_fastest_1gpu": "--model-path black-forest-labs/FLUX.1-dev --enable-torch-compile --warmup "
    "--dit-layerwise-offload false --dit-cpu-offload false --prompt ... --save-output",
    "joyai_image_edit": "--backend=sglang --model-path jdopensource/JoyAI-Image-Edit-Diffusers "
    "--prompt 'Make the cat wear a red hat' --image-path cat.png --width 1024 --height 1024 --num-inference-steps 40 "
    "--guidance-scale 4.0 --num-gpus 2 --enable-cfg-parallel --ulysses-degree 1 --dit-layerwise-offload false "
    "--dit-cpu-offload false --enable-torch-compile --warmup --save-output",
    "firered_1_1[cfg]": "--backend=sglang --model-path FireRedTeam/FireRed-Image-Edit-1.1 "
    "--prompt 'Make the cat wear a red hat' --image-path cat.png --width 1024 --height 1024 --num-inference-steps 40 "
    "--guidance-scale 4.0 --num-gpus 2 --enable-cfg-parallel --ulysses-degree 1 --dit-layerwise-offload false "
    "--dit-cpu-offload false --enable-torch-compile --warmup --save-output",
    "firered_1_0[cfg]": "--backend=sglang --model-path FireRedTeam/FireRed-Image-Edit-1.0 "
    "--prompt 'Make the cat wear a red hat' --image-path cat.png --width 1024 --height 1024 --num-inference-steps 40 "
    "--guidance-scale 4.0 --num-gpus 2 --enable-cfg-parallel --ulysses-degree 1 --dit-layerwise-offload false "
    "--dit-cpu-offload false --enable-torch-compile --warmup --save-output",
    "hunyuan3d_shape": "--backend=sglang --model-path tencent/Hunyuan3D-2 --prompt 'generate 3d mesh' "
    "--image-path cat.png --num-inference-steps 50 --guidance-scale 5.0 --dit-layerwise-offload false "
    "--dit-cpu-offload false --enable-torch-compile --warmup --save-output",
    "wan22_ti2v_5b_low_vram": "--model-path Wan-AI/Wan2.2-TI2V-5B-Diffusers --enable-torch-compile --warmup "
    "--dit-layerwise-offload --dit-offload-prefetch-size 0.1 --text-encoder-cpu-offload true --vae-cpu-offload true "
    "--prompt ... --save-output",
    "qwen_image_2512_sage_cache_dit": "--model-path Qwen/Qwen-Image-2512 --attention-backend sage_attn "
    "--dit-layerwise-offload false --enable-torch-compile --warmup --prompt ... --save-output",
    "qwen_image_diffusers_cache_dit": "--backend diffusers --model-path Qwen/Qwen-Image --dit-layerwise-offload false "
    "--prompt ... --save-output",
    "wan22_t2v_a14b_720p": "--model-path Wan-AI/Wan2.2-T2V-A14B-Diffusers --num-gpus 4 --enable-cfg-parallel "
    "--ulysses-degree 2 --text-encoder-cpu-offload --pin-cpu-memory --width 1280 --height 720 --num-frames 81 "
    f"--warmup --prompt '{CAKE}'",
    "wan22_t2v_a14b_4gpu[ulysses]": "--model-path Wan-AI/Wan2.2-T2V-A14B-Diffusers --num-gpus 4 --ulysses-degree 4 "
    "--ring-degree 1 --warmup --prompt ...",
}

# One model of every row of the guide's table.
FAMILIES = (
    *("black-forest-labs/FLUX.1-dev", "black-forest-labs/FLUX.2-dev"),
    *("black-forest-labs/FLUX.2-klein-4B", "black-forest-labs/FLUX.2-klein-base-4B"),
    *("Qwen/Qwen-Image", "Qwen/Qwen-Image-2512", "Qwen/Qwen-Image-Edit-2511"),
    *("Tongyi-MAI/Z-Image", "Tongyi-MAI/Z-Image-Turbo"),
    *("Wan-AI/Wan2.2-T2V-A14B-Diffusers", "Wan-AI/Wan2.2-I2V-A14B-Diffusers", "Wan-AI/Wan2.2-TI2V-5B-Diffusers"),
    *("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "FastVideo/FastWan2.1-T2V-1.3B-Diffusers"),
    *("FastVideo/FastWan2.2-TI2V-5B-FullAttn-Diffusers", "IPostYellow/TurboWan2.1-T2V-1.3B-Diffusers"),
    *("IPostYellow/TurboWan2.2-I2V-A14B-Diffusers", "weizhou03/Wan2.1-Fun-1.3B-InP-Diffusers"),
    *("nvidia/Cosmos3-Nano", "nvidia/Cosmos3-Super", "ideogram-ai/ideogram-4-fp8", "Comfy-Org/Ideogram-4"),
    *("baidu/ERNIE-Image-Turbo", "zai-org/GLM-Image", "Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers"),
    *("stabilityai/stable-diffusion-3.5-medium-diffusers", "Lightricks/LTX-2", "Lightricks/LTX-2.3"),
    *("hunyuanvideo-community/HunyuanVideo", "jdopensource/JoyAI-Image-Edit-Diffusers", "tencent/Hunyuan3D-2"),
    *("FireRedTeam/FireRed-Image-Edit-1.0", "FireRedTeam/FireRed-Image-Edit-1.1"),
    *("OpenMOSS-Team/MOVA-720p", "BestWishYsh/Helios-Base", "robbyant/lingbot-world-fast-diffusers"),
)


def flags_of(command: str) -> dict[str, str]:
    flags: dict[str, str] = {}
    for word in shlex.split(command):
        if word.startswith("--"):
            flag, equals, value = word[2:].partition("=")
            flags[flag] = value if equals else ""
        else:
            flags[flag] = word
    return flags


def written(case: Case) -> dict[str, str]:
    """The case as the flags of a command line: an empty value is a bare flag."""
    texts = {flag: "" if value is True else str(value) for flag, value in case.args.items()}
    texts.update({flag: text.lower() for flag, text in texts.items() if text in ("True", "False")})
    warm = {} if case.warmup == "off" else {"warmup": ""}
    gpus = {"num-gpus": str(case.gpus)}
    return {**texts, **case.assets, **warm, **gpus, "model-path": case.model, "backend": case.backend}


def test_no_mistake_in_any_file() -> None:
    assert check_files(FILES, ROOT, known_marks=MARKS) == ()


@pytest.mark.parametrize("version", [f"0.5.{release}" for release in range(8, 24)])
def test_no_release_refuses_a_case_that_says_it_runs_there(version: str) -> None:
    meant = [case for case in CASES.values() if SpecifierSet(case.requires.engine).contains(version)]
    said = [(case, one) for case in meant for one in complaints(case, table_flags(version))]
    # That a component is replaced is what the case of a quantised one is for.
    meant_so = ("flux1_dev_fp8", "component-path")
    assert [f"{case.id}: {one.message}" for case, one in said if (case.id, one.slug) != meant_so] == []
    # Servers and newer families need later releases.
    assert len(meant) > len(CASES) / 4


@pytest.mark.parametrize("case_id", sorted(RECIPES))
def test_a_recipe_of_the_guide_is_there_flag_by_flag(case_id: str) -> None:
    case = written(CASES[case_id])
    recipe = flags_of(RECIPES[case_id])
    if recipe["prompt"] == "...":
        recipe["prompt"] = case["prompt"]
    assert {flag: case.get(flag) for flag in recipe} == recipe
    # Of flags that the recipe does not give, those of the table's row, a fixed seed, and what an example left open.
    left_open = {
        "warmup-steps",
        "width",
        "height",
        "num-frames",
        "seed",
        "num-inference-steps",
        "image-path",
        "cache-dit-config",
    }
    added = set(case) - set(recipe) - left_open - {"backend", "num-gpus", "save-output", "enable-torch-compile"}
    assert added <= {"text-encoder-cpu-offload", "pin-cpu-memory"}


def test_recipes_in_variables_and_files_are_there() -> None:
    assert CASES["qwen_image_2512_sage_cache_dit"].env["SGLANG_CACHE_DIT_ENABLED"] == "true"
    assert dict(CASES["hunyuan3d_shape"].config) == {"paint_enable": False}
    assert "enable-torch-compile" not in CASES["qwen_image_diffusers_cache_dit"].args


def test_every_family_of_the_model_table_has_a_case() -> None:
    assert set(FAMILIES) - {case.model for case in CASES.values()} == set()


def test_nightly_selects_the_families_that_the_product_is_for_and_those_of_upstreams_nightly() -> None:
    nightly = {case.id for case in CASES.values() if "nightly" in case.marks}
    families = {
        *("ltx2_twostage_t2v", "ltx2.3_twostage_ti2v_2gpus"),
        *("wan22_t2v_a14b_720p", "wan22_i2v_a14b_720p", "wan22_ti2v_5b_720p"),
        *("firered_1_0[cfg]", "firered_1_1[cfg]", "hunyuan3d_shape"),
    }
    others = {"flux1_dev_t2i_1024", "flux2_dev_t2i_1024", "zimage_turbo_t2i_1024"}
    served = {case.id for case in CASES.values() if followed_revision(case) == "03635624"}
    assert len(served) == 13
    assert served == {case.id for case in CASES.values() if "upstream_nightly" in case.marks}
    assert nightly == families | others | {"qwen_image_2512_t2i_1024", "qwen_image_edit_2511"}
    former = {case.id for case in CASES.values() if followed_revision(case) == "a0325960"}
    assert {case_id for case_id in former if not CASES[case_id].serves} == nightly - {
        case_id for case_id in families if case_id.startswith(("firered", "hunyuan3d", "ltx2.3"))
    }
    assert len([case_id for case_id in former if CASES[case_id].serves]) == 10


def test_what_the_nightly_comparison_serves_is_measured_as_it_measures() -> None:
    served = [case for case in CASES.values() if case.serves]
    assert {case.location.path for case in served} == {
        "cases/upstream_nightly.yaml",
        "cases/upstream_nightly_a0325960.yaml",
    }
    for case in served:
        assert case.metrics.gate == ("client_e2e",)
        assert case.warmup == "request"
        assert case.served_requests == (1 if followed_revision(case) == "a0325960" else 3)
        assert case.id == f"nightly_{'a0325960_' * (case.served_requests == 1)}{followed(case)}"


def test_topology_questions_are_relations_within_one_run() -> None:
    relations = {
        case.id: (case.faster_than.case, case.faster_than.at_least) for case in CASES.values() if case.faster_than
    }
    assert relations == {
        "wan22_t2v_a14b_4gpu[ulysses]": ("wan22_t2v_a14b_4gpu[cfg]", 0.0),
        "wan22_t2v_a14b_8gpu[ulysses]": ("wan22_t2v_a14b_8gpu[cfg]", 0.0),
        "firered_1_0[cfg]": ("firered_1_0[ulysses]", 0.1),
        "firered_1_1[cfg]": ("firered_1_1[ulysses]", 0.1),
        "ltx2.3_hq_twostage[resident]": ("ltx2.3_hq_twostage[original]", 0.0),
    }
    for faster, (slower, _) in relations.items():
        assert CASES[faster].gpus == CASES[slower].gpus


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_case_says_what_it_is_and_where_it_comes_from(case: Case) -> None:
    assert case.summary
    assert case.source
    assert case.marks or followed_revision(case) == "a0325960"
    assert set(case.marks) <= set(MARKS)
    assert case.env["FLASHINFER_DISABLE_VERSION_CHECK"] == "1"
    # The nightly comparison does not synchronise, and a server keeps what it generates.
    if not case.serves:
        assert case.env["SGLANG_DIFFUSION_SYNC_STAGE_PROFILING"] == "1"
        assert case.args["save-output"] is True
    assert case.timeout_s <= 3600


def test_expected_sizes_are_those_that_are_asked_for() -> None:
    for case in CASES.values():
        output = case.expect.output
        for size, flag in ((output.width, "width"), (output.height, "height"), (output.frames, "num-frames")):
            assert size is None or size == case.args[flag], case.id


def test_hunyuan3d_is_judged_by_its_shape_denoising() -> None:
    assert CASES["hunyuan3d_shape"].metrics.primary == "stage:Hunyuan3DShapeDenoisingStage"
    assert "e2e" not in CASES["hunyuan3d_shape"].metrics.gate
