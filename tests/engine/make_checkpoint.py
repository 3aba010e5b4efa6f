"""Write a small checkpoint with random weights, in the layout of the published one.

    make_checkpoint.py KIND FOLDER [--layers N --heads N ...]

| kind             | what it is, and what its folder is to be called, by which the engine knows it               |
| ---------------- | ------------------------------------------------------------------------------------------- |
| wan              | Wan 2.1 text to video: `Wan2.1-T2V-1.3B-Diffusers`                                          |
| wan22-t2v        | Wan 2.2 A14B, two experts: `Wan2.2-T2V-A14B-Diffusers`                                      |
| wan22-ti2v       | Wan 2.2 5B, from text or an image: `Wan2.2-TI2V-5B-Diffusers`                               |
| qwen-image       | Qwen-Image: `Qwen-Image`                                                                    |
| firered          | FireRed image editing: `FireRed-Image-Edit-1.0` (or Qwen's: `Qwen-Image-Edit-2511`)         |
| ltx-2            | LTX-2 for one stage or two: `LTX-2`                                                         |
| ltx-2.3          | LTX-2.3, likewise: `LTX-2.3-tiny`                                                           |
| hunyuan3d        | Hunyuan3D-2 shape: `Hunyuan3D-2`                                                            |
| flux             | FLUX.1: `FLUX.1-dev`                                                                        |
| z-image          | Z-Image: `Z-Image-Turbo`                                                                    |
| sd3              | Stable Diffusion 3: `stable-diffusion-3-medium-diffusers`                                   |
| stable-diffusion | Stable Diffusion 1, which SGLang does not implement: it really falls back to diffusers      |

Runs in the engine's environment (torch, diffusers, transformers, tokenizers) and downloads nothing. The same options
give the same files on the same kind of device, and a folder that has them is left alone. What such a model draws is
noise: only names, shapes and speed are meant to be real. More layers make an engine that is really slower.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # a forked program has another path

from families import hunyuan3d, image_models, ltx2, qwen_image, stable_diffusion, wan
from families.parts import Family, write_json

RECIPE = "sgdiff_recipe.json"
"""What a checkpoint was made from, written first, and `COMPLETE`, written last."""
COMPLETE = "sgdiff_complete.json"

KINDS: dict[str, Family] = {
    "wan": wan.wan21,
    "wan22-t2v": wan.wan22_t2v,
    "wan22-ti2v": wan.wan22_ti2v,
    "qwen-image": qwen_image.qwen_image,
    "firered": qwen_image.firered,
    "ltx-2": ltx2.ltx_2,
    "ltx-2.3": ltx2.ltx_2_3,
    "hunyuan3d": hunyuan3d.hunyuan3d,
    "flux": image_models.flux,
    "z-image": image_models.z_image,
    "sd3": image_models.sd3,
    "stable-diffusion": stable_diffusion.stable_diffusion,
}
DEFAULTS = {
    "wan": {"text_dim": 256, "vae_dim": 16},
    "ltx": {"vae_dim": 8},
    "hunyuan3d": {"layers": 1},
}
"""By the beginning of the kind, where they differ from those of the options."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=pathlib.Path, help="folder to write; replaced if it holds another checkpoint")
    parser.add_argument("--heads", type=int, default=2, help="attention heads of the transformer (default 2)")
    parser.add_argument("--head-dim", type=int, default=32, help="their width (default 32; 128 for wan, always)")
    parser.add_argument("--layers", type=int, default=2, help="blocks of the transformer (default 2; 1 for hunyuan3d)")
    parser.add_argument("--layers-2", type=int, help="wan22-t2v: of the low-noise transformer (default: --layers)")
    parser.add_argument("--single-layers", type=int, default=2, help="hunyuan3d: single blocks (default 2)")
    parser.add_argument("--offset", type=float, default=0.0, help="hunyuan3d: added to the field of the shape")
    parser.add_argument("--ffn", type=int, default=512, help="wan: width of a block's feed-forward (default 512)")
    parser.add_argument("--text-dim", type=int, default=64, help="width of the text encoder (default 64; 256 for wan)")
    parser.add_argument("--text-layers", type=int, default=2, help="its layers (default 2)")
    parser.add_argument("--image-layers", type=int, default=2, help="qwen-image, firered: of the image encoder (2)")
    parser.add_argument("--vae-dim", type=int, default=4, help="base width of the VAE (4; 16 for wan, 8 for ltx)")
    parser.add_argument("--upsampler-blocks", type=int, default=1, help="ltx: of the latent upsampler (default 1)")
    parser.add_argument("--lora-rank", type=int, default=4, help="ltx: of the distilled LoRA (default 4)")
    parser.add_argument(
        "--words",
        type=int,
        help="wan: words that the text encoder knows; with 32 it loads, and then fails inside every request, since the "
        "tokenizer has more",
    )
    parser.add_argument(
        "--foreign-names",
        action="store_true",
        help="flux, sd3, ltx: name the text encoder's weights, z-image: the transformer's sizes, as today's "
        "transformers and diffusers write them; the engine's own classes do not know these names, and it falls back",
    )
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--cuda", action="store_true", help="draw the weights on the GPU: fast for large sizes")
    kind = next((word for word in sys.argv[1:] if word in KINDS), "")
    for prefix, values in DEFAULTS.items():
        if kind.startswith(prefix):
            parser.set_defaults(**values)
    options = parser.parse_args()

    folder: pathlib.Path = options.folder.absolute()
    recipe, complete = folder / RECIPE, folder / COMPLETE
    wanted = {name: value for name, value in vars(options).items() if name != "folder"}
    if folder.exists() and any(folder.iterdir()) and not recipe.exists():
        parser.error(f"{folder} exists and was not made by this program")
    if complete.exists() and json.loads(recipe.read_text()) == wanted:
        print(f"{folder}: made earlier")
        return
    shutil.rmtree(folder, ignore_errors=True)
    write_json(recipe, wanted)

    import torch

    torch.manual_seed(options.seed)
    if options.cuda:
        torch.set_default_device("cuda")
    index = KINDS[options.kind](folder, options)
    if index is not None:
        write_json(folder / "model_index.json", {"_diffusers_version": "0.37.0", **index})
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    write_json(complete, {"bytes": size})
    print(f"{folder}: {size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
