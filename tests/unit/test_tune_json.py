"""The JSON of a search follows the schema that is published for it, docs/tune.schema.json."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from pytest_sgdiff.data import (
    Advice,
    Axis,
    Cause,
    DropCode,
    Dropped,
    OtherRequest,
    Problem,
    ProblemCode,
    PruneCode,
    Pruned,
    Quality,
    QualityCode,
    RequestPart,
    Setting,
    Similarity,
    Standing,
    Tried,
    TuneCode,
)
from pytest_sgdiff.reports import tune_json
from pytest_sgdiff.tuning.claims import CLAIMS, Claim, ClaimCode, ClaimResult, Compared, Telling
from pytest_sgdiff.tuning.ratios import Ratio
from pytest_sgdiff.tuning.report import TuneReport, WrittenCode
from tests.unit.test_tune_reports import OTHER, ends, report, tries

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "tune.schema.json").read_text())
DEFS = SCHEMA["$defs"]


def rendered(one: TuneReport) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(tune_json.render(one))
    jsonschema.Draft202012Validator(SCHEMA).validate(told)
    return told


def test_every_end_of_a_search_follows_the_published_schema() -> None:
    for one in ends():
        rendered(one)
    full = report(
        other_requests=(OtherRequest(variant="cfg2", parts=get_args(RequestPart)),),
        odd_launches=(replace(OTHER, code="odd-launch"),),
        claims=tuple(ClaimResult(claim=one, code="untried") for one in CLAIMS),
    )
    # All that is written is in the schema.
    assert set(rendered(full)) == set(SCHEMA["properties"])
    measured = replace(full.variants[1], tries=tries(0.064, None))
    told = rendered(replace(full, variants=(full.variants[0], measured, *full.variants[2:])))
    by_name = {one["variant"]: one for one in told["variants"]}
    assert [one["lost"] for one in by_name["cfg2"]["tries"]] == [0.064, None]


def test_what_nothing_bounds_is_null() -> None:
    pair = Compared(this="cfg2", that="sage", code="open", ratio=Ratio(value=0.9, low=0.0, high=math.inf))
    told = rendered(report(claims=(ClaimResult(claim=CLAIMS[3], code="open", pairs=(pair,)),)))
    assert told["claims"][0]["pairs"][0]["ratio"] == {"value": 0.9, "low": 0.0, "high": None}


def test_the_schema_itself_is_valid_and_refuses_a_ranking_without_a_lossy_mark() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    told = rendered(report())
    del told["variants"][0]["lossy"]
    with pytest.raises(jsonschema.ValidationError) as caught:
        jsonschema.Draft202012Validator(SCHEMA).validate(told)
    assert caught.value.message == "'lossy' is a required property"


@pytest.mark.parametrize(
    ("cls", "properties", "more"),
    [
        (
            Standing,
            DEFS["variant"]["properties"],
            "faster words lossy gpus e2e_ms settings args env changes quality command tries",
        ),
        (Tried, DEFS["try"]["properties"], "variant round e2e_ms"),
        (Dropped, DEFS["dropped"]["properties"], ""),
        (Setting, DEFS["setting"]["properties"], ""),
        (Pruned, DEFS["pruned"]["properties"], "words"),
        (Advice, DEFS["advice"]["properties"], ""),
        (ClaimResult, DEFS["claim"]["properties"], "words"),
        (Claim, DEFS["claim"]["properties"]["claim"]["properties"], ""),
        (Compared, DEFS["claim"]["properties"]["pairs"]["items"]["properties"], ""),
        (OtherRequest, DEFS["other_request"]["properties"], ""),
        (Problem, DEFS["problem"]["properties"], ""),
        (Similarity, DEFS["similarity"]["properties"], "psnr_db"),
    ],
)
def test_the_schema_knows_every_field_of_the_nouns(cls: type, properties: dict[str, Any], more: str) -> None:
    assert {field.name for field in dataclasses.fields(cls)} ^ set(more.split()) == set(properties)


def test_the_schema_knows_every_field_of_what_became_of_pictures() -> None:
    names = {field.name for field in dataclasses.fields(Quality)} - {"views", "reference"} | {"other_picture"}
    assert names == set(DEFS["quality"]["properties"])


@pytest.mark.parametrize(
    ("codes", "known"),
    [
        (TuneCode, SCHEMA["properties"]["code"]),
        (DropCode, DEFS["dropped"]["properties"]["code"]),
        (PruneCode, DEFS["pruned"]["properties"]["code"]),
        (ClaimCode, DEFS["claim"]["properties"]["code"]),
        (RequestPart, DEFS["other_request"]["properties"]["parts"]["items"]),
        (QualityCode, DEFS["quality"]["properties"]["code"]),
        (ProblemCode, DEFS["problem"]["properties"]["code"]),
        (Axis, DEFS["axis"]),
        (WrittenCode, SCHEMA["properties"]["of_written"]),
        (Telling, DEFS["claim"]["properties"]["claim"]["properties"]["told_as"]),
    ],
)
def test_the_schema_knows_every_code(codes: Any, known: dict[str, Any]) -> None:
    assert known["enum"] == list(get_args(codes))


def test_the_schema_knows_every_cause() -> None:
    assert set(DEFS["problem"]["properties"]["cause"]["enum"]) == {*get_args(Cause), None}
