"""Servers: what a client is to ask of one while it lives, and what came back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ServedTask = Literal["image", "edit", "video", "mesh"]
"""What a request makes: each has an endpoint of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestPlan:
    """One request to a server.

    `fields` are its JSON body, or the fields of a form where it has `uploads` (name of the form's field -> files) or is
    a `form`; `references` are JSON fields that name a file on the server's disk. The pixels of all these files are
    shifted by `shift`. `job`: the server answers at once, and is asked for the outcome until there is one.
    `perf_dump`: where the server writes the request's perf dump; None where this kind of request has none, and the line
    in the server's performance log stands for it. `warmup`: it comes before the measured ones and is not one of them.
    """

    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    uploads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    form: bool = False
    shift: int = 0
    job: bool = False
    perf_dump: str | None = None
    warmup: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """Requests that a server gets at the same time, by a `name` that stands in its metrics: `concurrency` of them
    whenever one is done, or `rate` a second on average at random times (a Poisson process, the same in every launch),
    whatever became of those before."""

    name: str
    requests: tuple[RequestPlan, ...]
    concurrency: int | None = None
    rate: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What a client does with a server: it waits until all paths of `ready` answer 200, one after the other, keeps what
    those of `about` answer, and sends the `requests`, one after the other; the `loads` follow.

    `url` is where the server listens. `tasks` are the kinds of work (`task_type` of `/model_info`) that the requests
    are of; a server of another kind gets none. `perf_log` is the server's performance log, in which the line of a
    request without a perf dump stands. `scratch` is a folder for files that are sent. `dump_s`: how long after its
    answer a dump may come.
    """

    url: str
    requests: tuple[RequestPlan, ...]
    ready: tuple[str, ...] = ("/health", "/v1/models")
    about: tuple[str, ...] = ("/model_info", "/server_info")
    tasks: tuple[str, ...] = ()
    perf_log: str = ""
    scratch: str = ""
    dump_s: float = 30.0
    loads: tuple[Load, ...] = ()


RequestFailure = Literal["status", "job", "answer", "content", "connection"]
"""How a request failed: by its HTTP status, the state of its job, an answer that is none, no content, or a connection
that broke."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request that was sent, and what came back. `client_ms` is from its submission to the last byte of its
    content, None where it failed; `sent_s` is when it was sent, in s after the start of the server's process.

    `fields` are those of its plan. `status` is the last HTTP status, `state` what the server called its job, `message`
    what it or the connection said of a failure. `content_bytes` is how much content came. `dump` is the text of its
    perf dump, or of its line in the performance log. `load` is the name of the load that it belongs to,
    and `intended_s` when it was to be sent: its time begins then, so that a server that is late is late for those that
    wait.
    """

    number: int
    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    warmup: bool = False
    sent_s: float | None = None
    client_ms: float | None = None
    id: str | None = None
    status: int | None = None
    state: str | None = None
    failure: RequestFailure | None = None
    message: str = ""
    content_bytes: int | None = None
    server_ms: float | None = None
    dump: str | None = None
    load: str = ""
    intended_s: float | None = None


ServerStop = Literal["unhealthy", "foreign", "other-task", "request"]
"""Why a client left before it had done everything: the server calls itself broken, another process listens on its
port, it serves another kind of work, or a request failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What a client saw of a server. Times are in s after the start of the process; None where it did not come to that.

    `http_s`: it answered for the first time. `loaded_s`: its log said that the model is loaded. `ready_s`: it took
    requests. `measured_s`: the first measured request was sent. `waiting_for` is the path that did not answer 200 yet,
    empty once it was ready, and `last_status` its last HTTP status.
    `answers` are those of `Service.about`, `listener` says whose process listens on the port. `healthy_after`: whether
    it called itself healthy after the last request. `stopped` is why the client left early.
    """

    http_s: float | None = None
    loaded_s: float | None = None
    ready_s: float | None = None
    measured_s: float | None = None
    waiting_for: str = ""
    last_status: int | None = None
    answers: Mapping[str, Any] = field(default_factory=dict)
    listener: Literal["own", "other", "unknown"] = "unknown"
    healthy_after: bool | None = None
    stopped: ServerStop | None = None
    message: str = ""
