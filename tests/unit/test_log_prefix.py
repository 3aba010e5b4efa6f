"""What CI systems, containers, loggers and ranks put before a log's lines changes nothing of what it proves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.data.failures import ExceptionRaised
from pytest_sgdiff.engines.log import clean, examine
from pytest_sgdiff.engines.log_prefix import Line, bare_lines

LOGS = Path(__file__).parents[1] / "data" / "logs"
REAL = ["real-0.5.17-h200-warm", "real-0.5.17-h200-port-lost", "constructed-0.5.23-request-error"]


def fixed(prefix: str) -> Callable[[int, str], str]:
    return lambda _number, line: prefix + line


def timed(before: str, after: str) -> Callable[[int, str], str]:
    """Seconds that go on from line to line."""
    return lambda number, line: f"{before}{number % 60:02}{after}{line}"


PREFIXES: dict[str, Callable[[int, str], str]] = {
    "GitHub": timed("2026-11-23T16:33:", ".1234567Z "),
    "gh run view": timed("tests (3.12)\tRun pytest\t2026-11-23T16:33:", ".1234567Z "),
    "kubectl --timestamps": timed("2026-11-23T16:33:", ".210000000Z "),
    "kubectl --timestamps with offset": timed("2026-11-23T16:33:", ".21+08:00 "),
    "kubectl --prefix": fixed("[pod/bench-7d9f/engine] "),
    "kubectl --prefix --timestamps": timed("[pod/bench-7d9f/engine] 2026-11-23T16:33:", ".21Z "),
    "docker compose": fixed("sglang_service-1  | "),
    "docker compose -t": timed("bench-1  | 2026-11-23T16:33:", ".21Z "),
    "CRI": timed("2025-07-25T07:53:", ".21+08:00 stdout F "),
    "journalctl": timed("Nov 23 16:33:", " host-1 sglang[1234]: "),
    "journalctl -o short-precise": timed("Nov 23 16:33:", ".123456 host-1 sglang[1234]: "),
    "journalctl -o short-iso": timed("2026-11-23T16:33:", "+0100 host-1 sglang[1234]: "),
    "journalctl -o short-full": timed("Mon 2026-11-23 16:33:", " UTC host-1 sglang[1234]: "),
    "Buildkite": timed("\x1b_bk;t=17781777571", "\x07"),
    "Buildkite without its escape character": timed("_bk;t=17781777571", "\x07"),
    "Buildkite without any control character": timed("bk;t=17781777571", ""),
    "GitLab": timed("2026-11-23T16:33:", ".123456Z 01O "),
    "GitLab's durations": timed("00:", " "),
    "Jenkins": timed("[2026-11-23T16:33:", ".123Z] "),
    "Jenkins's Timestamper": timed("16:33:", "  "),
    "TeamCity": timed("[16:33:", "]W:\t "),
    "Heroku": timed("2026-11-23T16:33:", ".123456+00:00 app[bench.1]: "),
    "ts": timed("Nov 23 16:33:", " "),
    "torchrun": fixed("[default0]:"),
    "torch": fixed("[rank0]: "),
    "torch's loggers": fixed("[rank0]:"),
    "srun --label": fixed("0: "),
    "srun --label of many": fixed(" 3: "),
    "mpirun --tag-output": fixed("[1,0]<stdout>:"),
    "MPICH": fixed("[0] "),
    "Ray": fixed("(Worker pid=123, ip=10.0.0.1) "),
    "Ray in colour": fixed("\x1b[36m(pid=123)\x1b[0m "),
    "time, then rank": timed("2026-11-23T16:33:", ".1234567Z [rank0]:"),
    "service, time, rank": timed("bench-1  | 2026-11-23T16:33:", ".12Z [rank0]: "),
    "GitHub, srun, torchrun": timed("2026-11-23T16:33:", ".1234567Z 0: [default0]:"),
    "a logger that nobody knows": timed("bench@node7 #", " >> "),
    "syslog's priority": timed("<14>Nov 23 16:33:", " host-1 sglang[1234]: "),
}


def with_prefix(log: str, prefix: Callable[[int, str], str]) -> str:
    return "\n".join(prefix(number, line) for number, line in enumerate(log.split("\n")))


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("kind", PREFIXES)
def test_a_prefix_changes_nothing_of_what_a_log_proves(name: str, kind: str) -> None:
    log = (LOGS / f"{name}.log").read_text()
    expected = examine(log)
    assert examine(with_prefix(log, PREFIXES[kind])) == expected
    assert examine("\ufeff" + with_prefix(log, PREFIXES[kind]).replace("\n", "\r\n")) == expected


def test_a_prefix_that_a_third_of_the_lines_have_is_one() -> None:
    log = (LOGS / "real-0.5.17-h200-warm.log").read_text()
    lines = [line for line in with_prefix(log, PREFIXES["GitHub"]).split("\n") if line.strip()]
    found = examine("\n".join([*lines, *["plain words"] * (2 * len(lines))]))
    assert (found.pipelines, found.warmup, found.sampling["width"]) == (("WanPipeline",), "proven", ("832",))


@pytest.mark.parametrize(
    "prefix", ["gpu-01: ", "bench-7d9f engine ", "[CI/gate]   | ", "task/main> ", "2026-11-23 16:33:59,123 - INFO - "]
)
def test_a_prefix_is_told_by_the_lines_of_a_traceback_where_the_engine_never_began(prefix: str) -> None:
    log = (
        "Traceback (most recent call last):\n"
        '  File "/venv/bin/sglang", line 5, in <module>\n    from sglang.cli.main import main\n'
        '  File "/venv/lib/sglang/cli/main.py", line 3, in <module>\n    import torch\n'
        '  File "/venv/lib/torch/__init__.py", line 1, in <module>\n    raise Odd()\n'
        "acme.Odd: no such library"
    )
    assert examine(with_prefix(log, fixed(prefix))) == examine(log)
    assert examine(log).failure == ExceptionRaised(type="acme.Odd", message="no such library")


def test_what_belongs_to_a_traceback_is_no_prefix() -> None:
    frames = "".join(f'  |   File "/venv/lib/x{n}.py", line {n}, in f\n  |     g()\n' for n in range(4))
    group = f"  + Exception Group Traceback (most recent call last):\n{frames}  | ExceptionGroup: many\n"
    assert examine(group).failure == ExceptionRaised(type="ExceptionGroup", message="many")
    logged = "W1123 16:33:59.558000 4711 torch/_dynamo/convert_frame.py:906] [0/8] "
    caught = (
        "Traceback (most recent call last):\n"
        + "".join(f'  File "/venv/lib/x{n}.py", line {n}, in f\n    g()\n' for n in range(4))
        + "torch._dynamo.exc.Unsupported: call_method"
    )
    assert examine(with_prefix(caught, fixed(logged))).failure is None


@pytest.mark.parametrize("key", ["log", "message"])
def test_lines_that_a_collector_keeps_as_json_are_read(key: str) -> None:
    log = (LOGS / "real-0.5.17-h200-warm.log").read_text()
    kept = [json.dumps({key: f"{line}\n", "stream": "stdout"}) for line in log.split("\n")]
    assert examine("\n".join(kept)) == examine(log)


def test_ranks_are_told_apart_by_their_names() -> None:
    assert bare_lines("[rank0]: one\n[rank1]:   two\n(Worker pid=7, ip=10.0.0.1) three") == [
        Line("one", "[rank0]"),
        Line("  two", "[rank1]"),
        Line("three", "(Worker pid=7, ip=10.0.0.1)"),
    ]


def test_a_line_that_begins_like_a_prefix_alone_is_content() -> None:
    lines = ["plain words"] * 9 + ["2026-11-23T16:33:59Z [11-23 16:34:30] quoted", "web-1 | [11-23 16:34:30] quoted"]
    assert clean("\n".join(lines)) == tuple(lines)


def test_words_before_some_of_the_records_are_no_prefix() -> None:
    record = "[11-23 16:34:30] Using pipeline from model_index.json: WanPipeline"
    assert examine("\n".join([*[f"see {record}"] * 3, *[f"and {record}"] * 3, "[11-23 16:34:30] x"])).pipelines == ()
    assert examine("\n".join([*[f"see {record}"] * 4, *[f"and {record}"] * 2])).pipelines == ("WanPipeline",)


@pytest.mark.parametrize(
    "bar",
    [
        "Loading required modules:  40%|████      | 2/5 [00:01<00:01,  1.67it/s]",
        "100%|██████████| 20/20 [00:00<00:00, 21.04it/s]",
        "Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00, 36.85it/s]",
    ],
)
def test_a_record_glued_to_a_progress_bar_is_a_line_of_its_own(bar: str) -> None:
    record = "[11-23 16:34:30] Using pipeline from model_index.json: WanPipeline"
    assert clean(bar + record) == (bar, record)
    assert examine(bar + record).pipeline == "WanPipeline"


@pytest.mark.parametrize(
    "line",
    [
        "could not parse '[11-23 16:34:30] Using pipeline from model_index.json: WanPipeline'",
        "[11-23 16:34:30] earlier: [11-23 16:34:30] Using pipeline from model_index.json: WanPipeline",
        "[11-23 16:34:30] the log should say Using pipeline from model_index.json: WanPipeline",
        "Using pipeline from model_index.json: WanPipeline",
        "[11-23 16:34:30] Using pipeline from model_index.json: WanPipeline or another one",
        "[11-23 16:34:30] Using pipeline from model_index.json: None",
        "[11-23 16:34:30] Using pipeline from model_index.json: default",
        "[11-23 16:34:30] Using pipeline from model_index.json: <unset>",
        "[11-23 16:34:30] Using pipeline from model_index.json: N/A",
        "[11-23 16:34:30] ✓ Using explicitly specified pipeline: None (class: NoneType)",
        "    prompt: 50%|█| 1/2 [00:01<00:01][11-23 16:34:30] Using pipeline from model_index.json: WanPipeline",
    ],
)
def test_a_line_that_quotes_a_record_proves_no_pipeline(line: str) -> None:
    assert examine(line).pipelines == ()


@pytest.mark.parametrize(
    "line",
    [
        "[11-23 16:34:30] docs say: Attention backends for transformer: fa",
        "Attention backends for transformer: fa",
        "[11-23 16:34:30] Attention backends for transformer: None",
        "[11-23 16:34:30] Attention backends for transformer: default",
        "[11-23 16:34:30] never Using fa attention backend",
    ],
)
def test_a_line_that_quotes_a_record_proves_no_attention_backend(line: str) -> None:
    assert examine(line).attention == ()


@pytest.mark.parametrize(
    "line",
    [
        "The server is fired up and ready to roll!",
        "[11-23 16:34:30] waiting for: The server is fired up and ready to roll!",
        "[11-23 16:34:30] see Warmup req (1/1) processed in 3 seconds",
        "then Warmup requests: 100%|██| 1/1 [00:48<00:00]",
    ],
)
def test_a_line_that_quotes_a_record_proves_no_warmup(line: str) -> None:
    assert examine(line).warmup != "proven"


RECORDS = (
    "[11-23 16:34:30] Using pipeline from model_index.json: WanPipeline\n"
    "[11-23 16:34:31] Attention backends for transformer: fa\n"
    "[11-23 16:34:32] The server is fired up and ready to roll!\n"
    "[11-23 16:34:33] Sampling params:\n"
    "                       width: 1280\n"
    "                      height: 720\n"
)


@pytest.mark.parametrize(
    "printed",
    [
        "[11-23 16:34:29] Processing prompt 1/1: {prompt}",
        "[11-23 16:34:29] Sampling params:\n                      prompt: {prompt}\n                        seed: 42",
        "[11-23 16:34:29] a robot paints\n{prompt}",
        "Loading:  40%|████| 2/5 [00:01<00:01]{prompt}",
        "{prompt}",
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r", "\r\n"])
def test_a_prompt_that_holds_records_of_the_engine_proves_nothing(printed: str, ends: str) -> None:
    prompt = f"a cat{ends}{RECORDS.replace(chr(10), ends)}and a dog"
    log = examine(printed.format(prompt=prompt), prompts=[prompt])
    assert (log.pipelines, log.attention, log.warmup) == ((), (), "none")
    assert {"width", "height"} & set(log.sampling) == set()


def test_a_prompt_that_holds_a_record_takes_nothing_from_the_engines_own() -> None:
    prompt = f"a cat\n{RECORDS}"
    own = RECORDS.replace("16:34", "17:05").replace("1280", "832")
    log = examine(f"[11-23 17:05:00] Processing prompt 1/1: {prompt}\n{own}", prompts=[prompt])
    assert (log.pipelines, log.warmup, log.sampling["width"]) == (("WanPipeline",), "proven", ("832",))


def test_a_prompt_that_holds_a_traceback_is_no_failure() -> None:
    prompt = 'a screen\nTraceback (most recent call last):\n  File "x.py", line 1, in <module>\nValueError: no cat'
    log = examine(f"[11-23 16:34:29] Processing prompt 1/1: {prompt}", prompts=[prompt])
    assert (log.failures, log.failure) == ((), None)


# ------------------------------------------------------------------------------------------------------ sampling params

BLOCK = "[11-23 16:35:20] Sampling params:\n                       width: 832\n                      height: 480\n"


@pytest.mark.parametrize(
    "between",
    [
        "[11-23 16:35:20] Worker 1: Scheduler loop started.",
        "[rank1]:[W1123 16:35:20.1 socket.cpp:464] a warning of another rank",
        "Loading:  40%|████      | 2/5 [00:01<00:01,  1.67it/s]",
        "/venv/lib/x.py:254: UserWarning: beware",
        "\x1b[93m[11-23 16:35:20] careful\x1b[0;0m",
        "[11-23 16:35:20] one\n[11-23 16:35:20] two\n[11-23 16:35:20] three",
    ],
)
def test_lines_of_others_do_not_end_a_block(between: str) -> None:
    lines = BLOCK.splitlines()
    log = "\n".join([lines[0], between, lines[1], between, lines[2]])
    sampling = examine(log).sampling
    assert (sampling["width"], sampling["height"]) == (("832",), ("480",))


def test_several_blocks_tell_every_value() -> None:
    once = examine(BLOCK + BLOCK).sampling
    assert (once["width"], once["height"]) == (("832",), ("480",))
    assert examine(BLOCK + BLOCK.replace("832", "1280")).sampling["width"] == ("832", "1280")
    head, *rest = BLOCK.splitlines()
    assert examine("\n".join([head, head, *rest, *rest])).sampling["width"] == ("832",)


@pytest.mark.parametrize("value", ["None", "N/A", "?", "<unset>", "default", "", "null", "'none'", "auto", "unknown"])
def test_a_placeholder_is_no_value(value: str) -> None:
    assert "width" not in examine(BLOCK.replace("832", value)).sampling


@pytest.mark.parametrize(
    "head",
    ["Sampling params:", "[11-23 16:35:20] see Sampling params:", "[11-23 16:35:20] Sampling params: none"],
)
def test_only_a_record_of_its_own_begins_a_block(head: str) -> None:
    assert examine("\n".join([head, *BLOCK.splitlines()[1:]])).sampling == {}


def test_the_same_lines_are_quoted_with_and_without_a_prefix() -> None:
    log = (LOGS / "real-0.5.17-h200-warm.log").read_text()
    assert replace(examine(with_prefix(log, PREFIXES["GitHub"])), lines=()) == replace(examine(log), lines=())


@pytest.mark.parametrize(("stamped", "taken_off"), [(2, False), (3, True), (10, True)])
def test_what_more_than_a_quarter_of_the_lines_begin_with_is_a_prefix(stamped: int, taken_off: bool) -> None:
    stamp = "2026-11-23T16:33:59.1234567Z "
    log = "\n".join(f"{stamp if number < stamped else ''}line {number}" for number in range(10))
    assert (bare_lines(log)[0].text == "line 0") is taken_off
