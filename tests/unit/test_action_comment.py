"""The comment on a pull request: of a fork, whatever its artifact holds, it is a table of known words and numbers."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SHA = "0123456789abcdef0123456789abcdef01234567"
REPO = "/repos/org/repo"


def load() -> ModuleType:
    """The script, which belongs to no package: a job starts it by its path."""
    spec = importlib.util.spec_from_file_location("comment", ROOT / "action" / "comment" / "comment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


comment = load()


@dataclass
class Site:
    """GitHub's API, as far as the script knows it, and another host for downloads. `written` is what was changed."""

    folder: Path
    pulls: list[Mapping[str, Any]] = field(default_factory=list)
    comments: list[Mapping[str, Any]] = field(default_factory=list)
    artifacts: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    written: list[tuple[str, str, str]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    tokens: dict[str, str | None] = field(default_factory=dict)
    failing: int | None = None

    def answer(self, method: str, url: str, body: str, token: str | None, host: str) -> tuple[int, Any]:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.tokens[parts.path] = token
        if self.failing and method == "GET":
            return self.failing, {}
        if method != "GET":
            self.written.append((method, parts.path, json.loads(body)["body"]))
            return 200, {}
        if parts.path == f"{REPO}/pulls":
            self.heads.append(query["head"])
            return 200, self.pulls
        if parts.path.startswith(f"{REPO}/issues/"):
            page = int(query["page"])
            return 200, self.comments[100 * (page - 1) : 100 * page]
        if parts.path == f"{REPO}/actions/runs/77/artifacts":
            listed = [{"id": one, "name": name, "expired": False} for one, (name, _) in self.artifacts.items()]
            return 200, {"artifacts": listed}
        if match := re.fullmatch(rf"{REPO}/actions/artifacts/(\d+)/zip", parts.path):
            return 302, f"http://localhost:{host.rpartition(':')[2]}/blob/{match[1]}"
        return 200, self.artifacts[int(parts.path.rpartition("/")[2])][1]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    one = Site(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            token = self.headers.get("Authorization")
            code, answer = one.answer(self.command, self.path, body, token, str(self.headers["Host"]))
            self.send_response(code)
            if code == 302:
                self.send_header("Location", answer)
            self.end_headers()
            if code != 302:
                self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

        do_GET = do_POST = do_PATCH = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GITHUB_REPOSITORY", "org/repo")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setenv("SGDIFF_TOKEN", "token-of-the-job")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield one
    server.shutdown()
    thread.join()
    server.server_close()


def fork(**more: Any) -> dict[str, Any]:
    """The event of a run of a fork's pull request."""
    run = {
        "id": 77,
        "event": "pull_request",
        "head_sha": SHA,
        "head_branch": "topic",
        "head_repository": {"id": 5, "full_name": "fork/repo", "owner": {"login": "fork"}},
        "pull_requests": [],
    }
    return {"workflow_run": {**run, **more}}


def pull(number: int = 7, *, sha: str = SHA, repository: int = 5) -> Mapping[str, Any]:
    return {"number": number, "head": {"sha": sha, "repo": {"id": repository}}}


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as files:
        for name, content in members.items():
            files.writestr(name, content)
    return buffer.getvalue()


def case(name: object, outcome: object = "pass", **more: Any) -> dict[str, Any]:
    return {"case": name, "outcome": outcome, "verdicts": [{"primary": True, "ratio": 1.0742}], **more}


def run(site: Site, monkeypatch: pytest.MonkeyPatch, event: Mapping[str, Any], *words: str, kind: str) -> int:
    (site.folder / "event.json").write_text(json.dumps(event))
    monkeypatch.setenv("GITHUB_EVENT_NAME", kind)
    code: int = comment.main([*words])
    return code


def of_fork(site: Site, monkeypatch: pytest.MonkeyPatch, report: object, **more: Any) -> int:
    site.pulls = site.pulls or [pull()]
    content = report if isinstance(report, bytes) else json.dumps(report).encode()
    site.artifacts = site.artifacts or {1: ("sgdiff-report", zipped({"report.json": content}))}
    return run(site, monkeypatch, fork(**more), kind="workflow_run")


def test_a_run_of_a_fork_becomes_a_table(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case("wan[cfg]", "regressed"), case("ltx2", "no-baseline", verdicts=[])]
    assert of_fork(site, monkeypatch, {"cases": cases}) == 0
    ((method, path, text),) = site.written
    assert (method, path) == ("POST", f"{REPO}/issues/7/comments")
    assert text == (
        "<!-- pytest-sgdiff -->\n"
        "## sgdiff: 1 regressed · 1 no baseline\n"
        "\n"
        "| case | outcome | change |\n"
        "| :--- | :--- | ---: |\n"
        "| `wan[cfg]` | 🔴 regressed | +7.4 % |\n"
        "| `ltx2` | 🟠 no baseline |  |\n"
        "\n"
        f"<sub>Measured at {SHA}. The code of the pull request reported these figures: "
        "[run](https://git.example/org/repo/actions/runs/77)</sub>\n"
    )


EVIL = "](https://evil.example) @everyone <img src=x> ::error::x | ` \n# x"


def test_no_text_of_an_artifact_reaches_the_comment_or_the_log(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ratios = [EVIL, True, None, [], float("inf"), float("nan"), 1e308, -1e308, 10**400, {"a": 1}]
    hostile = [
        *(case(name, "pass") for name in (EVIL, "`x`", "a b", "a\n", "é", "a" * 101, "@user", 5, None, [EVIL], "-x")),
        *(case("fine", "pass", verdicts=[{"primary": True, "ratio": ratio}]) for ratio in ratios),
        *(case("fine", outcome) for outcome in (EVIL, None, 3, ["pass"], {})),
        *(case("fine", "pass", verdicts=verdicts) for verdicts in (EVIL, None, {}, [EVIL], [None], [[]])),
        *(EVIL, None, 3, [], {}),
    ]
    report = {"cases": hostile, "number": 1, "pull_request": 1, "header": EVIL, "command": EVIL, "trends": EVIL}
    assert of_fork(site, monkeypatch, report) == 0
    ((_, path, text),) = site.written
    assert path == f"{REPO}/issues/7/comments"
    rows = text.partition("| :--- | :--- | ---: |\n")[2].partition("\n\n")[0].splitlines()
    assert set(rows) == {
        "| (a name with other characters) | 🟢 pass | +7.4 % |",
        "| `fine` | 🟢 pass |  |",
    }
    assert len(rows) == 11 + 10 + 6
    assert "evil" not in text + "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"PK\x03\x04 and nothing more",
        zipped({}),
        zipped({"../../report.json": "{}"}),
        zipped({"/report.json": "{}"}),
        zipped({"report.json": "["}),
        zipped({"report.json": "[" * 200_000}),
        zipped({"report.json": "[]"}),
        zipped({"report.json": b"\xff\xfe"}),
        zipped({"report.json": '{"cases": [' + "9" * 10_000 + "]}"}),
        zipped({"report.json": "{}"}).replace(b"report.json", b"report.jsoX", 1),
        b"x" * 40 + zipped({"report.json": "{}"})[:60],
    ],
    ids=range(12),
)
def test_an_artifact_that_holds_no_report_is_an_error_without_its_words(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], archive: bytes
) -> None:
    site.artifacts = {1: ("sgdiff-report", archive)}
    assert of_fork(site, monkeypatch, {}) == 1
    assert site.written == []
    told = capsys.readouterr()
    assert re.fullmatch(r"sgdiff: (the artifact|report\.json) [a-z. ]+\n", told.err)


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_with_any_byte_changed_or_its_end_missing_is_an_error_or_a_report(kind: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as files:
        files.writestr("report.json", json.dumps({"cases": [case("wan")]}))
    whole = buffer.getvalue()
    changed = [
        whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :] for at in range(len(whole)) for flip in (1, 255)
    ]

    def read(archive: bytes) -> type | None:
        try:
            return type(comment.figures(archive))
        except comment.CommentError:
            return None

    assert {read(archive) for archive in [*changed, *(whole[:at] for at in range(len(whole)))]} == {dict, None}


