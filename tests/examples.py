"""How many examples a property is tried on: a part of them in the default command, many times as many in
`make test-properties`."""

from __future__ import annotations

import os

from hypothesis import settings

FACTOR = float(os.environ.get("SGDIFF_TEST_EXAMPLES", "0.4"))
"""Of what a test asks for. What one example in hundreds shows is found by the run with many, at each change, too."""
FEWEST = 10


def examples(count: int, *, derandomize: bool = False) -> settings:
    """Settings of a property that is tried on `count` examples, times the factor of this run."""
    return settings(max_examples=max(min(count, FEWEST), round(count * FACTOR)), derandomize=derandomize)
