"""The client of a server that is launched: waits until it is ready, sends the requests, and keeps what comes back.

It runs in a thread of its own, so that the launch's log goes on being copied, its process watched and its deadline kept
whatever the server does: a server that answers nothing, or never, holds up nobody. All waiting is the event loop's, and
`leave` ends it at once and closes every connection: a server of 0.5.17 does not end while one is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pytest_sgdiff.data import Load, Request, RequestFailure, RequestPlan, Served, ServerStop, Service
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.launch import answers
from pytest_sgdiff.launch.files import DUMP_LIMIT

if TYPE_CHECKING:
    import aiohttp

POLL_S = 0.05
"""How often a job is asked for its state. A job ends unseen for half of that on average, which is in its time."""

READY_POLL_S = 0.1
"""How often a server is asked whether it is ready."""

LOST_S = 2.0
"""How long after a broken connection the server's process may take to end."""

LEAVE_S = 10.0
"""How long the thread may take to end once it was told to."""

_SEED = 1
_ENDED = frozenset({"cancelled", "canceled", "expired", "error"})
"""States of a job, beside `failed` and `completed`, in which no content will ever come."""
_SHIFTED_BY = 8
"""Pixels by which an image is turned round for each further request: it becomes another image of the same size."""

_NEEDED = {"aiohttp": "aiohttp", "pillow": "PIL"}


def missing() -> str:
    """Why no server can be asked anything in this environment; empty if one can."""
    lacking = [name for name, module in _NEEDED.items() if importlib.util.find_spec(module) is None]
    return f"the engine sglang-serve needs {' and '.join(lacking)}: pip install {' '.join(lacking)}" if lacking else ""


Listener = Literal["own", "other", "unknown"]
"""Whose process listens on a port: the launch's, somebody else's, or it cannot be seen."""


class _Left(Exception):  # noqa: N818 - no error: the client leaves early
    def __init__(self, why: ServerStop, message: str = "") -> None:
        super().__init__(message)
        self.why, self.message = why, message