def test_neither_a_large_archive_nor_a_large_member_is_read_whole(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comment, "JSON_LIMIT", 1000)
    assert of_fork(site, monkeypatch, {"cases": [case("x" * 50) for _ in range(1000)]}) == 1
    monkeypatch.setattr(comment, "JSON_LIMIT", 2**20)
    monkeypatch.setattr(comment, "DOWNLOAD_LIMIT", 50)
    assert of_fork(site, monkeypatch, {}) == 1
    assert site.written == []


def test_a_member_twice_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = zipped({"report.json": "{}", "report.jsoX": "{}"}).replace(b"report.jsoX", b"report.json")
    site.artifacts = {1: ("sgdiff-report", twice)}
    assert of_fork(site, monkeypatch, {}) == 1


@pytest.mark.parametrize(
    ("pulls", "event"),
    [
        ([pull(sha="f" * 40)], {}),  # there was a push since
        ([pull(repository=6)], {}),  # another fork with the same commit
        ([pull(7), pull(8)], {}),  # two pull requests of one branch
        ([{"number": 7, "head": {"sha": SHA, "repo": None}}], {}),
        ([pull()], {"event": "push"}),
        ([pull()], {"event": "workflow_dispatch"}),
        ([pull()], {"head_repository": None}),
    ],
)
def test_a_run_whose_pull_request_is_not_certain_gets_no_comment(
    site: Site, monkeypatch: pytest.MonkeyPatch, pulls: list[Mapping[str, Any]], event: Mapping[str, Any]
) -> None:
    site.pulls = pulls
    assert of_fork(site, monkeypatch, {"cases": [case("wan")]}, **event) == 0
    assert site.written == []


