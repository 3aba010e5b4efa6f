"""Secrets are found in whatever form they leave the process, ordinary text stays as it is, and no text takes long."""

from __future__ import annotations

import base64
import html
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest

from pytest_sgdiff.data import Launch
from pytest_sgdiff.redact import NAMES, REDACTED, Redaction, redact, sensitive

SECRET = "s3cr3t/va+lue'99 é&"
ENV = {"MY_SECRET": SECRET}
AWAY = {
    "plain": SECRET,
    "json": json.dumps(SECRET),
    "json of json": json.dumps(json.dumps(SECRET)),
    "json in utf-8": json.dumps(SECRET, ensure_ascii=False),
    "escaped slash": json.dumps(SECRET).replace("/", "\\/"),
    "percent": quote(SECRET),
    "percent, all": quote(SECRET, safe=""),
    "percent, small": quote(SECRET, safe="").replace("%2B", "%2b").replace("%2F", "%2f").replace("%C3%A9", "%c3%a9"),
    "form": quote_plus(SECRET),
    "shell": shlex.quote(SECRET),
    "repr": repr(SECRET),
    "html": html.escape(SECRET),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "basic auth": base64.b64encode(f"user:{SECRET}".encode()).decode(),
    "basic auth, one more": base64.b64encode(f"users:{SECRET}".encode()).decode(),
    "basic auth, two more": base64.urlsafe_b64encode(f"users1:{SECRET}".encode()).decode(),
    "hex": SECRET.encode().hex(),
}


@pytest.mark.parametrize("form", AWAY.values(), ids=AWAY)
def test_a_secret_of_the_environment_is_found_in_every_form(form: str) -> None:
    told = redact(f"before {form} after", ENV)
    assert REDACTED in told
    assert told.startswith("before ")
    assert told.endswith(" after")
    assert "s3cr3t" not in told
    # Of `user:` in front and of padding something may be left, of the secret no more than its first and last letter.
    assert len(told) <= len(f"before {REDACTED} after") + 12


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("--hf-token abc --port 3", f"--hf-token {REDACTED} --port 3"),
        ("HF_TOKEN=abc sglang", f"HF_TOKEN={REDACTED} sglang"),
        ("KEY=abc", f"KEY={REDACTED}"),
        ('{"api_key": "abc", "port": 3}', f'{{"api_key": "{REDACTED}", "port": 3}}'),
        ('{"password": "a\\"b"}', f'{{"password": "{REDACTED}"}}'),
        ("{'HF_TOKEN': 'abc'}", f"{{'HF_TOKEN': '{REDACTED}'}}"),
        ('\\"hf_token\\": \\"abc\\", x', f'\\"hf_token\\": \\"{REDACTED}\\", x'),
        ("ServerArgs(api_key='abc', port=1)", f"ServerArgs(api_key='{REDACTED}', port=1)"),
        ("Authorization: Bearer abc", f"Authorization: {REDACTED}"),
        ("{'Authorization': 'Basic YTpi'}", f"{{'Authorization': '{REDACTED}'}}"),
        ("x-api-key: abc", f"x-api-key: {REDACTED}"),
        ("password: 1234", f"password: {REDACTED}"),
        ("https://user:p@ss@host/x", f"https://{REDACTED}@host/x"),
        ("https:\\/\\/user:pass@host", f"https:\\/\\/{REDACTED}@host"),
        ("https%3A%2F%2Fuser%3Apass%40host", f"https%3A%2F%2F{REDACTED}%40host"),
        ("https://h/x?token=abc&y=1&sig=d%2Fe#f", f"https://h/x?token={REDACTED}&y=1&sig={REDACTED}#f"),
        ("https://h?X-Amz-Signature=ab12&a=1", f"https://h?X-Amz-Signature={REDACTED}&a=1"),
        ("https://h/?a=1&amp;key=abc", f"https://h/?a=1&amp;key={REDACTED}"),
        ("a\\u0026token=abc\\u0026b=1", f"a\\u0026token={REDACTED}\\u0026b=1"),
        ("%3Ftoken%3Dabc%26b%3D1", f"%3Ftoken%3D{REDACTED}%26b%3D1"),
        ("hf_" + "aB1" * 9, REDACTED),
        ("ghp_" + "aB1" * 12, REDACTED),
        ("github_pat_" + "a_1" * 12, REDACTED),
        ("api_org_" + "aB1" * 9, REDACTED),
        ("gho_" + "aB1" * 12, REDACTED),
        ("ghs_" + "aB1" * 12, REDACTED),
        ("ghu_" + "aB1" * 12, REDACTED),
        ("ghr_" + "aB1" * 12, REDACTED),
        ("gldt-" + "a-1" * 7, REDACTED),
        ("xapp-1-A012-345-abc", REDACTED),
        ("https://hooks.slack.com/services/T0/B0/abc", f"https://hooks.slack.com/services/{REDACTED}"),
        ("AIza" + "aB-" * 11, REDACTED),
        ("ya29." + "aB-" * 8, REDACTED),
        ("sk_live_" + "aB1" * 5, REDACTED),
        ("npm_" + "aB1" * 12, REDACTED),
        ("pypi-" + "aB_" * 11, REDACTED),
        ("dckr_pat_" + "aB-" * 7, REDACTED),
        ("SG." + "aB-" * 7 + "." + "aB_" * 7, REDACTED),
        ("glpat-" + "a-1" * 7, REDACTED),
        ("id AKIAIOSFODNN7EXAMPLE", f"id {REDACTED}"),
        ("xoxb-123456789012-abcdef", REDACTED),
        ("sk-proj-abcDEF123abcDEF123abc", REDACTED),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.s-g_n", REDACTED),
        ("Bearer abcdefghijkl", f"Bearer {REDACTED}"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE+/a=\nb\n-----END RSA PRIVATE KEY-----\nend",
            f"{REDACTED}\nend",
        ),
        ('"-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n"', f'"{REDACTED}\\n"'),
    ],
)
def test_what_looks_like_a_secret_is_one_wherever_it_comes_from(text: str, told: str) -> None:
    assert redact(text, {}) == told
    assert redact(told, {}) == told


