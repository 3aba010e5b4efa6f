"""Lets `import torchvision` work beside a CPU build of torch; loaded by a .pth file.

torchvision's wheel is a CUDA build whose library does not load there. Its import then fails on two operators that it
wants to describe and nobody calls: this declares them, at the moment torchvision is imported and not before, so that
Python programs of the environment that need no torch do not import it.
"""

import importlib.abc
import sys


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    operators = None

    def find_spec(self, name, path, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch
            from torch.library import Library

            if torch.version.cuda is None:
                # It must live as long as the operators are to be known.
                type(self).operators = Library("torchvision", "DEF")
                for operator in ("nms", "qnms"):
                    self.operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


sys.meta_path.insert(0, _BeforeTorchvision())
