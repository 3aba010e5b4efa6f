"""What the stand-in plays as `sglang serve`: HTTP as far as a client needs it, and the faults that a server can have.

Beside the scenarios of `stand_in.py`:

    unready           answers, and its warmup never ends    silent         never answers at all
    lies              says that it is ready, and is not     broken         calls itself unhealthy
    refuses:N         answers 500 to request N              job-failed:N   the job of request N fails
    dies:N            exits after request N                 stuck:N        never answers request N
    empty:N           request N has no content              other-id:N     the dump of request N is another request's
    lost-dump:N       request N leaves no dump
    warmup-open       its own warmup fails, and it goes on  graphs         it turns on breakable CUDA graphs by itself
    says-diffusers    /model_info names the diffusers class
    no-model-info     /model_info names no class
    unhealthy-after   a worker dies after the last request
    keeps             a child of another session keeps its port when it ends
    deaf              ignores SIGTERM                       stalls:N       answers from request N on when seven wait
"""

import http.server
import io
import json
import os
import pathlib
import signal
import sys
import threading
import time

from stand_in import EDIT, RELEASE, VERSION, WAN, Launch

CALLED = os.environ.get("SGDIFF_FAKE_CALLED", VERSION)


class Server(Launch):
    """The life of a server. Requests are numbered from 0 in the order in which they come, the warmup request among
    them."""

    def __init__(self, args):
        super().__init__(args)
        # A server's own warmup, by requests that it makes up.
        self.warmup = args.get("warmup-mode", "server")
        self.cache = RELEASE >= 21 and "disable-conditioning-cache" not in args
        self.port, self.count, self.jobs = int(args.get("port", 30000)), 0, {}
        self.lock, self.warm = threading.Lock(), threading.Event()
        self.arrived, self.waiting = threading.Condition(), 0

    def plays_at(self, name, number):
        """Whether this is the request at which something happens."""
        return name in self.plays and int(self.plays[name] or 0) == number

    def run(self):
        self.start()
        self.ends_early()
        self.load()
        if RELEASE >= 21:
            self.log.info(f"[server-load] workers_ready_monotonic_ns={time.monotonic_ns()}")
        self.log.info("Starting FastAPI server.")
        if "silent" in self.plays:
            while True:
                time.sleep(600)
        server = Http(("127.0.0.1", self.port), self)
        broker = http.server.HTTPServer(("127.0.0.1", self.port + 1), http.server.BaseHTTPRequestHandler)
        self.log.info(f"ZMQ Broker is listening for offline jobs on tcp://127.0.0.1:{self.port + 1}")
        if "graphs" in self.plays:
            self.log.info(
                f"[Diffusion BCG] enabled by default for {self.pipeline}; pass --enable-breakable-cuda-graph false to "
                "run eager."
            )
        if "keeps" in self.plays:
            self.keep(server.fileno())
        signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in self.plays else self.stop)
        threading.Thread(target=self.warm_up_itself, daemon=True).start()
        server.serve_forever()
        broker.server_close()

    def stop(self, *_):
        # As uvicorn and the workers do, which a signal to the group ends first.
        print("[2026-11-23 16:35:24] INFO:     Shutting down", flush=True)
        self.log.error("Rank 0 scheduler is dead. Please check if there are relevant logs.")
        os._exit(0)

    def keep(self, descriptor):
        """A process of another session, without a parent and without a trace of the launch in its environment, that has
        the server's port. SGDIFF_FAKE_KEPT names the file that gets its number."""
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.set_inheritable(descriptor, True)
            pathlib.Path(os.environ["SGDIFF_FAKE_KEPT"]).write_text(str(os.getpid()))
            for number in (0, 1, 2):
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"], {})
        os.wait()

    def warm_up_itself(self):
        if self.warmup == "server":
            if "unready" in self.plays:
                return
            if "warmup-open" in self.plays:
                self.log.warning("Synthetic server warmup failed; continuing startup")
            else:
                self.log.info("The server is fired up and ready to roll!")
        self.warm.set()

    def about(self, path):
        """What a path of the server's own answers: status and body."""
        if path in ("/health", "/health_generate"):
            if "broken" in self.plays or ("unhealthy-after" in self.plays and self.count >= 4):
                return 503, {"status": "unhealthy", "error": "Scheduler worker exited; restart the server."}
            gated = RELEASE >= 18 and "lies" not in self.plays
            return (503, None) if gated and not self.warm.is_set() else (200, {"status": "ok"})
        if path == "/liveness":
            return (200, {"status": "ok"}) if RELEASE >= 18 else (404, {"detail": "Not Found"})
        if "lies" not in self.plays:
            self.warm.wait()
        classes = ["DiffusersPipeline" if self.diffusers or "says-diffusers" in self.plays else self.pipeline]
        task = {".mp4": "T2V", ".glb": "I2M"}.get(self.suffix, "I2I" if self.stages == EDIT else "T2I")
        task = {"WanImageToVideoPipeline": "I2V", "LTX2Pipeline": "TI2V"}.get(self.pipeline, task)
        answers = {
            "/model_info": {
                "architectures": None if "no-model-info" in self.plays else classes,
                "task_type": "T2I" if "image" in self.args["model-path"].lower() and self.stages == WAN else task,
            },
            "/server_info": {"model_path": self.args["model-path"], "version": CALLED},
            "/v1/models": {"data": [{"id": self.args["model-path"]}]},
        }
        return (200, answers[path]) if path in answers else (404, {"detail": "Not Found"})

    def asked(self, path, fields):
        """One request; status and body, None for none at all."""
        with self.lock:
            number, self.count = self.count, self.count + 1
        ident = f"8ad1b101-5736-4e5e-8d6a-{number:012d}"
        if self.plays_at("stuck", number):
            threading.Event().wait()
        if "stalls" in self.plays and number >= int(self.plays["stalls"]):
            # Nothing is answered before all requests have come.
            with self.arrived:
                self.waiting += 1
                self.arrived.notify_all()
                self.arrived.wait_for(lambda: self.waiting >= 7)
        if "lies" in self.plays:
            return 503, {"detail": "the server is starting"}
        if self.plays_at("refuses", number):
            said = "Model generation failed. Error from scheduler: CUDA error"
            self.log.error(f"Error executing request {ident}: CUDA error")
            return 500, {"detail": said}
        if self.plays_at("dies", number):
            os._exit(1)
        self.args |= {name.replace("_", "-"): value for name, value in fields.items()}
        self.steps = int(fields.get("num_inference_steps", self.steps))
        failed = self.plays_at("job-failed", number)
        dump = self.dump()
        dump |= {"tag": "server_perf_dump", "request_id": ident, "meta": {"model": self.args["model-path"]}}
        if not failed:
            self.describe()
            self.leave(dump, fields, number)
        job = path in ("/v1/videos", "/v1/meshes")
        if job:
            state = "failed" if failed else "completed"
            self.jobs[ident] = {"id": ident, "status": state, "inference_time_s": dump["total_duration_ms"] / 1000}
            if failed:
                self.jobs[ident]["error"] = {"message": "CUDA error"}
            return 200, {"id": ident, "status": "queued"}
        content = "" if self.plays_at("empty", number) else "bm90IGEgcGljdHVyZQ=="
        return 200, {"id": ident, "data": [{"b64_json": content}], "inference_time_s": dump["total_duration_ms"] / 1000}

    def leave(self, dump, fields, number):
        """What a request leaves: its dump and its line in the performance log."""
        if self.plays_at("lost-dump", number):
            return
        if self.plays_at("other-id", number):
            dump = {**dump, "request_id": "00000000-0000-0000-0000-000000000000"}
        line = {
            "request_id": dump["request_id"],
            "tag": "pipeline_stage_metrics",
            "stages": [{"name": s["name"], "execution_time_ms": s["duration_ms"]} for s in dump["steps"]],
            "steps": [step["duration_ms"] for step in dump["denoise_steps_ms"]],
            "total_duration_ms": dump["total_duration_ms"],
            "memory_snapshots": dump.get("memory_checkpoints", {}),
        }
        folder = pathlib.Path(os.environ["SGLANG_PERF_LOG_DIR"])
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "performance.log").open("a") as log:
            log.write(json.dumps(line) + "\n")
        if fields.get("perf_dump_path"):
            self.args["perf-dump-path"] = fields["perf_dump_path"]
            self.write(dump)

    def memory(self):
        found = super().memory()
        # Of a server they are those of all its requests so far.
        for name in ("runtime_peak", "warmup_peak"):
            if name in found:
                found[name] = {**found[name], "peak_allocated_mb": 9999.0}
        return found

    def content(self, ident):
        number = int(ident.rpartition("-")[2])
        return b"" if self.plays_at("empty", number) else b"not a video"


