"""Secrets are taken out of everything that leaves the process: logs, dumps, recordings, baselines, reports, terminal.

A secret is known in three ways: it is the value of an environment variable that is named like one, it stands behind
such a name in the text (`HF_TOKEN=...`, `"api_key": "..."`, `--hf-token ...`, `Authorization: ...`), or it has a
well-known shape. Every step reads the text a bounded number of times, whatever the text is: an engine prints what it
wants, and the deadline of its launch is watched by the thread that redacts.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import is_
from typing import Any, TypeVar, cast
from urllib.parse import quote, quote_plus

REDACTED = "<redacted>"

T = TypeVar("T")

SHORTEST = 6
"""Characters of the shortest value that is looked for in text: replacing every `true` or `0` would ruin a log."""

SHORT_NUMBER = 12
"""A number of fewer characters is not looked for: it may be any figure of a dump or a log."""

SHORT_WORD = 12
"""A value of letters alone that is shorter is looked for as a word: as a part of one it may stand in any text."""

LONGEST_NAME = 64

_NUMBERS = frozenset({bool, int, float, type(None)})
_SHORT, _MOST_KNOWN = 200, 10_000
"""Texts of so many characters are remembered with what they are without secrets, and so many of them."""

NAMES = frozenset(
    (
        *("case", "number", "node_id", "location", "folder", "baseline_path", "session", "sessions", "extends"),
        *("machine", "started_at", "at", "outcome", "metric", "metric_class", "unit", "kind", "ending", "log", "dump"),
        "digest",
        "code",
    )
)
"""Fields by which launches and results are identified, and the texts that `launch` redacted: they stay as
they are. Who names a case or a folder writes it into a public place."""

# ------------------------------------------------------------------------------------------------------------- names

_NAME = re.compile(
    r"TOKEN(?!I[SZ])|SECRET|PASSW|PASSPHRASE|CREDENTIAL|COOKIE|AUTH(?!OR(?!I[SZ])|ENTIC)"
    r"|(?<!MON)(?<!TUR)(?<!HOC)(?<!JOC)(?<!DON)KEY(?!BOARD|MAP|_?FRAME|WORD|STROKE|POINT|ERROR|_?VALUE|PAD)"
    r"|(?-i:(?:^|_)(?:PAT|PASS|[A-Z]*(?:MYSQL|PG|DB|SQL)_?PWD)$)",
    re.IGNORECASE,
)
"""Parts of names whose values are secrets. TOKENIZERS_PARALLELISM and KEYFRAMES are none."""

_NO_SECRET = re.compile(
    r"(?:^|[_.-])(?:num|max|min|total|n|bos|eos|pad|unk|sep|cls|mask|special|stop|image|video|audio|text|img|vision"
    r"|class|register|latent|prompt|completion|input|output|missing|unexpected|state_dict)[_-](?:new[_-])?(?:token|key)s?"
    r"(?:$|[_.-])"
    r"|(?:PATH|FILE|DIR|DIRECTORY|HOME|ROOT|NAME|TYPE|SOCK|LENGTH|LEN|SIZE|COUNT|LIMIT|TTL|LIFETIME|EXPIR\w*|ENABLED?"
    r"|BACKEND|PROVIDER|ALGORITHM|VERSION|INDEX|IDX|DIM|HEADS|EMBEDS?|MASK|IDS|PER[_-]SECOND)$",
    re.IGNORECASE,
)
"""Names that hold such a part and stand for something else: a count, a tokenizer's own tokens, where a secret lies."""

_PASSWORDS = re.compile(r"SECRET|PASS|PWD|CREDENTIAL", re.IGNORECASE)
"""Names whose value is a secret even where it is a number."""


def sensitive(name: str) -> bool:
    """Whether a variable, a flag or a key of that name holds a secret."""
    return _NAME.search(name) is not None and _NO_SECRET.search(name) is None


def redact(text: str, env: Mapping[str, str]) -> str:
    """The text without the values of `env`'s variables that are named like secrets, without what stands behind such a
    name, and without secret shapes. Of the same length up to a factor, redacted twice as once, in linear time."""
    return Redaction(env).text(text)


