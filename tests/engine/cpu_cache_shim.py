"""Gives `torch.cpu` an `empty_cache` that does nothing; loaded by a .pth file.

The engine empties the device's cache when it merges a LoRA, as LTX-2 does for its second stage. torch.cpu has no such
function, since there is no cache, and the request would fail. It is added at the moment the engine is imported and not
before, so that Python programs of the environment that need no torch do not import it.
"""

import importlib.abc
import sys


class _BeforeTheEngine(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "sglang.multimodal_gen":
            sys.meta_path.remove(self)
            import torch

            if not hasattr(torch.cpu, "empty_cache"):
                torch.cpu.empty_cache = lambda: None


sys.meta_path.insert(0, _BeforeTheEngine())
