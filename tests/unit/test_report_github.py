from __future__ import annotations

from pytest_sgdiff.data import Problem, Reason
from pytest_sgdiff.reports import github
from tests import factories


def test_a_regression_is_an_error_at_the_line_of_its_case() -> None:
    (line,) = github.commands(factories.run(factories.regressed(folder=None)))
    assert line == (
        "::error file=cases/wan22.yaml,line=12,title=REGRESSED wan22_t2v_a14b_720p::"
        "denoising is 5.3 %25 slower than the baseline of 2026-11-02 (10 launches, sglang 0.5.16)%0A"
        "denoise: 81.75 s -> 86.08 s (+5.3 %25, 95 %25 interval +4.6 .. +6.0 %25)%0A"
        "e2e: 83.30 s -> 87.71 s (+5.3 %25, 95 %25 interval +4.5 .. +6.1 %25)%0A"
        "reproduce: CUDA_VISIBLE_DEVICES=0,1,2,3 sglang generate --model-path Wan-AI/Wan2.2-T2V-A14B-Diffusers"
    )


def test_levels_follow_the_outcome_and_the_worst_come_first() -> None:
    run = factories.run(*factories.run().results, factories.result("faster", outcome="improved"))
    assert [line.split(" ", 1)[0] + " " + line.split("title=")[1].split(" ")[0] for line in github.commands(run)] == [
        "::error REGRESSED",
        "::error INVALID",
        "::error NO-BASELINE",
        "::warning INCONCLUSIVE",
        "::notice IMPROVED",
    ]


def test_a_passing_case_is_silent_but_its_warnings_are_not() -> None:
    assert github.commands(factories.run(factories.result())) == []
    assert github.commands(factories.run(factories.result(warnings=(factories.warned("no seed"),)))) == [
        "::warning file=cases/wan22.yaml,line=12,title=wan22_t2v_a14b_720p::no seed [slug]"
    ]


def test_properties_and_messages_are_escaped_as_the_runner_reads_them() -> None:
    place = factories.location("cases/odd,na:me%.yaml", 3)
    (line,) = github.commands(
        factories.run(
            factories.fallback(location=place, problems=(Problem(kind="invalid", message="100 %\n::stop::"),))
        )
    )
    assert line.startswith(
        "::error file=cases/odd%2Cna%3Ame%25.yaml,line=3,title=INVALID firered_1_1[cfg]::100 %25\\n::stop::%0A"
    )
    assert "\n" not in line


def test_the_prefix_leads_from_the_repository_to_the_case_files() -> None:
    (line,) = github.commands(factories.run(factories.fallback()), prefix="bench/")
    assert line.startswith("::error file=bench/cases/firered.yaml,line=31,")


def test_links_lead_to_the_tested_commit_and_nowhere_outside_of_a_job() -> None:
    job = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "org/repo", "GITHUB_SHA": "5c1d2e7"}
    assert github.file_link(job, prefix="bench/") == ("https://github.com/org/repo/blob/5c1d2e7/bench/{path}#L{line}")
    assert github.file_link(job, prefix="my {bench}/") == (
        "https://github.com/org/repo/blob/5c1d2e7/my%20%7Bbench%7D/{path}#L{line}"
    )
    assert github.file_link({**job, "GITHUB_SHA": ""}) is None
    assert github.file_link({}) is None


def test_a_claim_that_does_not_hold_is_an_error_at_its_case() -> None:
    run = factories.run(factories.result(), relations=(factories.relation(), factories.relation(outcome="pass")))
    assert github.commands(run) == [
        (
            "::error file=cases/wan22.yaml,line=12,title=wan22_t2v_a14b_720p::wan22_t2v_a14b_720p takes 2.1 %25 less"
            " time than wan22_i2v_a14b_720p (claimed: 10 %25): does not hold, 5 against 5 launches"
        )
    ]


def test_a_problem_that_the_headline_tells_is_not_told_twice() -> None:
    problem = Problem(kind="launch-failed", message="exited with 1", evidence=("EADDRINUSE",))
    failed = factories.fallback(
        reason=Reason(code="problem"), problems=(problem,), command="", folder=None, next_step=None
    )
    (line,) = github.commands(factories.run(failed))
    assert line.endswith("::exited with 1%0AEADDRINUSE")


def test_a_warning_that_many_cases_share_takes_one_annotation() -> None:
    twice = (factories.warned("auto-tuned"),) * 2
    cases = [factories.result(f"case_{n}", warnings=twice) for n in range(8)]
    (line,) = github.commands(factories.run(*cases))
    assert line == (
        "::warning file=cases/wan22.yaml,line=12,title=case_0::"
        "auto-tuned [slug] (also of case_1, case_2, case_3, case_4, case_5 and 2 more)"
    )


def test_of_more_annotations_than_github_shows_the_last_names_those_that_are_left_out() -> None:
    broken = [factories.fallback(case=f"broken_{n:02d}") for n in range(12)]
    noisy = [factories.undecided(case=f"noisy_{n}", warnings=(factories.warned(f"warning {n}"),)) for n in range(6)]
    lines = github.commands(factories.run(*noisy, *broken, factories.regressed()))
    assert [line.split(" ")[0] for line in lines] == ["::error"] * 10 + ["::warning"] * 10
    assert "title=REGRESSED wan22_t2v_a14b_720p" in lines[0]
    assert lines[9].endswith(
        ",title=4 more errors::GitHub shows 10 of a kind; the job summary has all of them,"
        " also those of broken_08, broken_09, broken_10, broken_11"
    )
    assert lines[19].endswith(
        ",title=3 more warnings::GitHub shows 10 of a kind; the job summary has all of them,"
        " also those of noisy_3, noisy_4, noisy_5"
    )


def test_ten_of_a_kind_are_all_shown() -> None:
    lines = github.commands(factories.run(*(factories.fallback(case=f"broken_{n}") for n in range(10))))
    assert [line.partition("title=")[2].partition("::")[0] for line in lines] == [
        f"INVALID broken_{n}" for n in range(10)
    ]