class Redaction:
    """Redacts by one environment: its secrets are told and their forms made once."""

    def __init__(self, env: Mapping[str, str]) -> None:
        forms: set[str] = set()
        words: set[str] = set()
        for name, value in env.items():
            if sensitive(name):
                # A value of several lines (a private key) is replaced line by line, since output is.
                for line in {value.strip(), *(line.strip() for line in value.splitlines())}:
                    if _looked_for(line):
                        (words if _is_word(line) else forms).update(_forms(line))
        # The longest first: one secret may be the beginning of another.
        self._known: dict[str, str] = {}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._words = [
            re.compile(rf"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])){re.escape(word)}(?![A-Za-z0-9])") for word in sorted(words)
        ]

    def text(self, text: str) -> str:
        """The text without secrets."""
        # Names, units and phrases come again with every case.
        if len(text) > _SHORT:
            return self._searched(text)
        if text not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[text] = self._searched(text)
        return self._known[text]

    def _searched(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, REDACTED)
        for word in self._words:
            text = word.sub(REDACTED, text)
        for marks, shape, replace in _SHAPES:
            for mark in marks:  # not any(): most texts are short, and making its generator takes longer than the search
                if mark in text:
                    text = shape.sub(replace, text)
                    break
        return "".join(_assigned(text)) if _WORD.search(text) else text

    def words(self, argv: Sequence[str]) -> tuple[str, ...]:
        """A command line's words without secrets: also what follows `--hf-token` as a word of its own."""
        out: list[str] = []
        flag = ""
        for word in argv:
            out.append(REDACTED if flag and _is_secret(word, flag) else self.text(word))
            flag = word if _FLAG.fullmatch(word) and sensitive(word) else ""
        return tuple(out)

    def env(self, env: Mapping[str, str]) -> dict[str, str]:
        """Variables, with those that are named like secrets replaced whole."""
        return {name: REDACTED if sensitive(name) and value else self.text(value) for name, value in env.items()}

    def tree(self, value: Any, key: str = "") -> Any:
        """A plain value (of mappings, lists and text) without secrets; `key` is what it stands under."""
        if isinstance(value, str):
            return REDACTED if key and sensitive(key) and _is_secret(value, key) else self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.tree(part, str(name)) for name, part in value.items()}
        if isinstance(value, list | tuple):
            parts = [self.tree(part, key) for part in value]
            return tuple(parts) if isinstance(value, tuple) else parts
        return value

    def record(self, value: T, *, keep: Collection[str] = ()) -> T:
        """A dataclass without secrets, but for the fields `keep`, which name things and must stay what they are. What
        has none is returned itself, so that a run of ten thousand cases is not there twice."""
        return cast(T, self._record(value, keep))

    def _record(self, value: Any, keep: Collection[str]) -> Any:
        if type(value) in _NUMBERS:
            return value
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            held = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            found = {name: self._record(part, keep) for name, part in held.items() if name not in keep}
            changed = {name: part for name, part in found.items() if part is not held[name]}
            return dataclasses.replace(value, **changed) if changed else value
        if isinstance(value, list | tuple):
            if _NUMBERS.issuperset(map(type, value)):
                return value
            parts = [self._record(part, keep) for part in value]
            return value if all(map(is_, parts, value)) else type(value)(parts)
        if isinstance(value, Mapping) and any(dataclasses.is_dataclass(part) for part in value.values()):
            return {name: self._record(part, keep) for name, part in value.items()}
        plain = self.tree(value)
        return value if type(plain) is type(value) and plain == value else plain


# ------------------------------------------------------------------------------------------------------------ values

_COMMON = re.compile(
    r"absent|accept|access|active|always|attention|backend|before|cached|client|common|compile|"
    r"compiled|config|cuda|debug|decode|decoding|default|denoise|denoising|deny|development|"
    r"diffusers|diffusion|disable|disabled|dummy|enable|enabled|encode|encoding|engine|error|"
    r"example|failed|false|finished|generate|global|guest|image|images|inference|internal|"
    r"latent|latents|loaded|loading|localhost|localhost|model|models|module|native|network|"
    r"never|normal|notset|number|number|output|password|pipeline|placeholder|production|prompt|"
    r"public|python|pytorch|redacted|release|request|requests|required|runtime|sampling|"
    r"scheduler|secret|server|server_args|sglang|staging|stage|stages|success|system|tensor|"
    r"testing|thread|token|tokens|torch|transformer|triton|unknown|unused|version|video|videos|"
    r"warmup|warning|worker",
    re.IGNORECASE,
)
"""Words that an engine's own output is made of: where one is the value of a secret's variable, it is none."""

