"""Writes one comment on the pull request of a run, and renews it at each push. Needs nothing but Python.

In a job of the run (`pull_request`, with --results) the comment is the run's report. Only runs of the same repository
come here: whoever may push to it may write what they like in its name.

In a `workflow_run` the run is one of a fork, and its artifact is hostile: it says whatever the fork wants. So

- the pull request comes from the event and from GitHub's answer about the commit, and never from the artifact;
- the artifact is read in memory up to a limit, from one member of a known name. Nothing is unpacked or executed;
- the comment takes outcomes of a known set, numbers, and names of a few harmless characters from it, and no text;
- the log shows nothing of it.

Variables: SGDIFF_TOKEN, and GitHub's own (GITHUB_API_URL, GITHUB_EVENT_NAME, GITHUB_EVENT_PATH, GITHUB_REPOSITORY,
GITHUB_SERVER_URL). Exit 0 if the comment is written, or if there is nothing to comment on; 1 if it could not be.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import stat
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MARK = "<!-- pytest-sgdiff -->"
MEMBER = "report.json"
REPORT_LIMIT = 60_000
TREND_LIMIT = 4_000
"""Characters; a comment may have 65,536."""
DOWNLOAD_LIMIT = 16 * 2**20
JSON_LIMIT = 64 * 2**20
"""Bytes."""
ROWS = 100
OUTCOMES = {
    "regressed": "🔴 regressed",
    "accepted": "🟣 accepted",
    "invalid": "🟠 invalid",
    "no-baseline": "🟠 no baseline",
    "inconclusive": "🟡 inconclusive",
    "improved": "🟢 improved",
    "pass": "🟢 pass",
}
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-\[\]]{0,99}", re.ASCII)
SHA = re.compile(r"[0-9a-f]{40}", re.ASCII)


class CommentError(Exception):
    """What keeps the comment from being written, without a word of the artifact."""


class _Strangers(urllib.request.HTTPRedirectHandler):
    """GitHub redirects downloads to another host, which must not get the token."""

    def redirect_request(self, *given: Any) -> urllib.request.Request | None:
        new = super().redirect_request(*given)
        if new is not None:
            new.remove_header("Authorization")
        return new


class GitHub:
    """The few requests that a comment needs."""

    def __init__(self, *, api: str, repository: str, token: str) -> None:
        self._top = f"{api.rstrip('/')}/repos/{repository}"
        self._token = token
        self._opener = urllib.request.build_opener(_Strangers)

    def ask(self, path: str, *, method: str = "GET", body: Mapping[str, object] | None = None) -> Any:
        """The answer of the API to a path below the repository.

        Raises:
            CommentError: there is none.
        """
        data = None if body is None else json.dumps(body).encode()
        return json.loads(self._bytes(f"{self._top}{path}", method=method, data=data, limit=JSON_LIMIT))

    def pages(self, path: str) -> list[Any]:
        """The entries of all pages of a list."""
        found: list[Any] = []
        for page in range(1, 31):
            entries = self.ask(f"{path}{'&' if '?' in path else '?'}per_page=100&page={page}")
            found += entries
            if len(entries) < 100:
                break
        return found

    def artifact(self, run: int, name: str) -> bytes | None:
        """The newest archive that a run uploaded by this name; None if there is none."""
        answer = self.ask(f"/actions/runs/{run}/artifacts?per_page=100&name={urllib.parse.quote(name, safe='')}")
        ids = [int(one["id"]) for one in answer["artifacts"] if one["name"] == name and not one["expired"]]
        if not ids:
            return None
        return self._bytes(f"{self._top}/actions/artifacts/{max(ids)}/zip", limit=DOWNLOAD_LIMIT)

    def _bytes(self, url: str, *, limit: int, method: str = "GET", data: bytes | None = None) -> bytes:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "pytest-sgdiff",
        }
        try:
            with self._opener.open(
                urllib.request.Request(url, data=data, headers=headers, method=method), timeout=60
            ) as answer:
                content: bytes = answer.read(limit + 1)
        except urllib.error.HTTPError as error:
            error.close()
            raise CommentError(f"GitHub answered {error.code} to {method} {urllib.parse.urlsplit(url).path}") from None
        except OSError as error:
            raise CommentError(f"GitHub could not be reached: {type(error).__name__}") from None
        if len(content) > limit:
            raise CommentError(f"an answer is larger than {limit // 2**20} MiB")
        return content


def pull_request_of(event: Mapping[str, Any], github: GitHub) -> int | None:
    """The open pull request whose newest commit the run measured; None if there is no such one.

    GitHub's event names no pull request of a fork. Its branch is one that the fork chose, and so only asked for.
    """
    run = event["workflow_run"]
    if run["event"] != "pull_request" or not SHA.fullmatch(str(run["head_sha"])) or not run["head_repository"]:
        return None
    head = f"{run['head_repository']['owner']['login']}:{run['head_branch']}"
    found = [
        int(one["number"])
        for one in github.pages(f"/pulls?state=open&head={urllib.parse.quote(head, safe='')}")
        if one["head"]["sha"] == run["head_sha"]
        and one["head"]["repo"]
        and one["head"]["repo"]["id"] == run["head_repository"]["id"]
    ]
    # Of two with the same commit, GitHub does not say which one ran.
    return found[0] if len(found) == 1 else None


def figures(archive: bytes) -> Mapping[str, Any]:
    """The report in an artifact of a fork, with nothing known of its fields.

    Raises:
        CommentError: the archive does not hold one.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            if files.namelist().count(MEMBER) != 1:
                raise CommentError(f"the artifact does not hold one {MEMBER}")
            with files.open(MEMBER) as file:
                content = file.read(JSON_LIMIT + 1)
        if len(content) > JSON_LIMIT:
            raise CommentError(f"{MEMBER} is larger than {JSON_LIMIT // 2**20} MiB")
        report = json.loads(content)
    except CommentError:
        raise
    # What zipfile, its decompressors and json raise of a file that somebody made to that end is not all documented.
    except Exception:
        raise CommentError(f"the artifact holds no {MEMBER} that can be read") from None
    if not isinstance(report, dict):
        raise CommentError(f"{MEMBER} is no report")
    return report