class Client:
    """Does with a server what its `Service` says. What it keeps may hold secrets of the launch.

    Raises SgdiffError where the libraries for it are not installed.
    """

    def __init__(self, service: Service) -> None:
        if lacks := missing():
            raise SgdiffError(lacks)
        self._service = service
        self._began = time.monotonic()
        self._listener: Callable[[int], Listener] = lambda port: "unknown"
        self._served = Served()
        self._requests: list[Request] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="sgdiff-client", daemon=True)
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._left = False

    def start(self, began: float, listener: Callable[[int], Listener]) -> None:
        """Begin, in a thread. `began` is when the server's process was started, by `time.monotonic`; `listener` says
        whose process listens on a port."""
        self._began, self._listener = began, listener
        self._thread.start()

    def finished(self) -> bool:
        """Whether nothing is left to be asked: all is done, or the client left early. Raises what went wrong with the
        client itself."""
        if self._done.is_set() and self._error is not None:
            raise self._error
        return self._done.is_set()

    def loaded(self) -> None:
        """Note that the log says now that the model is loaded."""
        with self._lock:
            if self._served.loaded_s is None:
                self._served = replace(self._served, loaded_s=self._now())

    def leave(self) -> None:
        """End all that is going on, close every connection, and wait until that is done. May be called twice."""
        if not self._thread.ident:
            return
        with self._lock:
            self._left = True
            if self._loop is not None and self._task is not None and not self._done.is_set():
                with contextlib.suppress(RuntimeError):  # it was over that very moment
                    self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(LEAVE_S)

    @property
    def served(self) -> Served:
        """What was seen of the server so far."""
        with self._lock:
            return self._served

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests that were sent so far."""
        with self._lock:
            return tuple(self._requests)

    # ------------------------------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    async def _main(self) -> None:
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            if self._left:
                return
        import aiohttp

        try:
            # No time limit but the launch's deadline, and no proxy of the environment: it is this host.
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
            # Nor a limit of connections, at which requests would wait that are due.
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=False) as http:
                await self._talk(http)
        except _Left as left:
            self._note(stopped=left.why, message=left.message)

    async def _talk(self, http: aiohttp.ClientSession) -> None:
        for path in self._service.ready:
            await self._until_ready(http, path)
        self._note(ready_s=self._now(), waiting_for="", last_status=None)
        for path in self._service.about:
            self._note(answers={**self._served.answers, path: await self._about(http, path)})
        self._of_that_kind()
        for number, plan in enumerate(self._service.requests):
            prepared = _prepared(plan, number, self._service.scratch)
            if not plan.warmup and self._served.measured_s is None:
                self._note(measured_s=self._now())
            done = await self._request(http, prepared, number)
            if done.failure is not None:
                raise _Left("request")
        for load in self._service.loads:
            await self._under_load(http, load)
        self._note(healthy_after=await self._healthy(http))

    async def _until_ready(self, http: aiohttp.ClientSession, path: str) -> None:
        import aiohttp

        self._note(waiting_for=path)
        while True:
            try:
                async with self._get(http, path) as answer:
                    if self._served.http_s is None:
                        self._note(http_s=self._now())
                        self._whose()
                    self._note(last_status=answer.status)
                    body = await answers.read(answer, answers.SHORT_BYTES)
                    if broken := answers.unhealthy(body):
                        raise _Left("unhealthy", broken)
                    if answer.status == 200 and body is not None:
                        return
            except (aiohttp.ClientError, TimeoutError):
                # Not there yet, or gone: the launch sees when its process ends.
                pass
            await asyncio.sleep(READY_POLL_S)

    def _get(self, http: aiohttp.ClientSession, path: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Ask this server: what it redirects to elsewhere says nothing of it."""
        return http.get(self._service.url + path, allow_redirects=False)

    def _whose(self) -> None:
        port = int(self._service.url.rpartition(":")[2])
        whose = self._listener(port)
        self._note(listener=whose)
        if whose == "other":
            raise _Left("foreign", f"port {port}")

    async def _about(self, http: aiohttp.ClientSession, path: str) -> Any:
        import aiohttp

        try:
            async with self._get(http, path) as answer:
                body = await answers.read(answer, answers.SHORT_BYTES)
                return answers.recordable(answers.parsed(body)) if answer.status == 200 else None
        except aiohttp.ClientError:
            return None

    def _of_that_kind(self) -> None:
        """A server of another kind of work is asked for nothing: it would do something else, or refuse."""
        info = self._served.answers.get("/model_info")
        if not self._service.tasks or not isinstance(info, Mapping):
            return
        more = info.get("supported_task_types")
        kinds = [str(kind) for kind in (info.get("task_type"), *(more if isinstance(more, list) else ())) if kind]
        if kinds and not set(kinds) & set(self._service.tasks):
            raise _Left("other-task", ", ".join(dict.fromkeys(kinds)))

    async def _healthy(self, http: aiohttp.ClientSession) -> bool | None:
        """Whether the server still says that it is well; None where it has no such answer."""
        import aiohttp

        try:
            async with self._get(http, self._service.ready[0]) as answer:
                if broken := answers.unhealthy(await answers.read(answer, answers.SHORT_BYTES)):
                    self._note(message=broken)
                return answer.status == 200 and not broken
        except (aiohttp.ClientError, IndexError):
            return False

    async def _under_load(self, http: aiohttp.ClientSession, load: Load) -> None:
        """Send the requests of a load: as many at a time as it says, or each at its own time, whatever became of those
        before. That a request waits before it is sent is part of its time, or a server that stalls would be asked less
        and look fast (coordinated omission)."""
        first = len(self._requests)
        plans = [_prepared(plan, first + at, self._service.scratch) for at, plan in enumerate(load.requests)]
        begin, turn = self._now(), iter(enumerate(plans, first))

        async def one_by_one() -> None:
            for number, plan in turn:
                if (await self._request(http, plan, number, load=load.name)).failure is not None:
                    raise _Left("request")

        async def at_its_time(number: int, plan: RequestPlan, intended_s: float) -> None:
            await asyncio.sleep(max(0.0, intended_s - self._now()))
            done = await self._request(http, plan, number, load=load.name, intended_s=intended_s)
            if done.failure is not None:
                raise _Left("request")

        if load.rate is None:
            tasks = [asyncio.ensure_future(one_by_one()) for _ in range(load.concurrency or 1)]
        else:
            times = (begin + after_s for after_s in _arrivals(load.rate, len(plans)))
            tasks = [
                asyncio.ensure_future(at_its_time(number, plan, at_s))
                for (number, plan), at_s in zip(turn, times, strict=True)
            ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _request(
        self,
        http: aiohttp.ClientSession,
        plan: RequestPlan,
        number: int,
        *,
        load: str = "",
        intended_s: float | None = None,
    ) -> Request:
        """Send a request, wait for its content, and keep it; then for its dump, which is no part of its time."""
        place, now = len(self._requests), self._now()
        sent = Request(
            number=number,
            path=plan.path,
            fields=plan.fields,
            warmup=plan.warmup,
            sent_s=now,
            load=load,
            intended_s=intended_s,
        )
        with self._lock:
            self._requests.append(sent)
        done = await self._sent(http, plan, sent)
        if intended_s is not None and done.client_ms is not None:
            done = replace(done, client_ms=done.client_ms + 1000 * (now - intended_s))
        if done.failure is None and not load:
            done = replace(done, dump=await self._dump(plan, done.id))
        with self._lock:
            self._requests[place] = done
        return done

    async def _sent(self, http: aiohttp.ClientSession, plan: RequestPlan, sent: Request) -> Request:
        import aiohttp

        body: dict[str, Any] = {"data": _form(plan)} if plan.form else {"json": {**plan.fields, **plan.references}}
        began = time.perf_counter()
        try:
            async with http.post(self._service.url + plan.path, allow_redirects=False, **body) as answer:
                status, text = (
                    answer.status,
                    await answers.read(answer, answers.SHORT_BYTES if plan.job else answers.LONG_BYTES),
                )
            took_ms = 1000 * (time.perf_counter() - began)
            if status != 200:
                return self._bad(sent, "status", answers.what_it_says(text), status=status)
            said = answers.parsed(text)
            ident = said.get("id") if isinstance(said, Mapping) else None
            if not isinstance(said, Mapping) or not isinstance(ident, str) or answers.recordable(ident) is None:
                return self._bad(sent, "answer", answers.what_it_says(text), status=status)
            sent = replace(sent, id=ident, status=status)
            if plan.job:
                return await self._job(http, plan, sent, began)
            size = answers.image_bytes(said)
            if not size:
                return self._bad(sent, "content", "the answer holds no image", status=status)
            return replace(sent, client_ms=took_ms, content_bytes=size, server_ms=answers.server_ms(said))
        except aiohttp.ClientError as error:
            # Whoever watches the process sees within this time whether it ended, which says more.
            await asyncio.sleep(LOST_S)
            return self._bad(sent, "connection", f"{type(error).__name__}: {error}")

    async def _job(self, http: aiohttp.ClientSession, plan: RequestPlan, sent: Request, began: float) -> Request:
        """Ask for a job until it is done, then fetch what it made."""
        path = f"{plan.path}/{quote(sent.id or '', safe='')}"
        while True:
            async with self._get(http, path) as answer:
                status, text = answer.status, await answers.read(answer, answers.SHORT_BYTES)
            if status != 200:
                return self._bad(sent, "status", answers.what_it_says(text), status=status)
            said = answers.parsed(text)
            state = said.get("status") if isinstance(said, Mapping) else None
            # Without an id it is taken for this job's: none that is known leaves it out.
            if not isinstance(state, str) or answers.recordable(state) is None or said.get("id", sent.id) != sent.id:
                return self._bad(sent, "answer", answers.what_it_says(text), status=status)
            sent = replace(sent, state=state)
            if state == "failed" or state in _ENDED:
                error = said.get("error")
                message = error.get("message") if isinstance(error, Mapping) else error
                return self._bad(sent, "job", str(message or ""), status=status)
            if state == "completed":
                break
            await asyncio.sleep(POLL_S)
        size = 0
        async with self._get(http, f"{path}/content") as answer:
            status = answer.status
            if status != 200:
                return self._bad(
                    sent, "status", answers.what_it_says(await answers.read(answer, answers.SHORT_BYTES)), status=status
                )
            async for part in answer.content.iter_chunked(1 << 16):
                size += len(part)
        took_ms = 1000 * (time.perf_counter() - began)
        if not size:
            return self._bad(sent, "content", "the content is empty", status=status)
        return replace(sent, status=status, client_ms=took_ms, content_bytes=size, server_ms=answers.server_ms(said))

    def _bad(self, sent: Request, how: RequestFailure, message: str, *, status: int | None = None) -> Request:
        return replace(sent, failure=how, message=answers.kept(message), status=status)

    async def _dump(self, plan: RequestPlan, ident: str | None) -> str | None:
        """The request's perf dump, or its line in the performance log, as soon as it is there whole. What is there when
        the time is over is given as it is."""
        until = time.monotonic() + self._service.dump_s
        read = (
            (lambda: _whole(plan.perf_dump or "")) if plan.perf_dump else (lambda: _line(self._service.perf_log, ident))
        )
        while True:
            text, whole = await asyncio.to_thread(read)
            if whole or time.monotonic() >= until:
                return text
            await asyncio.sleep(POLL_S)

    def _note(self, **changes: Any) -> None:
        with self._lock:
            self._served = replace(self._served, **changes)

    def _now(self) -> float:
        return time.monotonic() - self._began


# ------------------------------------------------------------------------------------------------- requests and answers


def _prepared(plan: RequestPlan, number: int, scratch: str) -> RequestPlan:
    """The request with files of its own, where their pixels are shifted; made before any time is taken."""
    if not plan.shift:
        return plan
    made = 0

    def shifted(path: str) -> str:
        nonlocal made
        made += 1
        return _shifted(path, Path(scratch) / f"{number}-{made}.png", _SHIFTED_BY * plan.shift)

    uploads = {name: tuple(map(shifted, paths)) for name, paths in plan.uploads.items()}
    return replace(plan, uploads=uploads, references={name: shifted(path) for name, path in plan.references.items()})


def _shifted(path: str, target: Path, pixels: int) -> str:
    """A copy of an image, turned round by so many pixels from left to right; the path of the copy. Raises SgdiffError
    for what is no image."""
    from PIL import Image, ImageChops, UnidentifiedImageError

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            plain = image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB")
            ImageChops.offset(plain, pixels % max(1, plain.width) or 1, 0).save(target)
    except (OSError, UnidentifiedImageError) as error:
        raise SgdiffError(
            f"{path}: no image that can be varied from request to request ({error}); `launches: {{inputs: same}}` "
            "sends it as it is each time"
        ) from None
    return str(target)


def _arrivals(rate: float, count: int) -> list[float]:
    """When so many requests are due, in s from the beginning: a Poisson process, always the same one."""
    draws = random.Random(_SEED)
    return list(itertools.accumulate(draws.expovariate(rate) for _ in range(count)))


def _form(plan: RequestPlan) -> aiohttp.FormData:
    """The fields and files of a form; a field that is None is left out."""
    import aiohttp

    form = aiohttp.FormData()
    for name, value in plan.fields.items():
        if value is not None:
            form.add_field(name, value if isinstance(value, str) else json.dumps(value))
    for name, paths in plan.uploads.items():
        for path in paths:
            form.add_field(name, Path(path).read_bytes(), filename=os.path.basename(path))
    return form


def _whole(path: str) -> tuple[str | None, bool]:
    """The text of a perf dump, and whether it is whole: engines up to 0.5.21 write it bit by bit."""
    try:
        with open(path, "rb") as file:
            text = file.read(DUMP_LIMIT).decode("utf-8", "replace")
    except OSError:
        return None, False
    return text, len(text) >= DUMP_LIMIT or answers.parsed(text.encode()) is not None


def _line(path: str, ident: str | None) -> tuple[str | None, bool]:
    """The line of a request in the performance log."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                said = answers.parsed(line.encode()) if ident and ident in line else None
                if isinstance(said, Mapping) and said.get("request_id") == ident:
                    return line.strip(), True
    except OSError:
        pass
    return None, False