_CLASS = re.compile(r"\w{0,80}(?:Stage|Pipeline|Error|Exception|Backend|Scheduler|Model|Transformer)", re.ASCII)
_NUMBER = re.compile(r"[\d.,:eE+_/-]+")
_PLACE = re.compile(
    r"(?:~|\.{1,2})/|/(?:bin|builds|data|dev|etc|github|home|mnt|opt|proc|root|run|srv|sys|tmp|usr|var|work|workspace)\b"
)
_NOTHING = re.compile(
    r"(?:true|false|yes|no|on|off|none|null|undefined|unset|\*+|<[\w /-]{0,40}>|(?-i:\$[A-Z_][A-Z0-9_]*)|\$[{(].*|%\w*%"
    r"|\{\{.*)",
    re.IGNORECASE,
)
"""What stands for a secret, or for none."""


def _looked_for(value: str) -> bool:
    """Whether a value of a secret's variable is replaced wherever it stands. One that is short, a common word, a
    number or a name of the engine's own classes would take away what proves how a launch ran."""
    if len(value) < SHORTEST or _COMMON.fullmatch(value) or value in REDACTED or _CLASS.fullmatch(value):
        return False
    if _NUMBER.fullmatch(value):
        return len(value) >= SHORT_NUMBER and value.isdigit()
    return not _PLACE.match(value) and not _NOTHING.fullmatch(value)


def _is_word(value: str) -> bool:
    return len(value) < SHORT_WORD and value.isascii() and value.isalpha()


def _is_secret(value: str, name: str) -> bool:
    """Whether what stands behind a secret's name is one, and not `512`, `None` or `$HF_TOKEN`."""
    value = value.strip().rstrip(",;)]}")
    if not value or _NOTHING.fullmatch(value):
        return False
    if _NUMBER.fullmatch(value) and len(value) < SHORT_NUMBER:
        return _PASSWORDS.search(name) is not None
    return True