def table(report: Mapping[str, Any]) -> str:
    """The cases with their outcomes and changes: known words, numbers and harmless names, whatever the report holds."""
    cases = report.get("cases")
    rows: list[str] = []
    counts = dict.fromkeys(OUTCOMES, 0)
    for case in cases if isinstance(cases, list) else []:
        outcome = case.get("outcome") if isinstance(case, dict) else None
        if not isinstance(outcome, str) or outcome not in OUTCOMES:
            continue
        # Such a case does not fail, and is no pass either.
        outcome = "accepted" if case.get("accepted") is True else outcome
        counts[outcome] += 1
        rows.append(f"| {_name(case.get('case'))} | {OUTCOMES[outcome]} | {_change(case.get('verdicts'))} |")
    told = " · ".join(f"{count} {OUTCOMES[name].partition(' ')[2]}" for name, count in counts.items() if count)
    lines = [f"## sgdiff: {told or 'no case has an outcome'}", ""]
    if rows:
        lines += ["| case | outcome | change |", "| :--- | :--- | ---: |", *rows[:ROWS], ""]
    if len(rows) > ROWS:
        lines += [f"{len(rows) - ROWS} more cases are in the summary of the run.", ""]
    return "\n".join(lines)


def _name(value: object) -> str:
    return f"`{value}`" if isinstance(value, str) and NAME.fullmatch(value) else "(a name with other characters)"


def _change(verdicts: object) -> str:
    """`+7.4 %` of the primary metric, or nothing."""
    for verdict in verdicts if isinstance(verdicts, list) else []:
        if isinstance(verdict, dict) and verdict.get("primary") is True:
            ratio = verdict.get("ratio")
            if isinstance(ratio, float | int) and not isinstance(ratio, bool):
                try:
                    change = (float(ratio) - 1) * 100
                except OverflowError:
                    return ""
                return f"{change:+.1f} %" if math.isfinite(change) and abs(change) < 10_000 else ""
    return ""


