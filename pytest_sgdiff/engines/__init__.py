"""The engines: ways of running a case. A new one is one file here and one line in `ENGINES`."""

from __future__ import annotations

from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.engines.sglang_generate import SglangGenerate
from pytest_sgdiff.engines.sglang_serve import SglangServe

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (SglangGenerate(), SglangServe())}