def test_a_branch_is_one_value_of_the_question_whatever_its_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "x&head=other:main#$(id)?state=closed"
    of_fork(site, monkeypatch, {"cases": [case("wan")]}, head_branch=name)
    assert site.heads == [f"fork:{name}"]


def test_the_token_stays_with_github(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_fork(site, monkeypatch, {"cases": [case("wan")]}) == 0
    assert site.tokens.pop("/blob/1") is None
    assert set(site.tokens.values()) == {"Bearer token-of-the-job"}


def test_of_several_attempts_the_newest_artifact_counts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = ({"report.json": json.dumps({"cases": [case(name)]})} for name in ("old", "new"))
    site.artifacts = {
        1: ("sgdiff-report", zipped(old)),
        3: ("sgdiff-report", zipped(new)),
        4: ("another", b""),
    }
    assert of_fork(site, monkeypatch, {}) == 0
    assert "`new`" in site.written[0][2]


def test_a_run_without_figures_gets_no_comment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.artifacts = {4: ("another", b"")}
    assert of_fork(site, monkeypatch, {}) == 0
    assert site.written == []


def theirs(number: int, body: str | None, *, kind: str = "User") -> Mapping[str, Any]:
    return {"id": number, "body": body, "user": {"type": kind}}


def test_our_comment_is_renewed_and_nobody_elses(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = comment.MARK
    site.comments = [
        {"id": 1, "body": mark, "user": None},
        theirs(2, mark),
        theirs(3, f"> {mark}", kind="Bot"),
        theirs(4, None, kind="Bot"),
        *(theirs(100 + number, "a long talk") for number in range(150)),
        theirs(5, f"{mark}\nof yesterday", kind="Bot"),
    ]
    assert of_fork(site, monkeypatch, {"cases": [case("wan")]}) == 0
    assert [(method, path) for method, path, _ in site.written] == [("PATCH", f"{REPO}/issues/comments/5")]


def test_an_answer_of_github_that_is_an_error_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.failing = 403
    assert of_fork(site, monkeypatch, {}) == 1
    assert capsys.readouterr().err == f"sgdiff: GitHub answered 403 to GET {REPO}/pulls\n"


def own(repository: str = "org/repo") -> Mapping[str, Any]:
    return {"pull_request": {"number": 7, "head": {"repo": {"full_name": repository}}}}


def test_a_run_of_the_repository_itself_shows_its_report_and_the_trend(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = site.folder / "results"
    results.mkdir()
    (results / "report.md").write_text("## sgdiff: no slowdown\n")
    (results / "trend.md").write_text("### Trend\n")
    assert run(site, monkeypatch, own(), "--results", str(results), kind="pull_request") == 0
    assert [text for _, _, text in site.written] == [
        "<!-- pytest-sgdiff -->\n## sgdiff: no slowdown\n\n### Trend\n",
    ]


def test_a_comment_fits_what_github_takes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    results = site.folder / "results"
    results.mkdir()
    (results / "report.md").write_text("a line of the report\n" * 10_000)
    (results / "trend.md").write_text("a line of the trend\n" * 10_000)
    assert run(site, monkeypatch, own(), "--results", str(results), kind="pull_request") == 0
    assert 60_000 < len(site.written[0][2]) < 65_536
    site.written.clear()
    (site.folder / "own.md").write_text("a line of our history\n" * 10_000)
    given = ("--results", str(results), "--trend", str(site.folder / "own.md"))
    assert run(site, monkeypatch, own(), *given, kind="pull_request") == 0
    assert 60_000 < len(site.written[0][2]) < 65_536
    assert "a line of our history" in site.written[0][2]
    assert "a line of the trend" not in site.written[0][2]
    site.written.clear()
    assert of_fork(site, monkeypatch, {"cases": [case("a" * 100)] * 5000}) == 0
    assert len(site.written[0][2]) < 65_536
    assert "4900 more cases" in site.written[0][2]


def test_a_link_in_the_place_of_a_report_leads_nowhere(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    results = site.folder / "results"
    results.mkdir()
    (results / "report.md").symlink_to("/proc/self/environ")
    assert run(site, monkeypatch, own(), "--results", str(results), kind="pull_request") == 1
    (results / "report.md").unlink()
    (results / "report.md").write_text("fine")
    (results / "trend.md").symlink_to("/proc/self/environ")
    assert run(site, monkeypatch, own(), "--results", str(results), kind="pull_request") == 1
    assert site.written == []


def test_the_files_of_a_fork_are_not_taken_for_our_own(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    results = site.folder / "results"
    results.mkdir()
    (results / "report.md").write_text("## anything\n")
    assert run(site, monkeypatch, own("fork/repo"), "--results", str(results), kind="pull_request") == 1
    deleted = {"pull_request": {"number": 7, "head": {"repo": None}}}
    assert run(site, monkeypatch, deleted, "--results", str(results), kind="pull_request") == 1
    assert site.written == []


def test_a_push_has_nothing_to_comment_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(site, monkeypatch, {}, kind="push") == 0