class Http(http.server.ThreadingHTTPServer):
    """HTTP as far as a client of the server needs it."""

    daemon_threads = True

    def __init__(self, address, served):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, body):
                data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                parts = self.path.strip("/").split("/")
                if parts[:2] in (["v1", "videos"], ["v1", "meshes"]) and len(parts) > 2:
                    body = served.content(parts[2]) if parts[3:] == ["content"] else served.jobs.get(parts[2])
                    self.answer(404 if body is None else 200, body)
                else:
                    self.answer(*served.about(self.path))

            def do_POST(self):
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0) or chunked(self))
                form = "multipart" in self.headers.get("Content-Type", "")
                self.answer(*served.asked(self.path, form_fields(data) if form else json.loads(data)))

        super().__init__(address, Handler)


def chunked(request):
    """No length: a body in chunks, which http.server does not put together."""
    if request.headers.get("Transfer-Encoding") != "chunked":
        return 0
    data = b""
    while size := int(request.rfile.readline(), 16):
        data += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    request.rfile = io.BytesIO(data)
    return len(data)


def form_fields(data):
    """The fields of a form that are text."""
    fields = {}
    for part in data.split(b"\r\n--"):
        head, _, body = part.partition(b"\r\n\r\n")
        if b"filename=" not in head and b'name="' in head:
            fields[head.split(b'name="')[1].split(b'"')[0].decode()] = body.decode("utf-8", "replace")
    return fields
