"""Links of the pages that lead out of docs/, for the site: mkdocs calls these hooks.

The pages are read on a code host too, where `../README.md` and `../pytest_sgdiff/metrics.py` lead to files of the
repository. On the site, the Markdown files below are pages as well. A link to any other file leads to `repo_url`, and
is plain text while no address is configured.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

PAGES = {
    "README.md": "project/overview.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "examples/README.md": "project/examples.md",
    "examples/engines/README.md": "project/engines.md",
}
"""Files of the repository that are pages of the site -> where they stand there."""

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")
FENCED = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of docs/."""
    root = Path(config.docs_dir).parent
    for source, target in PAGES.items():
        files.append(File.generated(config, target, abs_src_path=str(root / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Let each link lead to where its file stands on the site."""
    here = page.file.src_uri
    source = {target: name for name, target in PAGES.items()}.get(here, f"docs/{here}")
    parts = FENCED.split(markdown)
    # What stands in parentheses comes second each time: the blocks, which show text as it is.
    parts[::2] = (LINK.sub(lambda found: _led(found, source, here, config), part) for part in parts[::2])
    return "".join(parts)


def _led(found: re.Match[str], source: str, here: str, config: MkDocsConfig) -> str:
    """The link of the page at `source` in the repository, as it must be at `here` on the site."""
    text, target, anchor = found["text"], found["target"], found["anchor"] or ""
    if not target or re.match(r"[a-z]+:", target):
        return found[0]
    named = posixpath.normpath(str(PurePosixPath(source).parent / target))
    if named in PAGES:
        return f"[{text}]({posixpath.relpath(PAGES[named], posixpath.dirname(here) or '.')}{anchor})"
    if PurePosixPath(named).parts[0] == "docs" and len(PurePosixPath(named).parts) > 1:
        return f"[{text}]({posixpath.relpath(named[len('docs/') :], posixpath.dirname(here) or '.')}{anchor})"
    if not (Path(config.docs_dir).parent / named).exists():
        return found[0]  # A wrong link: mkdocs names it.
    if not config.repo_url:
        return text
    return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{quote(named)}{anchor})"
