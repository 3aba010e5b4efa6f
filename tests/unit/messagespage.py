"""docs/messages.md, made from the typed values: `python -m tests.unit.messagespage` writes it.

What a message says comes from the golden files, so it is what the product prints. What it means, and what to do, is
written here. A code without its words here is a KeyError, and a table of the product that no section shows fails a
test.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pytest_sgdiff.baselines.flaws import Code as BaselineFlawCode
from pytest_sgdiff.cases import here
from pytest_sgdiff.compare.sides import NoteCode
from pytest_sgdiff.data import (
    AcceptanceState,
    BesideCode,
    BisectCode,
    Cause,
    ConflictCode,
    Difference,
    DifferenceCode,
    DisturbanceCode,
    Doubt,
    DropCode,
    Failure,
    Finding,
    LossCode,
    NextCode,
    Problem,
    ProblemCode,
    ProfileCode,
    PruneCode,
    QualityCode,
    ReasonCode,
    SkipCode,
    StepFinding,
    TroubleCode,
    TuneCode,
    TuneNoteCode,
    TuneTroubleCode,
    WarningCode,
)
from pytest_sgdiff.data.failures import OutOfMemory
from pytest_sgdiff.data.findings import ComparisonCode, FindingCode, RelationCode
from pytest_sgdiff.data.measurements import WarmupCode
from pytest_sgdiff.data.results import Gap
from pytest_sgdiff.engines.inspection import FlawCode
from pytest_sgdiff.gpus.wait_reasons import Code as WaitCode
from pytest_sgdiff.lint import RULES
from pytest_sgdiff.reports import finding_text, problem_text, refusal_text
from pytest_sgdiff.reports.next_text import FIXES
from pytest_sgdiff.tuning.claims import ClaimCode
from pytest_sgdiff.tuning.report import WrittenCode
from pytest_sgdiff.upstream.refusals import Why
from tests.golden import FOLDER

PAGE = Path(__file__).parents[2] / "docs" / "messages.md"

HEAD = """# Messages

