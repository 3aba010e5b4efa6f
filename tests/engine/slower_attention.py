"""The engine with an operator that is really slower: its attention on the CPU is computed eight times."""

import sys

import torch
from sglang.cli.main import main

TIMES = 8

once = torch.nn.functional.scaled_dot_product_attention


def slower(*args: object, **kwargs: object) -> object:
    for _ in range(TIMES - 1):
        once(*args, **kwargs)
    return once(*args, **kwargs)


torch.nn.functional.scaled_dot_product_attention = slower

if __name__ == "__main__":
    sys.exit(main())