def _forms(secret: str) -> Iterator[str]:
    """The secret as it stands in text, JSON, addresses, shells, HTML and headers."""
    escaped = (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    yield from (form.replace("/", slash) for form in escaped for slash in ("/", "\\/"))
    # Of an escaped text that is escaped once more, as JSON in a log line of JSON.
    yield from (json.dumps(form)[1:-1] for form in escaped)
    utf8 = secret.encode("utf-8", "surrogateescape")
    for percent in (quote(utf8), quote(utf8, safe=""), quote_plus(utf8)):
        yield percent
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), percent)
    yield "".join(f"%{byte:02X}" for byte in utf8)
    if "'" in secret:
        yield shlex.quote(secret)[1:-1]
        yield secret.replace("'", "\\'")
    yield html.escape(secret)
    yield html.escape(secret).replace("&#x27;", "&#39;")
    if len(utf8) >= 8:
        yield utf8.hex()
        yield utf8.hex().upper()
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            yield alphabet(utf8).decode().rstrip("=")
            # Behind `user:` and other text a secret is encoded in one of three ways, but for its first and last letter.
            for before in range(3):
                code = alphabet(b"\0" * before + utf8).decode().rstrip("=")
                first = -(-before * 8 // 6)
                last = (before + len(utf8)) * 8 // 6
                if last - first >= 8:
                    yield code[first:last]


# ------------------------------------------------------------------------------------------------------------ shapes


def _userinfo(found: re.Match[str]) -> str:
    """`user:password` of an address, and a token that stands there alone; `git@` is none."""
    user = found[2]
    return found[0] if len(user) < 8 and ":" not in user and "%3a" not in user.lower() else found[1] + REDACTED


_KEY_LINE = r"(?:[A-Za-z0-9+/=]{1,200}|(?:Proc-Type|DEK-Info|Version|Comment):[^\r\n\\]{0,200})"
_BREAK = r"(?:\r?\n|\\r|\\n|%0[AaDd]){1,4}[ \t]{0,16}"

_Shape = tuple[tuple[str, ...], "re.Pattern[str]", "str | Callable[[re.Match[str]], str]"]

_SHAPES: tuple[_Shape, ...] = (
    (("hf_",), re.compile(r"hf_[A-Za-z0-9]{20,}"), REDACTED),
    (("api_org_",), re.compile(r"api_org_[A-Za-z0-9]{20,}"), REDACTED),
    (("gh",), re.compile(r"gh[opsur]_[A-Za-z0-9]{20,}"), REDACTED),
    (("github_pat_",), re.compile(r"github_pat_\w{20,}", re.ASCII), REDACTED),
    (("gl",), re.compile(r"gl(?:pat|ptt|dt|rt|rtr|soat|cbt|agent|ft|imt|oas|feed)-[\w.-]{16,}", re.ASCII), REDACTED),
    (("xox", "xapp-"), re.compile(r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}"), REDACTED),
    (("hooks.slack.com",), re.compile(r"(hooks\.slack\.com\\?/(?:services|workflows)\\?/)[\w/\\-]+"), rf"\1{REDACTED}"),
    (
        ("AKIA", "ASIA", "AROA", "AIDA"),
        re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,128}(?![A-Za-z0-9])"),
        REDACTED,
    ),
    (("AIza",), re.compile(r"AIza[\w-]{30,}", re.ASCII), REDACTED),
    (("ya29.",), re.compile(r"ya29\.[\w-]{20,}", re.ASCII), REDACTED),
    (
        ("sk-", "pk-", "rk-"),
        re.compile(r"(?<![A-Za-z0-9_-])[spr]k-(?=[\w-]{0,40}[0-9A-Z])[\w-]{20,}", re.ASCII),
        REDACTED,
    ),
    (("_live_", "_test_"), re.compile(r"(?<![A-Za-z0-9])[spr]k_(?:live|test)_[A-Za-z0-9]{12,}"), REDACTED),
    (("npm_",), re.compile(r"npm_[A-Za-z0-9]{30,}"), REDACTED),
    (("pypi-",), re.compile(r"pypi-[\w-]{30,}", re.ASCII), REDACTED),
    (("dckr_pat_",), re.compile(r"dckr_pat_[\w-]{16,}", re.ASCII), REDACTED),
    (("SG.",), re.compile(r"SG\.[\w-]{16,64}\.[\w-]{16,}", re.ASCII), REDACTED),
    (("eyJ",), re.compile(r"eyJ[\w-]{12,}(?:\.[\w-]{4,}){0,4}", re.ASCII), REDACTED),
    (
        ("PRIVATE KEY",),
        re.compile(
            rf"-----BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----(?:{_BREAK}{_KEY_LINE}){{0,500}}"
            rf"(?:(?:{_BREAK})?-----END [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----)?"
        ),
        REDACTED,
    ),
    (
        ("earer",),
        re.compile(r"([Bb]earer(?:\s|%20|\+){1,4})[\w.~+/=%-]{12,}", re.ASCII),
        rf"\1{REDACTED}",
    ),
    (
        ("://", ":\\/\\/", "%2F%2F", "%2f%2f"),
        re.compile(
            r"((?::|%3[Aa])(?:\\?/|%2[Ff]){2})((?:(?!%40|%2[Ff])[^\s/\"'<>\\?#@]|@(?=[^\s/\"'<>\\?#@]{1,256}@)){1,512})"
            r"(?=@|%40)"
        ),
        _userinfo,
    ),
)
"""Secrets that are known by their shape: marks, one of which is in every text that has the shape, the shape, and what
comes in its place. Every repetition is bounded, or ends where its text is taken."""

# -------------------------------------------------------------------------------------------------------- assignments

_WORD = re.compile(r"token|key|secret|passw|passphrase|credential|cookie|auth|sig|_pass\b|_pat\b|pwd\b", re.IGNORECASE)
_RUN = re.compile(r"[\w.-]*", re.ASCII)
_BEFORE = re.compile(r"[\w.-]*\Z", re.ASCII)
_BETWEEN = re.compile(
    r"(?P<quote>\\{0,3}[\"'])?\]?[ \t]{0,4}(?P<sign>=>|[=:](?![=/])|%3[dD]|\\u003[dD])[ \t]{0,4}"
    r"|(?P<blank>[ \t]{1,4})(?![-\s])"
)
_SCHEME = re.compile(r"(?:bearer|basic|token|digest|negotiate|apikey)[ \t]{1,4}", re.IGNORECASE)
_QUOTED = {
    '"': re.compile(r'(?:[^"\\\r\n]|\\.){0,16384}'),
    "'": re.compile(r"(?:[^'\\\r\n]|\\.){0,16384}"),
    "\\": re.compile(r"(?:[^\"'\\\r\n]|\\(?![\\\"'])){0,16384}"),
}
"""What stands in quotes, by the first letter of the opening one; up to the line's end where none closes it."""
_QUOTE = re.compile(r"\\{0,3}[\"']")
_BARE = re.compile(r"[^\s'\"\\]+")
_REST_OF_LINE = re.compile(r"[^\r\n\"'\\]+")
_QUERY_VALUE = re.compile(r"(?:(?!%26|%23|\\)[^\s'\"&#;<>])+")
_FLAG = re.compile(r"--[\w-]{1,64}", re.ASCII)
_PARAMETER = re.compile(r"(?:[?&;]|%3[Ff]|%26|\\?u0026)[\w.-]{0,64}\Z", re.ASCII)
_QUERY_NAME = re.compile(r"(?:^|[?&;-]|%3F|%26|u0026)(?:key|sig|signature|auth)\Z", re.IGNORECASE)
_MANY = re.compile(r"(?<!api_)(?<!api-)(?<!access_)(?<!access-)(?:tokens|keys)\Z")
_LONE = re.compile(r"(?:keys?|tokens?|auth|cookies?|sig\w*)", re.IGNORECASE)
"""Names that, alone, are words of any text: `Missing key: blocks.0.weight`."""


def _assigned(text: str) -> Iterator[str]:
    """The text in parts, with what is assigned to names of secrets replaced. Goes through the text once, from name to
    name: behind a run of letters that is no name of a secret it goes on at the run's end."""
    done = at = 0
    while word := _WORD.search(text, at):
        at = _end(_RUN, text, word.end())
        before = text[max(0, word.start() - LONGEST_NAME) : word.start()]
        name = before[_start(_BEFORE, before) :] + text[word.start() : min(at, word.start() + LONGEST_NAME)]
        between = _BETWEEN.match(text, at)
        if between is None:
            continue
        start, end = _value(text, name, before, between)
        if end > start:
            yield text[done:start]
            yield REDACTED
            done = at = end
    yield text[done:]


def _value(text: str, name: str, before: str, between: re.Match[str]) -> tuple[int, int]:
    """Where the secret that is assigned to the name begins and ends; an empty place if it is none."""
    start, sign = between.end(), between["sign"] or ""
    none = (start, start)
    parameter = _PARAMETER.search(before + name[len(_tail(before)) :]) is not None
    if between["blank"]:
        if not _FLAG.fullmatch(name):
            return none
    elif parameter and _QUERY_NAME.search(name):
        pass
    elif (
        _LONE.fullmatch(name)
        and not between["quote"]
        and not parameter
        # `KEY=abc` is a variable and `token=abc` a parameter, `key=blocks.0` may be anything.
        and (sign == ":" or not (name.isupper() or name.lower() == "token"))
    ):
        return none
    if not sensitive(name) and not (parameter and _QUERY_NAME.search(name)):
        return none
    if not parameter and not between["quote"] and _in_code(text, name, between):
        return none
    if parameter:
        end = _end(_QUERY_VALUE, text, start)
        return (start, end) if _is_secret(text[start:end], name) else none
    lower = name.lower()
    if opening := _QUOTE.match(text, start):
        start = opening.end()
        end = _end(_QUOTED[opening[0][0]], text, start)
    elif sign == ":" and lower.endswith(("authorization", "cookie")):
        end = _end(_REST_OF_LINE, text, start)
    else:
        scheme = _SCHEME.match(text, start) if "auth" in lower else None
        end = _end(_BARE, text, start if scheme is None else scheme.end())
        if text[start:end].startswith(("[", "{", "(")) and not between["quote"] and "api" not in lower:
            return start, start
    return (start, end) if _is_secret(text[start:end], name) else (start, start)


def _in_code(text: str, name: str, between: re.Match[str]) -> bool:
    """Whether it is the engine's own code, as tracebacks quote it: `num_rolled = sink_tokens`, `key_rot = key[..., :]`.
    In quotes anything may be a secret."""
    if name != name.lower() or _PASSWORDS.search(name) or "auth" in name or _QUOTE.match(text, between.end()):
        return False
    return (between[0][:1] in " \t" and between["sign"] == "=") or (_MANY.search(name) is not None)


def _tail(before: str) -> str:
    return before[_start(_BEFORE, before) :]


def _start(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return len(text) if found is None else found.start()


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()