@pytest.mark.parametrize(
    "text",
    [
        "TOKENIZERS_PARALLELISM=false tokenizer_path: a",
        "max_tokens=512 max_new_tokens: 256",
        "KEY frames 3, keyframes=7",
        "hf_config hf_text_encoder_model_name_or_path",
        "Missing key: blocks.0.weight, unexpected keys: ['a']",
        "key=blocks.0.weight",
        "eos_token='</s>'",
        "num_key_value_heads=8",
        '{"api_key": null, "hf_token": "", "port": 3}',
        "api_key=None, x=1",
        "export HF_TOKEN=$HF_TOKEN ${TOKEN}",
        "key_rot = key[..., : self.rotary_dim]",
        "sink_tokens=sink_tokens",
        "author=me, authors: x",
        "ssh://git@github.com/x",
        "http://localhost:30000/a@b",
        "task-force-mask-strategy-file-path-is-3",
        "bearer of bad news",
        "Using pipeline from model_index.json: WanPipeline",
        "prompt: <redacted, len=5>",
        "if 'PRIVATE KEY' in text",
        "secret santa, password for user",
    ],
)
def test_ordinary_text_of_an_engine_stays_as_it_is(text: str) -> None:
    assert redact(text, {}) == text


@pytest.mark.parametrize(
    "value",
    [
        *(
            "1",
            "0",
            "true",
            "test",
            "sglang",
            "pipeline",
            "request",
            "1016",
            "1016.123",
            "2026-11-29",
            "DenoisingStage",
        ),
        *("WanPipeline", "None", "<redacted>", "redacted", "/usr/lib/ssl/key.pem", "12345678"),
    ],
)
def test_a_value_that_may_stand_in_any_log_is_not_looked_for(value: str) -> None:
    text = f'{{"total_duration_ms": 1016.123, "n": 12345678, "x": "{value} of {value}"}} {value}'
    assert redact(text, {"MY_KEY": value}) == text
    assert Redaction({}).env({"MY_SECRET": value}) == {"MY_SECRET": REDACTED}


