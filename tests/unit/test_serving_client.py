"""What a client counts as the time of a request, and what it sends, without a server."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import Load, Request, RequestPlan, Service
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.files.wire import to_plain
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


Answer = tuple[int, bytes | None]
"""Status and body; None is one that never ends."""

WELL: Mapping[str, Answer] = {
    "GET /health": (200, b'{"status": "ok"}'),
    "GET /model_info": (200, b'{"architectures": ["WanPipeline"]}'),
    "POST /v1/videos": (200, b'{"id": "a/b", "status": "queued"}'),
    "GET /v1/videos/a%2Fb": (200, b'{"id": "a/b", "status": "completed", "inference_time_s": 1.5}'),
    "GET /v1/videos/a%2Fb/content": (200, b"video"),
}


@contextlib.contextmanager
def answering(answers: Mapping[str, Answer]) -> Iterator[str]:
    """A server that gives these answers; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answers.get(f"{self.command} {self.path}", (404, b""))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            if body is not None:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                while body is None:
                    self.wfile.write(bytes(1 << 16))
                self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that http.server asks for

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def asked(changed: Mapping[str, Answer]) -> Client:
    """A client that has asked a server whose answers are well but for these."""
    with answering({**WELL, "GET /elsewhere": (200, b"{}"), **changed}) as url:
        plan = RequestPlan(path="/v1/videos", job=True)
        client = Client(Service(url=url, requests=(plan,), ready=("/health",), about=("/model_info",), dump_s=0.0))
        client.start(time.monotonic(), lambda port: "own")
        wait_for(client.finished)
        client.leave()
    # Whatever it was told, a recording can hold it.
    to_plain(client.served)
    to_plain(list(client.requests))
    return client


def test_a_job_is_done_with_its_content() -> None:
    (one,) = asked({}).requests
    assert (one.failure, one.id, one.state, one.content_bytes, one.server_ms) == (None, "a/b", "completed", 5, 1500.0)


POLL, CONTENT = "GET /v1/videos/a%2Fb", "GET /v1/videos/a%2Fb/content"


@pytest.mark.parametrize(
    ("path", "answer", "failure", "status"),
    [
        ("POST /v1/videos", (200, None), "answer", 200),
        ("POST /v1/videos", (303, b""), "status", 303),
        ("POST /v1/videos", (200, b'{"id": "a\\ud800"}'), "answer", 200),
        ("POST /v1/videos", (500, b'{"detail": "broken \\ud800"}'), "status", 500),
        (POLL, (200, None), "answer", 200),
        (POLL, (302, b""), "status", 302),
        (POLL, (200, b'{"id": "another", "status": "completed"}'), "answer", 200),
        (POLL, (200, b'{"id": "a/b", "status": "cancelled"}'), "job", 200),
        (CONTENT, (302, b""), "status", 302),
    ],
)
def test_an_answer_that_is_none_or_of_another_is_a_failure(
    path: str, answer: Answer, failure: str, status: int
) -> None:
    (one,) = asked({path: answer}).requests
    assert (one.failure, one.status, one.client_ms) == (failure, status, None)


@pytest.mark.parametrize("seconds", [b"NaN", b"-Infinity", b"1" + b"0" * 400, b'"1.5"', b"true"])
def test_a_time_that_is_no_number_is_unknown(seconds: bytes) -> None:
    said = b'{"id": "a/b", "status": "completed", "inference_time_s": ' + seconds + b"}"
    (one,) = asked({POLL: (200, said)}).requests
    assert (one.failure, one.server_ms) == (None, None)


@pytest.mark.parametrize(
    "said", [b'{"architectures": ["WanPipeline"], "x": NaN}', b'{"architectures": ["W\\udc00"]}', b"[" * 5000, None]
)
def test_what_no_recording_can_hold_is_no_answer_of_the_server(said: bytes | None) -> None:
    assert asked({"GET /model_info": (200, said)}).served.answers == {"/model_info": None}


def test_a_server_that_calls_itself_unhealthy_is_not_ready_whatever_its_status() -> None:
    client = asked({"GET /health": (200, json.dumps({"status": "unhealthy", "error": "died \ud800"}).encode())})
    assert (client.served.stopped, client.served.message, client.requests) == ("unhealthy", "died ?", ())