def write(github: GitHub, number: int, text: str) -> None:
    """Renew our comment of this pull request, or write the first one. Of a bot: anybody can write the mark."""
    for comment in github.pages(f"/issues/{number}/comments"):
        if comment["user"] and comment["user"]["type"] == "Bot" and str(comment["body"]).startswith(MARK):
            github.ask(f"/issues/comments/{int(comment['id'])}", method="PATCH", body={"body": text})
            return
    github.ask(f"/issues/{number}/comments", method="POST", body={"body": text})


def _text(path: Path, *, limit: int) -> str:
    """A plain file, cut at the end of a line. A link could lead to what only this job may read.

    Raises:
        CommentError: it is none.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CommentError(f"{path.name}: {error.strerror}") from None
    with open(number, encoding="utf-8", errors="replace") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise CommentError(f"{path.name} is no file")
        text = file.read(limit + 1)
    return text if len(text) <= limit else text[:limit].rpartition("\n")[0] + "\n\n(cut here)\n"


def _of_own_run(event: Mapping[str, Any], results: Path, trend: Path | None) -> tuple[int, str]:
    # Null where the fork was deleted.
    if (event["pull_request"]["head"]["repo"] or {}).get("full_name") != os.environ["GITHUB_REPOSITORY"]:
        raise CommentError("a run of a fork comments through workflow_run, where its files are read as hostile")
    parts = [_text(results / "report.md", limit=REPORT_LIMIT)]
    # One trend: the history that this job was given knows more than the run did.
    if trend is None and os.path.lexists(results / "trend.md"):
        parts.append(_text(results / "trend.md", limit=TREND_LIMIT))
    return int(event["pull_request"]["number"]), "\n".join(parts)


def _of_another_run(event: Mapping[str, Any], github: GitHub, *, artifact: str) -> tuple[int, str] | None:
    number = pull_request_of(event, github)
    if number is None:
        print("sgdiff: no open pull request has the commit of this run as its newest one: no comment")
        return None
    run = int(event["workflow_run"]["id"])
    archive = github.artifact(run, artifact)
    if archive is None:
        print("sgdiff: the run measured nothing: no comment")
        return None
    server, repository = os.environ["GITHUB_SERVER_URL"], os.environ["GITHUB_REPOSITORY"]
    told = f"Measured at {event['workflow_run']['head_sha']}. The code of the pull request reported these figures"
    foot = f"<sub>{told}: [run]({server}/{repository}/actions/runs/{run})</sub>"
    return number, f"{table(figures(archive))}\n{foot}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the comment; returns the exit code."""
    parser = argparse.ArgumentParser(description="Comment on the pull request of a run.")
    parser.add_argument("--results", type=Path, help="the folder of the run's own reports")
    parser.add_argument("--artifact", default="sgdiff-report", help="the artifact of a run of a fork")
    parser.add_argument("--trend", type=Path, help="Markdown to append, made from our own history")
    chosen = parser.parse_args(argv)
    env = os.environ
    github = GitHub(api=env["GITHUB_API_URL"], repository=env["GITHUB_REPOSITORY"], token=env["SGDIFF_TOKEN"])
    event = json.loads(Path(env["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    kind = env["GITHUB_EVENT_NAME"]
    try:
        if kind == "workflow_run":
            told = _of_another_run(event, github, artifact=chosen.artifact)
        elif kind == "pull_request" and chosen.results is not None:
            told = _of_own_run(event, chosen.results, chosen.trend)
        else:
            print("sgdiff: no pull request to comment on")
            return 0
        if told is not None:
            number, text = told
            trend = f"\n{_text(chosen.trend, limit=TREND_LIMIT)}" if chosen.trend else ""
            write(github, number, f"{MARK}\n{text}{trend}")
    except CommentError as error:
        print(f"sgdiff: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