def test_a_short_word_is_a_secret_as_a_word_and_not_as_a_part_of_one() -> None:
    assert redact("vision television \\nvision", {"DB_PASSWORD": "vision"}) == (f"{REDACTED} television \\n{REDACTED}")


def test_numbers_of_a_dump_are_never_touched() -> None:
    dump = json.dumps(
        {"total_duration_ms": 1016.25, "steps": [{"name": "DenoisingStage", "duration_ms": 987654321012}]}
    )
    assert redact(dump, {"A_KEY": "1016.25", "B_TOKEN": "DenoisingStage", "C_SECRET": "duration_ms"}) != ""
    assert json.loads(redact(dump, {"A_KEY": "1016.25", "B_TOKEN": "DenoisingStage"})) == json.loads(dump)


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID", "DB_PASSWORD", "X_AUTH", "GITHUB_PAT"]
)
def test_a_secrets_name_is_told(name: str) -> None:
    assert sensitive(name)
    assert sensitive(name.lower()) or name == "GITHUB_PAT"


@pytest.mark.parametrize(
    "name", ["TOKENIZERS_PARALLELISM", "KEYBOARD", "MONKEY", "HF_TOKEN_PATH", "SSH_AUTH_SOCK", "PWD", "AUTHOR", "PATH"]
)
def test_other_names_are_none(name: str) -> None:
    assert not sensitive(name)


def test_a_word_behind_a_secrets_flag_is_one_however_it_looks() -> None:
    words = ("sglang", "--hf-token", "abc", "--max-tokens", "512", "--api-key=abc", "--port", "1")
    assert Redaction({}).words(words) == (
        *("sglang", "--hf-token", REDACTED, "--max-tokens", "512", f"--api-key={REDACTED}", "--port", "1"),
    )


def test_a_launch_is_redacted_in_every_field_but_its_names() -> None:
    launch = Launch(
        case="hunter2",
        number=1,
        argv=("--x", "hunter2"),
        env={"A": "hunter2", "B_TOKEN": "b"},
        session="hunter2",
        log="hunter2",
    )
    told = Redaction({"P_PASSWORD": "hunter2"}).record(launch, keep=NAMES)
    assert (told.case, told.session, told.log) == ("hunter2", "hunter2", "hunter2")
    assert (told.argv, told.env) == (("--x", REDACTED), {"A": REDACTED, "B_TOKEN": REDACTED})


HOSTILE = (
    *(
        "KEY",
        "TOKEN_",
        "aKEY",
        "KEY=",
        "KEY:",
        '"KEY":"',
        "://",
        "://a:",
        "://@@",
        "hf_",
        "eyJ",
        "eyJa.",
        "sk-a",
        "--key ",
    ),
    *(
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nA\n",
        "?token=",
        "Bearer ",
        "AKIA",
        '\\"',
        "'",
        "\\",
    ),
    *('key\\\\"', "%3A%2F%2F", "SG.aaaaaaaaaaaaaaaaaaaaa.", "authorization: ", 'auth="', 'auth=\\"', 'auth="\\"', "a@"),
    *("x", "=", ":", "\x00", " ", "\n", "KEY KEY=[", "\\u003d", "token='", "hooks.slack.com/services/", "ghp_", "gl"),
)


@pytest.mark.parametrize("unit", ["KEY", "TOKEN_", "aKEY"])
def test_a_word_of_many_names_is_read_once(unit: str) -> None:
    # Read again from each of them, this would take hours.
    text = unit * (3_000_000 // len(unit))
    assert redact(text, {}) == text


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_text_that_begins_a_secret_at_each_place_is_redacted_once(unit: str) -> None:
    text = (unit * (1 << 16))[: 1 << 16]
    once = redact(text, {"A_SECRET": "s3cr3t-s3cr3t", "B_SECRET": "swordfish"})
    assert len(once) <= len(REDACTED) * len(text)
