"""Two operators of `sgl_kernel` that sglang 0.5.18 and newer call on a CPU; loaded by a .pth file.

The CPU build of sgl_kernel is on no index. The two are a norm followed by `* (1 + scale) + shift`, which plain torch
does as well: only the fusing is missing, so that a denoising step takes longer. They are declared when the engine is
imported and not before, so that Python programs of the environment that need no torch do not import it.
"""

import importlib.abc
import sys


def _normed(torch, x, weight, bias, kind, eps):
    wide = x.float()
    shape = wide.shape[-1:]
    weight, bias = (None if part is None else part.float() for part in (weight, bias))
    if kind == "rms":
        return torch.nn.functional.rms_norm(wide, shape, weight, eps)
    return torch.nn.functional.layer_norm(wide, shape, weight, bias, eps)


class _BeforeTheEngine(importlib.abc.MetaPathFinder):
    operators = None

    def find_spec(self, name, path, target=None):
        if name == "sglang.multimodal_gen":
            sys.meta_path.remove(self)
            import torch
            from torch.library import Library

            if torch.version.cuda is None:
                # It must live as long as the operators are to be known.
                type(self).operators = self.declared(torch, Library("sgl_kernel", "FRAGMENT"))

    @staticmethod
    def declared(torch, library):
        def norm(x, weight, bias, scale, shift, kind, eps):
            return (_normed(torch, x, weight, bias, kind, eps) * (1 + scale) + shift).to(x.dtype)

        def residual_norm(residual, x, gate, weight, bias, scale, shift, kind, eps):
            total = residual + (x if gate is None else x * gate)
            return norm(total, weight, bias, scale, shift, kind, eps), total

        rest = "Tensor? weight, Tensor? bias, Tensor scale, Tensor shift, str kind, float eps"
        library.define(f"fused_norm_scale_shift_cpu(Tensor x, {rest}) -> Tensor")
        library.define(
            f"fused_scale_residual_norm_scale_shift_cpu(Tensor residual, Tensor x, Tensor? gate, {rest}) "
            "-> (Tensor, Tensor)"
        )
        library.impl("fused_norm_scale_shift_cpu", norm, "CPU")
        library.impl("fused_scale_residual_norm_scale_shift_cpu", residual_norm, "CPU")
        return library


sys.meta_path.insert(0, _BeforeTheEngine())