Every message of the plugin has a code. A program reads the code from the JSON report
([reports.md](reports.md#json)): words may change in any release. A person searches this page for the code, or for a
part of the sentence. The figures in the sentences below are examples.

| what you look at | where its codes are |
| --- | --- |
| why a case has its outcome (`reason_code`) | [Reasons](#reasons) |
| what became of its pictures (`quality`) | [Pictures](#pictures) |
| a case that has no result | [Not measured](#not-measured) |
| why a launch does not count (`problem`) | [Problems of a launch](#problems-of-a-launch), [Causes](#causes) |
| what the engine's log shows | [Failures in a log](#failures-in-a-log), [Warmup](#warmup) |
| why a launch was discarded (`disturbances`) | [Disturbances](#disturbances) |
| why a metric has its verdict (`finding`) | [Findings](#findings) |
| why a baseline is not comparable | [Differences](#differences) |
| the line `next` of a message (`next_step_figures`) | [Next steps](#next-steps) |
| a line `warning:` (`warning_codes`) | [Warnings](#warnings), [Doubts](#doubts-about-a-baseline) |
| the line `where` (`attribution`) | [Figures beside a change](#figures-beside-a-change) |
| the line `profile` (`profile`) | [Profiles](#profiles) |
| a message that ends with a slug (`[no-seed]`) | [Advice](#advice-on-a-case), [Flags](#flags-and-versions) |
| a slowdown that is accepted (`acceptances`) | [Acceptances](#acceptances) |
| a case that waits | [Waits](#waits) |
| a launch that was lost on a cluster | [Losses](#losses) |
| a node of a cluster that cannot be used | [Nodes](#nodes) |
| `faster_than` | [Claims](#claims) |
| `sgdiff bisect` | [Bisections](#bisections), [Skipped commits](#skipped-commits) |
| `sgdiff tune` | [Searches](#searches), [what stops them](#searches-that-stop), [claims](#claims-of-the-guide) |
| a variant of `sgdiff tune` | [Variants given up](#variants-given-up), [Variants left out](#variants-left-out) |
| `sgdiff compare` | [Comparisons](#comparisons) |
| `sgdiff inspect` | [Flaws of a launch](#flaws-of-a-launch) |
| `sgdiff baselines check` | [Flaws of a baseline](#flaws-of-a-baseline) |
| `sgdiff merge` | [Conflicts](#conflicts) |
| `sgdiff import`, `sgdiff export` | [Refusals](#refusals) |

[decision.md](decision.md#what-each-outcome-means) explains the six outcomes.
"""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table: its codes, what each says (code -> words), and what each means (None: the message says it all)."""

    title: str
    about: str
    codes: tuple[str, ...]
    says: Mapping[str, str] | None
    means: Mapping[str, str] | None = None

    def lines(self) -> Iterator[str]:
        yield from (f"\n## {self.title}\n", f"{wrapped(self.about)}\n")
        heads = ["code", *(["what it says"] if self.says else []), *(["what it means"] if self.means else [])]
        yield f"| {' | '.join(heads)} |"
        yield f"| {' | '.join('---' for _ in heads)} |"
        for code in self.codes:
            cells = [table[code] for table in (self.says, self.means) if table is not None]
            yield f"| {' | '.join([f'`{code}`', *map(cell, cells)])} |"


def cell(text: str) -> str:
    """Text as it must stand in a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def wrapped(text: str) -> str:
    """A paragraph as the other pages have it."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def golden(kind: str, *, prefix: str = "") -> dict[str, str]:
    """Code -> the first line that the golden file of the kind has of it; a note in parentheses belongs to no code."""
    found: dict[str, str] = {}
    for line in (FOLDER / f"{kind}_text.txt").read_text(encoding="utf-8").splitlines():
        name, _, words = line.partition(": ")
        if name.startswith(prefix):
            found.setdefault(name.removeprefix(prefix).partition(" (")[0], words)
    return found


def codes_of(kind: Any) -> tuple[str, ...]:
    """The codes of a dataclass that has them as its field `code`."""
    return get_args(get_type_hints(kind)["code"])


OF_PROBLEMS: Mapping[str, dict[str, Any]] = {
    "stated": {"message": "the fast path did not run"},
    "timeout": {"seconds": 1800.0, "failure": OutOfMemory()},
    "exit-code": {"number": 1},
    "signal": {"number": 9},
    "failure-in-log": {"number": 0, "failure": OutOfMemory()},
    "bad-dump": {"message": "the perf dump is incomplete: it ends in the middle of a value"},
    "no-dump": {"number": 0},
    "empty-output": {"found": ("video.mp4",)},
    "output-of-warmup": {"found": ("mesh.obj",)},
    "bad-output": {"found": ("video.mp4",)},
    "blank-output": {"found": ("video.mp4",), "blank": "black"},
    "pipeline-unproved": {"wanted": ("WanPipeline",)},
    "other-pipeline": {"wanted": ("LTX2TwoStagePipeline",), "found": ("LTX2Pipeline",)},
    "stages-missing": {"wanted": ("LTX2RefinementStage",)},
    "stages-idle": {"wanted": ("LTX2RefinementStage",)},
    "size-unproved": {"about": "width", "wanted": ("1280",)},
    "size-of-image": {"about": "width", "wanted": ("1280",)},
    "other-size": {"about": "width", "wanted": ("1280",), "found": ("832",)},
    "other-attention": {"wanted": ("fa",), "found": ("torch_sdpa",)},
    "attention-fell-back": {"wanted": ("fa",)},
    "attention-unproved": {"wanted": ("fa",)},
    "component-attention": {"wanted": ("fa",)},
    "component-fell-back": {"found": ("text_encoder",)},
    "other-device-mode": {"wanted": ("original",), "found": ("resident",)},
    "step-count": {"number": 9, "wanted": ("20",)},
    "steps-too-long": {"found": ("DenoisingStage",), "took_ms": 900.5, "steps_ms": 1000.0},
    "warmup": {"warmup": "none"},
    "server-not-ready": {"phase": "readiness", "found": ("/health",), "status": 503, "seconds": 1800.0},
    "server-ended": {"phase": "request", "request": 2, "number": 1, "failure": OutOfMemory()},
    "server-unhealthy": {"phase": "after", "said": "Scheduler worker exited"},
    "other-task": {"said": "T2V"},
    "request-timeout": {"phase": "request", "request": 2, "seconds": 1800.0},
    "request-failed": {"phase": "request", "request": 2, "how": "job", "state": "failed", "status": 200},
    "requests-missing": {"number": 2, "wanted": ("3",)},
    "no-request-dump": {"request": 2},
    "other-request": {"request": 2, "wanted": ("8ad1",), "found": ("9bc2",)},
    "chosen-otherwise": {"found": ("breakable CUDA graphs",), "wanted": ("nothing",)},
    "other-work": {"differences": (Difference(code="field", key="args.width", then=832, now=640),)},
    "two-measurements": {
        "launches": (1, 4),
        "differences": (Difference(code="field", key="args.width", then=832, now=640),),
    },
}
"""Figures for the words of those problems that show any."""

PROBLEMS = {
    "stated": "An engine of your own says so ([own-engine.md](own-engine.md#proof)).",
    "timeout": "The launch ran into the case's `timeout`, and was ended. Cause `time`, unless the log shows another.",
    "interrupted": "Ctrl-C or a signal ended it. Run it again.",
    "exit-code": "The process failed. The cause is that of the failure in its log, if there is one.",
    "signal": "A signal ended the process. SIGKILL is mostly the kernel's answer to full memory: cause `killed`.",
    "cut-off": "pytest itself was killed during this launch, or files of the recording are gone. Cause `cut-off`.",
    "failure-in-log": "The engine reports a failed request, and may exit with 0 all the same. Read the quoted lines.",
    "bad-dump": "The dump cannot be read, or holds what nobody can have measured. Launch it again.",
    "stale-dump": "The file is of an earlier launch. This one measured nothing.",
    "no-dump": "The engine wrote no timings. Read its log.",
    "no-exit-code": "Another plugin took the exit code, or the recording does not hold it. Cause `exit-code`.",
    "no-output": "The request produced no file. With `save-output: false` none is asked for.",
    "empty-output": "The file is there and has no content.",
    "output-of-warmup": "The measured request wrote nothing.",
    "bad-output": "A picture, video or mesh that is incomplete or broken. Cause `damaged`.",
    "blank-output": "The picture, or more than half of the frames, is of one colour ([quality.md]"
    "(quality.md#pictures-that-show-nothing)). Cause `blank`.",
    "diffusers-ran": "The engine fell back to diffusers without a message. Cause `backend`.",
    "native-unproved": "No line says which pipeline ran. The log is incomplete, or its level is above info.",
    "native-ran": "Drop `backend: diffusers`, or find out why the native backend ran.",
    "diffusers-unproved": "No line says which backend ran.",
    "pipeline-unproved": "`expect.pipeline` is not proven. Cause `unproved`.",
    "other-pipeline": "`expect.pipeline` names another class. Cause `contradicted`.",
    "stages-missing": "`expect.stages` names a stage that did not run. Cause `contradicted`.",
    "stages-idle": "The stage is in the dump, without time. Cause `unproved`.",
    "size-unproved": "`expect.output` is not proven. Cause `unproved`.",
    "size-of-image": "Expect the size of the file, or only frames ([engine.md](engine.md#single-families)).",
    "other-size": "`expect.output` names another size. Cause `contradicted`.",
    "other-attention": "`expect.attention`, or the flag, names another backend. Cause `contradicted`.",
    "attention-fell-back": "Some layers ran with another backend. Cause `contradicted`.",
    "attention-unproved": "No line names the attention backend. Cause `unproved`.",
    "component-attention": "The flag does not reach components of diffusers ([engine.md](engine.md#backend)).",
    "component-fell-back": "The engine could not load its own class of this component. Cause `component`.",
    "other-device-mode": "The engine chose another mode than the case asks for. Cause `contradicted`.",
    "cache-hit": "The encoders did no work in the measured request. Cause `conditioning-cache`.",
    "cache-on": "The encoders may have done no work. Cause `conditioning-cache`.",
    "step-count": "The request ran another number of steps than the case asks for.",
    "steps-too-long": "The figures contradict each other. They are of two runs, or of a broken clock.",
    "warmup": "The log does not prove a warmup. Cause `warmup`; the codes are [below](#failures-in-a-log).",
    "compile-failed": "The request ran without compilation. Read the quoted lines, or drop the flag.",
    "server-not-ready": "The server started and never answered. Cause `readiness`.",
    "server-ended": "The server's process ended. The cause is that of the failure in its log.",
    "server-unhealthy": "`/health` does not say 200. Read the log.",
    "foreign-server": "Requests would have gone to somebody else's server. Cause `foreign-server`.",
    "other-task": "The server makes images where the case asks for a video, or the like. Cause `other-task`.",
    "request-timeout": "The case's `timeout` holds for the whole life of a server. Cause `time`.",
    "request-failed": "The answer, its job or its content says so. Cause `request`.",
    "requests-missing": "Fewer requests than `launches.requests` gave numbers.",
    "no-request-dump": "The server wrote no timings of this request.",
    "other-request": "The dump is of somebody else's request.",
    "no-model-info": "The server does not say which pipeline it has.",
    "chosen-otherwise": "Launches with and without it are not one sample. Cause `chosen`.",
    "other-work": "The case was changed after this launch. Cause `other-work`.",
    "two-measurements": "One recording holds launches of two settings. Cause `mixture`.",
}

REASONS = {
    "verdicts": "The metrics named here decide. Their [findings](#findings) say why.",
    "problem": "A launch gave no valid measurement: [problems of a launch](#problems-of-a-launch).",
    "environment": "Other work disturbed the launches, or GPUs were not to be had. Run it again on a quiet machine.",
    "cluster": "The launch, or the place for one, was lost as often as it may be: [losses](#losses). Run it again.",
    "no-machine": "Add `machine` to the `launch.json` of the recording "
    "([recordings.md](recordings.md#launches-made-without-this-tool)).",
    "no-baseline": "Nothing is committed for this kind of machine. Record it, review it, commit it.",
    "not-comparable": "The baseline is of other work: [differences](#differences).",
    "empty-recording": "`--sgdiff-replay` names a folder without this case.",
    "short-recording": "A baseline needs more launches than the recording has. Collect them on the machine.",
    "no-more-launches": "One side of a recorded A/B run is shorter than the other.",
    "shard-unreported": "The recording has no report of this shard. Its host died, or its artifact is missing.",
    "shard-killed": "The shard wrote what it was to measure, and no end. What it launched does not settle the case.",
    "shard-unmeasured": "The shard ended without a result of this case. Its own output says why.",
    "shard-incomplete": "Launches that the shard recorded are not in the recording. Get its whole artifact again.",
    "picture-changed": "The launches drew another picture than the baseline's: [pictures](#pictures). The times do not "
    "matter then.",
    "odd-picture": "A launch with the same seed drew something else than the others of the recording "
    "([quality.md](quality.md#an-odd-launch)). Nothing is recorded.",
    "recorded": "`--sgdiff-update` took these launches as the baseline.",
}

PICTURES = {
    "same": "Nothing differs by more than noise.",
    "allowed": "The case states figures under `quality`, and the pictures keep them.",
    "lossy": "The case says `quality: lossy`: the figures are shown, and decide nothing.",
    "changed": "Regressed, whatever the times are ([quality.md](quality.md#what-is-the-same-picture)).",
    "beyond-allowed": "Regressed: the case states a figure under `quality`, and the pictures do not keep it.",
    "other-size": "Regressed: the width or height differs.",
    "other-frames": "Regressed: the number of frames differs.",
    "other-kind": "Regressed: an image in place of a video, a format that cannot be read in place of one that can, or "
    "the like.",
    "other-count": "Regressed: more or fewer files than before.",
    "blank-frames": "Regressed: more frames show nothing than in the baseline "
    "([quality.md](quality.md#pictures-that-show-nothing)).",
    "odd-launch": "In a recording nothing is recorded then; in an A/B run the pictures are not compared "
    "([quality.md](quality.md#an-odd-launch)).",
    "rounding": "`sgdiff tune` alone says so: a setting changes the order of sums ([tune.md](tune.md)).",
    "other-request": "`sgdiff tune` alone says so: a variant asks for something else than the case "
    "([tune.md](tune.md)).",
    "off": "The case says `quality: off`.",
    "no-output": "The case has no output written.",
    "no-library": "Install the extra `quality`.",
    "no-samples": "The recording was made without the extra `quality`, or by an earlier version.",
    "no-reference": "The baseline was recorded without pictures. Record it again.",
    "flawed": "At least one of the outputs was not compared; the sentence says why. The others were compared.",
}

GAPS = {
    "recorded": "`--sgdiff-update=missing` found a baseline. Nothing is to be done.",
    "engine-version": "`requires.engine` does not allow this version. Fails a run with `--sgdiff-strict` only.",
    "gpus": "The machine, or `--sgdiff-gpus`, has too few GPUs of the kind that the case needs. "
    "Fails a run with `--sgdiff-strict` only.",
    "token": "The model is gated, and `HF_TOKEN` is not set.",
    "assets": "An input file is missing. Name its folder with `--sgdiff-assets`.",
    "skipped": "A mark, a fixture or another plugin skipped the test.",
    "dropped": "A conftest.py or a plugin removed the test from the run, and reported nothing.",
    "passed": "The test passed without `sgdiff.check()` or `sgdiff.measure()`.",
    "failed": "The test failed before it measured. Read its message.",
    "worker-died": "A worker of pytest-xdist crashed while it ran the case.",
    "interrupted": "The run was interrupted before or during the case.",
    "not-run": "The run ended before the case, as with `-x`.",
}

STOPS = {
    "disk": "The folder of the search has no room, or pytest or the engine says so of another disk.",
    "model": "The engine cannot read or fetch the model of the case: a wrong name, no access, no network, or files "
    "of another user.",
    "gpus": "The line names who holds the GPUs. Wait, or name others with `--gpus`.",
    "project": "A fixture, a hook or a folder of the project failed. The line is pytest's.",
}

SEARCH_NOTES = {
    "cut": "The command was ended while it wrote, or the file was copied meanwhile. Nothing is to be done.",
    "not-retried": "These variants were not given up because a launch did not count. Leave them out of `--retry`.",
    "not-written": "See what was given up and why. Mend that and use `--retry`, or give more time or memory.",
    "memory": "Give so much, if the GPUs have it. What was measured is not measured again.",
}

FAILURES = {
    "port-taken": "Cause `port`.",
    "out-of-memory": "Cause `memory` on the GPU, `host-memory` on the host.",
    "no-room": "Cause `disk`.",
    "collective-timeout": "Ranks waited for one that stopped. Cause `collective`.",
    "exception": "The last exception of the last traceback. Read the log around it.",
    "unknown-model": "Check the name, set `HF_TOKEN`, or allow the download.",
    "command-refused": "This version does not have the flag. See [engine.md](engine.md#flags-by-version).",
    "request-failed": "The engine's own words.",
    "crashed": "A crash outside of Python. Cause `killed` after SIGKILL.",
    "worker-died": "The log does not say why. Cause `killed` after SIGKILL.",
}

WARMUPS = {
    "proven": "A warmup request ended. This alone is no problem, and is named beside another.",
    "none": "Nothing warmed up.",
    "failed": "The measured request ran cold.",
    "synthetic": "Requests of other sizes warmed up. Drop `warmup-resolutions`.",
    "server": "The mode is one of servers. `sglang generate` never runs it.",
    "claimed": "The line is printed whenever a warmup mode is set. It proves nothing.",
    "asked": "The flag was given, and no line shows that it worked.",
}

DISTURBANCES = {
    "foreign-process": "Somebody else used the GPU. Find the process, or choose another machine.",
    "hardware-slowdown": "The GPU slowed itself down. Look at its cooling and power.",
    "thermal-slowdown-driver": "The GPU was too hot. Look at its cooling.",
    "thermal-slowdown-hardware": "The GPU was much too hot. Look at its cooling.",
    "power-brake": "The machine's power supply asked for less. Tell who runs the machine.",
    "slow-clock": "The GPU ran slower than in the baseline, as beside other work or under another limit.",
    "xid": "The GPU or its driver reported an error. `dmesg` has more.",
    "heat": "The driver's counter of thermal throttling grew.",
    "other-event": "An event in the words of an older recording.",
    "not-alone": "Two launches that must run alone overlapped. Share one lock folder on the host.",
    "hidden-memory": "A process that the driver does not list, as in another container, used the GPU.",
}

DIFFERENCES = {
    "machine": "Numbers of one machine are never compared with those of another.",
    "field": "The case, or a variable of the shell, was changed. Undo it, or record a baseline.",
    "digest": "One side is too old to say what it measured. Record a baseline.",
    "timers": "Stage timers wait for the GPU on one side only. Pin `SGLANG_DIFFUSION_SYNC_STAGE_PROFILING`.",
    "conditioning-cache": "On one side the encoders could reuse the warmup's work "
    "([engine.md](engine.md#conditioning-cache)).",
    "engine": "Two versions never share a baseline (`--sgdiff-update=extend`). A gate does compare them.",
}

WARNINGS = {
    "auto-tuned": "The engine chose these settings by itself. Pin them, or another GPU measures something else.",
    "behind-rate": "The server cannot keep up with this rate ([servers.md](servers.md#load)).",
    "could-stay": "The case may be slower than it needs to be ([tuning.md](tuning.md#what-to-try-first)).",
    "inherited-otherwise": "This shell differs from that of the baseline ([baselines.md]"
    "(baselines.md#what-the-shell-exports)).",
    "inherited-unrecorded": "The baseline is too old to say whether it had them.",
    "inherited-work": "The new baseline depends on this shell.",
    "pauses": "A metric passed although launches pause often or for long.",
    "long-pause": "The launches differ in this pause, not in their steps ([noise.md]"
    "(noise.md#what-pauses-for-half-a-second-before-the-first-step)).",
    "not-judged": "The metric is gated, and too small or too short to be judged.",
    "new-stages": "Record a baseline if they are meant to stay.",
    "steps": "The sum of the steps hides it. A warning about steps never fails a case.",
    "baseline-doubt": "The committed launches have a flaw: [doubts](#doubts-about-a-baseline).",
    "recording-doubt": "The new launches have a flaw: [doubts](#doubts-about-a-baseline).",
    "more-launches": "Five launches left doubts, so the run added five.",
    "unknown-machine": "Only recordings without a machine are compared with it.",
    "unknown-stage": "Correct the name.",
    "lost-launches": "The figures are those of the launch that was made again: [losses](#losses).",
    "not-compared": "Pictures of the case were not compared: [pictures](#pictures). `pytest -q` shows it, too.",
    "noisy-pictures": "Four times the dissimilarity between the launches, which is what is accepted, is everything: "
    "their SSIM is at most 0.75 ([quality.md](quality.md#what-is-the-same-picture)). Or the engine draws one of "
    "several pictures ([quality.md](quality.md#an-odd-launch)). `pytest -q` shows it, too.",
    "blank-frames": "Frames of a recorded video are of one colour. From then on they belong to what the case draws: "
    "look at the video, and record it again if they are wrong.",
    "advice": "[Advice](#advice-on-a-case) on the case, of level warning.",
}

PROFILES = {
    "compared": "The table lists what changed most. It is no verdict.",
    "alone": "`--sgdiff-update --sgdiff-profile=all` recorded it.",
    "unsupported-server": "The profiler belongs to `sglang generate`.",
    "unsupported-cluster": "The trace would lie on the node.",
    "unsupported-engine": "The plugin knows no flags of its profiler.",
    "interrupted": "Ctrl-C, or a signal, ended the run during the profiled launch. The case keeps its verdict.",
    "launch-failed": "The verdict stands: it rests on other launches. The log is in the folder `profile`.",
    "no-trace": "The log of the profiled launch in the folder `profile` says why.",
    "torn": "The engine was stopped while it wrote, or the disk is full.",
    "too-large": "Fewer denoising steps, or fewer layers, make a smaller trace.",
    "empty": "The profiler saw no operator of torch.",
    "no-baseline-profile": "There is nothing to compare with.",
    "bad-baseline-profile": "It was edited, cut, or written by a newer version.",
    "other-work": "Record the baseline and its profile again.",
    "other-reach": "Record the profile again.",
    "base-failed": "The base engine failed with the profiler on; its log is in the folder `profile/against`.",
}

BESIDES = {
    "sm-clock": "The median SM clock under load.",
    "memory": "The peak memory.",
    "power-limit": "The power limit of the GPUs.",
}

LOSSES = {
    "node-died": "Ray lost the node. The launch is made again on another one, at most twice.",
    "preempted": "Whoever lends the node took it back. The launch is made again on another one, at most twice.",
    "launcher-died": "The node lives. Its launcher was killed, as by a kernel that is out of memory.",
    "unusable": "The node answered when the run began, and cannot launch now: its plugin was removed or replaced.",
    "connection": "The node that pytest runs on died, or the network between them.",
    "cluster-lost": "The head of the cluster is gone. What is not measured yet stays so.",
    "no-node": "Too few GPUs of the right kind are left. Bring the nodes back, and run it again.",
}

TROUBLES = {
    "no-plugin": "Install the plugin in the Python that runs Ray there.",
    "other-plugin": "A launch must be recorded and judged by one version.",
    "no-engine": "Install the engine, or name it with `--sgdiff-engine-cmd`.",
    "no-base-engine": "Install the base engine, or name it with `--sgdiff-against`.",
    "other-engine": "Install one version on all nodes, or take a node out of the cluster.",
    "no-answer": "The node did not start a task of Ray in two minutes, or what ran there failed.",
}

DOUBTS = {
    "two-modes": "Launches fall into two groups. Find what differs between them.",
    "outlier": "Ten launches tolerate one outlier, five do not.",
    "varies": "Five launches of this spread find large slowdowns only.",
    "outliers": "More launches do not help. Look at the host ([noise.md](noise.md)).",
    "pauses": "Ten launches show how often a rare pause comes.",
}

STEPS = {
    "first-steps": "Often a compilation or an allocation that moved into the measured request.",
    "tail-drift": "Often heat.",
    "spike": "The same step is slow in every launch: look for work that was added at that step.",
}

FINDINGS = {
    "no-baseline": "No verdict: nothing is committed for this metric.",
    "no-values": "Inconclusive: read why no launch counts.",
    "bad-values": "Inconclusive: a value is absent, or is no number. It is never taken for zero.",
    "stage-gone": "Inconclusive: the stage was removed, or got another name. Record a baseline if it is meant.",
    "stage-unknown": "Inconclusive: `metrics.gate` has a wrong name.",
    "other-checkpoint": "Inconclusive: two versions of the engine measure another memory. Record a baseline.",
    "first-recording": "Recorded. There was nothing to compare with.",
    "not-comparable": "Recorded. The old baseline is of other work.",
    "below-floor": "Pass: both sides are too short to matter.",
    "below-floor-unconfirmed": "Inconclusive: more launches settle it.",
    "zero-values": "Inconclusive: a ratio with zero means nothing.",
    "ruled-out": "Pass: a slowdown of `detect` is ruled out. The figure is the smallest one that is.",
    "faster": "Improved. Consider a new baseline.",
    "undecided": "Inconclusive so far: the next checkpoint has more launches.",
    "interval-undecided": "Inconclusive at the last checkpoint: the launches vary too much for these limits.",
    "unconfirmed": "Inconclusive so far: it seems slower, and more launches must confirm it.",
    "gross": "Regressed after three launches: each of them is far beyond the baseline.",
    "beyond-allow": "Regressed: more than the case allows is proven.",
    "out-of-order": "Inconclusive: the mean is slower, but not most launches. Record more launches.",
    "small-baseline": "Inconclusive: a baseline of so few launches passes nothing. Record more.",
    "small-baseline-gross": "Regressed: so large that even such a baseline shows it.",
    "few-pairs": "Inconclusive so far: an A/B run needs more pairs.",
    "no-pause": "Pass.",
    "rare-pauses": "Pass: pauses that come and go are noise.",
    "pauses": "Regressed: every launch pauses, and the baseline's did not.",
    "pauses-unconfirmed": "Inconclusive: it may be chance. More launches settle it.",
    "pauses-small-baseline": "Inconclusive: so few baseline launches cannot show how often a pause comes.",
    "extreme-pauses": "Inconclusive: look at the host, and at the log of these launches.",
    "no-hold-up": "Pass.",
    "held-up": "Pass: hold-ups of single launches are the host's.",
    "held-up-always": "Regressed: every launch takes longer in some steps. Look for work that was added there.",
    "held-up-unconfirmed": "Inconclusive: it may be chance. More launches settle it.",
    "host-decides": "Inconclusive, and no improvement either: the GPU waits for the CPU ([noise.md]"
    "(noise.md#the-host-decides-not-the-gpu-what-does-it-mean)).",
    "reference-zero": "Inconclusive: the published number is of no use.",
    "reference-shows": "Inconclusive: state `metrics.allow`, or record a baseline of your own.",
    "reference-within": "Inconclusive: a published number passes nothing.",
    "reference-overlaps": "Inconclusive: some launches are beyond the tolerance, and some are not.",
    "reference-beyond": "Regressed: beyond what the case allows.",
}

RELATIONS = {
    "holds": "The claim is proven.",
    "fails": "The claim is disproven, and the run fails.",
    "undecided": "Neither is proven.",
    "not-in-run": "Select both cases.",
    "not-measured": "See why that case has no numbers.",
    "other-machine": "Run both on one machine.",
    "no-common-metric": "Gate the same metric in both.",
}

ACCEPTANCES = {
    "used": "The case would fail, and this line covers its slowdown. The run does not fail by it.",
    "exceeded": "More than the accepted slowdown is proven. Find the cause, or accept more.",
    "undecided": "Not even the accepted slowdown is told from a larger one. Rerun, or record more launches.",
    "not-needed": "The case does as well without the line, or its metric is not slower.",
    "expired": "The last day is over. The case is judged as if the line were not there.",
    "not-gated": "`metrics.gate` of the case lacks the metric, or no launch has such a stage.",
    "unknown-case": "No case file below the root has a case of this name. A variant is named with it: `case[variant]`.",
    "not-judged": "The case was invalid, had no baseline, or was not measured.",
}

BISECTIONS = {
    "found": "Exit code 0. It is also slower than its parent.",
    "among": "Commits that do not run lie before the first slower one that does. Mend their setup, or read them.",
    "unconfirmed": "Exit code 1. Its parent is as slow, or could not be judged. Look at the commits before it.",
    "not-slower": "The case passes. Was the slowdown another machine's, or another case's?",
    "undecided": "Neither is proven after twice eight pairs.",
    "good-unusable": "The lines below say why. The next such command tries it again.",
    "bad-unusable": "The lines below say why. The next such command tries it again.",
}

OF_WRITTEN = {
    "beaten": "A variant is proven faster. `proven_faster` names all that are.",
    "unproven": "Keep its flags, or look at memory and whole requests: what is faster may be so by chance.",
    "given-up": "It does not run, not within `--memory`, or other work disturbed it. `given up` says which.",
    "unmeasured": "It was left out, or the time was used up before. Nothing is said of it.",
}

SEARCHES = {
    "decided": "Exit code 0. The first is the fastest, or within `--within` of it. No other one looks as fast.",
    "equal": "Exit code 0. None of group 1 is faster than the first by more than `--within`.",
    "budget": "Exit code 1. The same command with a larger `--budget` goes on.",
    "launches": "Exit code 1. Allow more with `--launches`, tolerate more with `--within`, or use a quieter machine.",
    "nothing": "Exit code 4. The lines below say why of each.",
}

GIVEN_UP = {
    "slower": "It is surely not the fastest. It stays in the ranking.",
    "memory": "`--memory` states the limit. The peak is what the engine reports, and the GPU needs some more.",
    "failed": "[Problems of a launch](#problems-of-a-launch), such as a fallback to diffusers, or too little memory.",
    "disturbed": "Twice more launches were disturbed than are replaced. Use a quieter machine.",
    "picture": "It is another one than the launches of the case itself draw, by the rule of [pictures](quality.md).",
}

LEFT_OUT = {
    "advice": "[Advice](#advice-on-a-case) on a case with these settings, for this model, engine and GPU.",
    "flag": "The installed engine has no such flag, or does not take this value.",
    "lossy": "`--allow-lossy` tries it, beside what it does to the picture.",
    "gpus": "`--gpus` gives others.",
    "same": "The engine does the same work. The other one is launched.",
}

GUIDE = {
    "held": "The whole interval lies where the claim says.",
    "less": "The whole interval lies beyond the claim, on the side of a smaller advantage.",
    "more": "The whole interval lies beyond the claim, on the side of a larger advantage.",
    "open": "The interval reaches into both. More launches, or a smaller `--within`, may tell.",
    "mixed": "Two pairs of variants say the opposite.",
    "untried": "No two measured variants differ in these settings alone.",
}

SKIPS = {
    "checkout-failed": "git says why.",
    "setup-failed": "The log is named. `--setup-timeout` bounds it.",
    "no-engine": "The setup made no command that says its version.",
    "invalid": "[Problems of a launch](#problems-of-a-launch), such as a fallback to diffusers.",
    "not-comparable": "The engine does other work there: other stage timers, or no such metric.",
    "not-measured": "`requires` of the case does not allow this version, or its test was skipped.",
    "disturbed": "Use a quieter machine. The next such command tries it again.",
    "undecided": "Neither is proven after twice eight pairs.",
}

WAITS = {
    "held": "Another case, run or user leased them. `sgdiff gpus` shows all leases.",
    "outlived": "An engine of a run that died. The next run of the same user ends it.",
    "busy": "Somebody uses them without a lease.",
    "in-use": "The process has not ended yet.",
    "locked": "The lock's holder wrote no record. `lslocks` shows it.",
    "queue": "Cases are served in order.",
    "promised": "A case that is ahead needs several GPUs, and gets them first.",
    "launches": "A launch that must run alone waits for these, or they for it.",
}

COMPLAINTS = {
    "flag-missing": "error",
    "flag-unknown": "error",
    "flag-ambiguous": "error",
    "flag-abbreviated": "error",
    "flag-underscore": "error",
    "flag-swallowed": "error",
    "flag-ignored": "error",
    "flag-value": "error",
    "pipeline-missing": "error",
    "model-unsupported": "error",
    "model-unknown": "warning",
    "component-path": "warning",
    "engine-unknown": "warning",
    "engine-help": "warning",
    "serve-version": "error",
    "serve-field": "error",
    "serve-frames": "error",
    "serve-input": "error",
    "serve-load": "error",
}
"""What a version of the engine would not do, and the level."""


def said_by_problems() -> dict[str, str]:
    make: Callable[..., Problem] = Problem
    return {
        code: problem_text.message(make(kind="invalid", code=code, **OF_PROBLEMS.get(code, {})))
        for code in get_args(ProblemCode)
    }


FIGURES = Finding(
    code="no-pause",
    allow=0.012,
    detect=0.042,
    size=0.053,
    low=-0.004,
    high=0.072,
    floor=5,
    shortest=442.0,
    longest=553.0,
    count=5,
    of=5,
    paused=0,
    needed=5,
    usual=50.4,
    first=13,
    last=19,
    busy=0.62,
    clock=0.99,
    then=("after_forward.peak_allocated_mb",),
    now=("runtime_peak.peak_allocated_mb",),
)
"""Of a launch set as it usually is."""
OF_FINDINGS: Mapping[str, dict[str, Any]] = {
    "bad-values": {"count": 2},
    "ruled-out": {"size": 0.019},
    "faster": {"size": -0.053},
    "unconfirmed": {"count": 1},
    "gross": {"size": 0.24},
    "out-of-order": {"needed": 10},
    "small-baseline": {"of": 2, "needed": 3},
    "small-baseline-gross": {"size": 0.3, "of": 2},
    "few-pairs": {"count": 2, "needed": 3},
    "rare-pauses": {"count": 2},
    "pauses-unconfirmed": {"count": 3},
    "pauses-small-baseline": {"of": 3},
    "extreme-pauses": {"count": 3},
    "held-up": {"count": 2},
    "held-up-unconfirmed": {"of": 3},
    "reference-beyond": {"count": 3},
}


def said_by_findings() -> dict[str, str]:
    return {
        code: finding_text.words(replace(FIGURES, code=code, **OF_FINDINGS.get(code, {})), "primary")
        for code in get_args(FindingCode)
    }


def said_by_warnings() -> dict[str, str]:
    found = said_by_findings()
    return {
        **golden("warning"),
        "pauses": f"pause: {found['rare-pauses']}",
        "not-judged": f"DecodingStage was not judged: {found['zero-values']}",
        "advice": "no seed: outputs, and times that depend on them, differ from launch to launch; pin seed [no-seed]",
    }


def said_by_refusals() -> dict[str, str]:
    lines = (FOLDER / "refusal_text.txt").read_text(encoding="utf-8").splitlines()
    place = refusal_text.key(("results", 3, "latency_s"))
    return {why.value: line.removeprefix(f"{place}: ") for why, line in zip(Why, lines, strict=False)}


def sections() -> Iterable[Section]:
    """All tables of the page, in its order."""
    failures: tuple[str, ...] = tuple(code for kind in get_args(Failure) for code in codes_of(kind))
    yield Section(
        title="Reasons",
        about="Why a case has its outcome: `reason_code` in JSON.",
        codes=get_args(ReasonCode),
        says={**golden("reason"), "problem": said_by_problems()["diffusers-ran"]},
        means=REASONS,
    )
    yield Section(
        title="Pictures",
        about="What became of the pictures of a case: `quality.code` in JSON. [quality.md](quality.md) explains it.",
        codes=get_args(QualityCode),
        says={**golden("quality"), "off": "(nothing)", "no-output": "(nothing)"},
        means=PICTURES,
    )
    yield Section(
        title="Not measured",
        about="Why a selected case has no result. The run then fails, unless the table says otherwise "
        "([options.md](options.md#when-a-run-fails)).",
        codes=get_args(Gap),
        says=None,
        means=GAPS,
    )
    yield Section(
        title="Problems of a launch",
        about="Why a launch does not count: `code` of a problem. The message quotes the lines of the log that show "
        "it. [engine.md](engine.md#when-a-launch-counts) has the rules.",
        codes=get_args(ProblemCode),
        says=said_by_problems(),
        means=PROBLEMS,
    )
    yield Section(
        title="Causes",
        about="What a problem comes from, where a fix is known. The message prints the fix.",
        codes=get_args(Cause),
        says=None,
        means=FIXES,
    )
    yield Section(
        title="Failures in a log",
        about="What the engine's log shows of a launch that failed ([engine.md](engine.md#a-launch-that-fails)).",
        codes=failures,
        says=golden("failure"),
        means=FAILURES,
    )
    yield Section(
        title="Warmup",
        about="What the log shows of the warmup ([engine.md](engine.md#warmup)).",
        codes=get_args(WarmupCode),
        says=golden("failure", prefix="warmup "),
        means=WARMUPS,
    )
    yield Section(
        title="Disturbances",
        about="Why a launch was discarded and replaced ([gpus.md](gpus.md#was-the-launch-disturbed)).",
        codes=get_args(DisturbanceCode),
        says=golden("disturbance"),
        means=DISTURBANCES,
    )
    yield Section(
        title="Findings",
        about="Why a metric has its verdict. [decision.md](decision.md#what-counts-as-proof) has the rule, and "
        "[noise.md](noise.md) answers questions about it.",
        codes=get_args(FindingCode),
        says=said_by_findings(),
        means=FINDINGS,
    )
    yield Section(
        title="Claims",
        about="Why a `faster_than` has its outcome ([cases.md](cases.md#defaults-and-variants)).",
        codes=get_args(RelationCode),
        says=golden("finding", prefix="faster_than "),
        means=RELATIONS,
    )
    yield Section(
        title="Differences",
        about="In what a baseline and today's launches differ ([baselines.md](baselines.md)).",
        codes=get_args(DifferenceCode),
        says=golden("difference"),
        means=DIFFERENCES,
    )
    yield Section(
        title="Next steps",
        about="The line `next` of a message. `fix` prints the fix of the [cause](#causes), and `stated` what an error "
        "says. `x` stands for the case.",
        codes=get_args(NextCode),
        says=golden("next"),
    )
    yield Section(
        title="Warnings",
        about="Warnings about a case: `warning_codes` in JSON. None of them fails a case.",
        codes=get_args(WarningCode),
        says=said_by_warnings(),
        means=WARNINGS,
    )
    yield Section(
        title="Acceptances",
        about="What became of a line that accepts a slowdown for a time: `state` of `acceptances` in JSON "
        "([baselines.md](baselines.md#accepting-a-slowdown-for-a-time)).",
        codes=get_args(AcceptanceState),
        says=golden("accept"),
        means=ACCEPTANCES,
    )
    yield Section(
        title="Profiles",
        about="What came of `--sgdiff-profile` ([attribution.md](attribution.md)): `profile.code` in JSON. None of "
        "them changes a verdict.",
        codes=get_args(ProfileCode),
        says=golden("profile"),
        means=PROFILES,
    )
    yield Section(
        title="Figures beside a change",
        about="What the line `where` names beside a change ([attribution.md](attribution.md)): `attribution.beside` in "
        "JSON.",
        codes=get_args(BesideCode),
        says=None,
        means=BESIDES,
    )
    yield Section(
        title="Doubts about a baseline",
        about="Why launches are not good enough for a metric ([decision.md](decision.md#what-to-do)).",
        codes=codes_of(Doubt),
        says=golden("finding", prefix="doubt "),
        means=DOUBTS,
    )
    yield Section(
        title="Steps",
        about="What the profile of the denoising steps shows beside their sum.",
        codes=codes_of(StepFinding),
        says=golden("finding", prefix="steps "),
        means=STEPS,
    )
    yield Section(
        title="Waits",
        about="Why a case waits for GPUs, or for the host ([gpus.md](gpus.md#how-gpus-are-shared-on-a-host)).",
        codes=get_args(WaitCode),
        says=golden("wait"),
        means=WAITS,
    )
    yield Section(
        title="Bisections",
        about="How `sgdiff bisect` ends: `code` of its JSON ([bisect.md](bisect.md)).",
        codes=get_args(BisectCode),
        says=golden("bisect", prefix="end "),
        means=BISECTIONS,
    )
    yield Section(
        title="Skipped commits",
        about="Why a commit can be called neither good nor bad: `skip` of `sgdiff bisect`.",
        codes=get_args(SkipCode),
        says=golden("bisect", prefix="skip "),
        means=SKIPS,
    )
    yield Section(
        title="Losses",
        about="What became of a launch on a cluster ([clusters.md](clusters.md#when-a-node-dies)).",
        codes=get_args(LossCode),
        says=golden("cluster", prefix="loss "),
        means=LOSSES,
    )
    yield Section(
        title="Nodes",
        about="Why a run with `--sgdiff-cluster` does not start ([clusters.md](clusters.md#what-a-node-needs)).",
        codes=get_args(TroubleCode),
        says=golden("cluster", prefix="trouble "),
        means=TROUBLES,
    )
    yield Section(
        title="Searches",
        about="How `sgdiff tune` ends: `code` of its JSON ([tune.md](tune.md)).",
        codes=get_args(TuneCode),
        says=golden("tune_codes", prefix="end "),
        means=SEARCHES,
    )
    yield Section(
        title="The case beside its variants",
        about="What became of the case as it is written in a search: `of_written` in the JSON of `sgdiff tune`.",
        codes=get_args(WrittenCode),
        says=golden("tune_written_case"),
        means=OF_WRITTEN,
    )
    yield Section(
        title="Searches that stop",
        about="What keeps `sgdiff tune` from measuring and is no fault of a variant. It ends with exit code 2, and the "
        "same command goes on.",
        codes=get_args(TuneTroubleCode),
        says=golden("tune_codes", prefix="trouble "),
        means=STOPS,
    )
    yield Section(
        title="Notes on a search",
        about="What `sgdiff tune` prints to standard error beside its result.",
        codes=get_args(TuneNoteCode),
        says=golden("tune_said"),
        means=SEARCH_NOTES,
    )
    yield Section(
        title="Variants given up",
        about="Why `sgdiff tune` launches a variant no more: `dropped.code` of a variant.",
        codes=get_args(DropCode),
        says=golden("tune_codes", prefix="dropped "),
        means=GIVEN_UP,
    )
    yield Section(
        title="Variants left out",
        about="Why `sgdiff tune` does not launch a variant at all: `code` of those in `pruned`.",
        codes=get_args(PruneCode),
        says=golden("tune_codes", prefix="pruned "),
        means=LEFT_OUT,
    )
    yield Section(
        title="Claims of the guide",
        about="What `sgdiff tune` says of a claim of SGLang's performance guide: `code` of those in `claims`.",
        codes=get_args(ClaimCode),
        says=golden("tune_codes", prefix="claim "),
        means=GUIDE,
    )
    yield Section(
        title="Comparisons",
        about="Findings of `sgdiff compare` alone ([recordings.md](recordings.md#to-compare-two-recordings)). It also "
        "has those of a run.",
        codes=get_args(ComparisonCode),
        says=golden("finding"),
    )
    yield Section(
        title="Notes on a side",
        about="What `sgdiff compare` says of one of the two sides.",
        codes=get_args(NoteCode),
        says=golden("inspect", prefix="note, "),
    )
    yield Section(
        title="Flaws of a launch",
        about="What `sgdiff inspect` finds wrong. It knows no case, so it checks what every case needs. A problem of "
        "a server has the words of [problems of a launch](#problems-of-a-launch).",
        codes=get_args(FlawCode),
        says=golden("inspect"),
    )
    yield Section(
        title="Flaws of a baseline",
        about="What `sgdiff baselines check` finds ([baselines.md](baselines.md#when-something-is-wrong-with-a-file)). "
        "`finds` is a note, and no flaw.",
        codes=get_args(BaselineFlawCode),
        says=golden("flaw"),
    )
    yield Section(
        title="Conflicts",
        about="Why `sgdiff merge` joins nothing. The message names both places "
        "([clusters.md](clusters.md#join-and-judge)).",
        codes=get_args(ConflictCode),
        says=golden("merge"),
    )
    yield Section(
        title="Refusals",
        about="What `sgdiff import` and `sgdiff export` leave out, and why ([baselines.md](baselines.md#references)).",
        codes=tuple(why.value for why in Why),
        says=said_by_refusals(),
    )


def advice() -> Iterator[str]:
    """The slugs that are explained on other pages, each with its link or its level."""
    yield "\n## Advice on a case\n"
    yield "Errors keep a case from being launched, warnings do not. The message ends with the slug: `... [no-seed]`.\n"
    yield "| slug | level |\n| --- | --- |"
    for rule in RULES:
        yield f"| [`{rule.slug}`](advice.md#{rule.slug}-{rule.level}) | {rule.level} |"
    yield "\n## Not on this machine\n"
    yield "What a case names and this machine lacks ([advice.md](advice.md)). A dry run warns of it.\n"
    yield "| slug | what it means |\n| --- | --- |"
    yield from (f"| `{slug}` | {cell(meaning)} |" for slug, meaning in NOT_HERE.items())
    yield "\n## Flags and versions\n"
    yield "What a version of the engine would reject or ignore ([engine.md](engine.md#flags-by-version),"
    yield "[servers.md](servers.md#flags-and-fields)). Where the version is unknown, some errors are warnings.\n"
    yield "| slug | level | such as |\n| --- | --- | --- |"
    said = {**golden("complaint"), **OF_COMPLAINTS}
    yield from (f"| `{slug}` | {level} | {cell(said[slug])} |" for slug, level in COMPLAINTS.items())


NOT_HERE = {
    here.MODEL: "A folder of the model is not on this machine. An error where the engine is about to look for it here.",
    here.ASSET: "An input file is not in the folder of `--sgdiff-assets`.",
    here.TOKEN: "The model is gated, and there is no token.",
}
"""What `pytest_sgdiff.cases.here` finds."""

OF_COMPLAINTS = {
    "engine-help": "the engine was asked for its flags and did not answer: the tables are used",
    "serve-version": "this version of the engine cannot be measured as a server",
    "serve-field": "a request to the server has no field for this key",
    "serve-frames": "a request for a video names no frames, and the server would make 96",
    "serve-load": "a load takes longer than the time limit, or is gated and not asked for",
    "serve-input": "a request lacks an input, or has one that cannot be varied",
}
"""Those without a golden file, described."""


def text() -> str:
    """The whole page."""
    tables = (line for section in sections() for line in section.lines())
    return "\n".join([HEAD.rstrip("\n"), *tables, *advice()]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
