"""What a client counts as the time of a request, and what it sends, without a server."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import Load, Request, RequestPlan, Service
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.launch.client import Client
from tests.waiting import wait_for

SERVICE_MS = 20.0


class Blocked(Client):
    """A client whose requests take SERVICE_MS, in which nothing else of it goes on."""

    most = 0
    now = 0
    others_begin_meanwhile = True

    async def _sent(self, http: Any, plan: RequestPlan, sent: Request) -> Request:
        self.now += 1
        self.most = max(self.most, self.now)
        if self.others_begin_meanwhile:
            await asyncio.sleep(0)
        time.sleep(SERVICE_MS / 1000)
        self.now -= 1
        return replace(sent, client_ms=SERVICE_MS, id=str(sent.number), status=200)


class HeldUp(Blocked):
    others_begin_meanwhile = False


def loaded(load: Load, kind: type[Blocked] = Blocked) -> Blocked:
    client = kind(Service(url="http://127.0.0.1:1", requests=(), ready=(), about=(), loads=(load,)))
    client.start(time.monotonic(), lambda port: "own")
    wait_for(client.finished)
    client.leave()
    return client


def plans(count: int, **changes: Any) -> tuple[RequestPlan, ...]:
    return tuple(RequestPlan(path="/v1/videos", **changes) for _ in range(count))


def test_the_time_of_a_request_begins_when_it_was_due_and_not_when_it_was_sent() -> None:
    found = loaded(Load(name="r1000", requests=plans(4), rate=1000.0), HeldUp).requests
    late = [1000 * ((one.sent_s or 0) - (one.intended_s or 0)) for one in found]
    assert [one.client_ms for one in found] == pytest.approx([SERVICE_MS + ms for ms in late])
    assert min(late) >= 0
    # The second was due long before the first let go of the client.
    first, second = found[:2]
    assert 1000 * ((second.sent_s or 0) - (first.sent_s or 0)) >= SERVICE_MS
    assert late[1] > 0


def test_requests_are_due_at_the_same_random_times_in_every_launch() -> None:
    twice = [loaded(Load(name="r200", requests=plans(6), rate=200.0)).requests for _ in range(2)]
    gaps = [[(b.intended_s or 0) - (a.intended_s or 0) for a, b in itertools.pairwise(one)] for one in twice]
    assert gaps[0] == pytest.approx(gaps[1])
    assert len({round(gap, 6) for gap in gaps[0]}) == 5


@pytest.mark.parametrize("many", [1, 3])
def test_no_more_requests_are_on_their_way_than_the_load_says(many: int) -> None:
    client = loaded(Load(name=f"c{many}", requests=plans(7), concurrency=many))
    assert (client.most, [one.number for one in client.requests]) == (many, list(range(7)))
    assert all(one.intended_s is None for one in client.requests)


def test_each_request_gets_an_image_of_its_own(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "cat.png"
    Image.frombytes("L", (64, 2), bytes(range(64)) * 2).save(path)
    sent: list[tuple[Any, ...]] = []

    class Kept(Blocked):
        async def _sent(self, http: Any, plan: RequestPlan, request: Request) -> Request:
            with Image.open(plan.references["input_reference"]) as shown:
                sent.append((shown.size, tuple(shown.tobytes())))
            return await super()._sent(http, plan, request)

    requests = [RequestPlan(path="/v1/videos", references={"input_reference": str(path)}, shift=n) for n in range(4)]
    client = Kept(
        Service(
            url="http://127.0.0.1:1", requests=tuple(requests), ready=(), about=(), scratch=str(tmp_path), dump_s=0.0
        )
    )
    client.start(time.monotonic(), lambda port: "own")
    wait_for(client.finished)
    assert [size for size, _ in sent] == [(64, 2)] * 4
    assert len({pixels for _, pixels in sent}) == 4
    assert {tuple(sorted(pixels)) for _, pixels in sent} == {tuple(sorted([*range(64)] * 2))}


def test_what_is_no_image_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(b"not a picture")
    plan = RequestPlan(path="/v1/videos", references={"input_reference": str(path)}, shift=1)
    client = Blocked(Service(url="http://127.0.0.1:1", requests=(plan,), ready=(), about=(), scratch=str(tmp_path)))
    client.start(time.monotonic(), lambda port: "own")
    with pytest.raises(SgdiffError, match="inputs: same") as caught:
        wait_for(client.finished)
    assert str(caught.value).startswith(f"{path}: no image")
