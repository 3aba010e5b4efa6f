#!/usr/bin/env python3
"""A program to measure that is not SGLang: it "denoises" numbers, once (`generate`) or for all who ask (`serve`).

    toy.py version
    toy.py generate --steps 8 --seed 42 --dump perf.json --output picture.txt
    toy.py serve --steps 8 --port 30000

Both write a perf dump of each request in SGLang's form: the total, the stages and the denoising steps, in ms. Only the
standard library is used, so that the example runs everywhere.
"""

from __future__ import annotations

import argparse
import base64
import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

VERSION = "1.2.0"


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("version")
    once, many = commands.add_parser("generate"), commands.add_parser("serve")
    for each in (once, many):
        each.add_argument("--steps", type=int, default=8)
        each.add_argument("--size", type=int, default=300)
        each.add_argument("--seed", type=int, default=42)
        each.add_argument("--fast-path", action="store_true", help="what the case wants to be sure of")
    once.add_argument("--dump", type=Path, required=True)
    once.add_argument("--output", type=Path, required=True)
    many.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    if given.command == "version":
        print(f"toy {VERSION}")
        return
    # What the adapters take for the proof of what ran: a line of the program itself, printed where it decides.
    print(f"toy: path={'fast' if given.fast_path else 'slow'}", flush=True)
    if given.command == "generate":
        picture, dump = request(given, name="once")
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_bytes(picture)
        given.dump.write_text(json.dumps(dump))
    else:
        serve(given)


def request(given: argparse.Namespace, *, name: str) -> tuple[bytes, dict[str, Any]]:
    """A picture, and the perf dump of how it was made."""
    began = time.perf_counter()
    stages, steps_ms = [], []
    numbers, encoding = timed(lambda: [(given.seed * i) % 255 for i in range(given.size)])
    stages.append({"name": "TextEncodingStage", "duration_ms": encoding})
    for _ in range(given.steps):
        numbers, step = timed(lambda before=numbers: denoised(before))
        steps_ms.append(step)
    stages.append({"name": "DenoisingStage", "duration_ms": sum(steps_ms)})
    picture, decoding = timed(lambda: bytes(numbers))
    stages.append({"name": "DecodingStage", "duration_ms": decoding})
    return picture, {
        "timestamp": datetime.now(timezone.utc).isoformat(),
        "request_id": name,
        "tag": "toy",
        "total_duration_ms": 1000 * (time.perf_counter() - began),
        "steps": stages,
        "denoise_steps_ms": [{"step": index, "duration_ms": step} for index, step in enumerate(steps_ms)],
    }


def denoised(numbers: list[int]) -> list[int]:
    for _ in range(20):
        following = [*numbers[1:], numbers[0]]
        numbers = [(3 * value + next_one) // 4 for value, next_one in zip(numbers, following, strict=True)]
    return numbers


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = work()
    return result, 1000 * (time.perf_counter() - began)


def serve(given: argparse.Namespace) -> None:
    """Answer `GET /health`, and `POST /generate` with a picture in base64."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer({"status": "ok"} if self.path == "/health" else None)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            picture, dump = request(given, name=asked["name"])
            if "perf_dump_path" in asked:
                Path(asked["perf_dump_path"]).write_text(json.dumps(dump))
            self.answer({"id": asked["name"], "data": [{"b64_json": base64.b64encode(picture).decode()}]})

        def answer(self, body: dict[str, Any] | None) -> None:
            text = json.dumps(body).encode()
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Not each poll."""

    HTTPServer(("127.0.0.1", given.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
