"""The one way to read and write below a folder that others may have filled: a recording, baselines, an output folder.

Whoever names a folder says that it may be read; a link in it would lead anywhere else. So a path is gone down from
that folder one name at a time, no link is followed, only regular files are opened, nothing waits for a writer (a FIFO)
and nothing is read without a bound. The folder itself, and what leads to it, may be links: somebody chose them. That a
file has a second name (a hard link) cannot be told from here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote, unquote

from pytest_sgdiff.errors import SgdiffError

DOCUMENT_LIMIT: Final = 1 << 24
"""Bytes of a JSON document, a baseline or a table of samples: real ones have some hundred kB at most."""

TEMPORARY: Final = ".tmp-"
"""How the name of a file begins that is not in place yet; one that lies around is left of a killed process."""

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
"""What `errno` is where a disk is full, or somebody's share of it."""

Unfit = Literal["link", "no-file", "no-folder", "too-large", "outside", "unreadable"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STREAMS: Final = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")


class DataFileError(SgdiffError):
    """A file is none that may be opened, or cannot be; the message opens with its path, `unfit` says why."""

    def __init__(self, path: Path, unfit: Unfit, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path, self.unfit, self.why = path, unfit, why


def read_bytes(path: Path, *, below: Path, at_most: int = DOCUMENT_LIMIT) -> bytes | None:
    """The content of a file below a folder that was named; None if it is not there.

    Raises DataFileError: a link, no regular file, more than `at_most` bytes, or nothing that can be read.
    """
    with opened(path, below=below) as descriptor:
        return None if descriptor is None else _read(descriptor, path, at_most)


@contextlib.contextmanager
def opened(path: Path, *, below: Path) -> Iterator[int | None]:
    """A descriptor of a regular file below a folder that was named, open for reading; None if it is not there.

    Raises DataFileError as `read_bytes`.
    """
    with _folder(path.parent, below) as folder:
        if folder is None or (found := look(path, folder)) is None:
            yield None
            return
        # Before it is opened: opening a device may already do something.
        if not stat.S_ISREG(found.st_mode):
            raise _unfit(path, found)
        with _named(path):
            descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            if not stat.S_ISREG((now := os.fstat(descriptor)).st_mode):
                raise _unfit(path, now)
            yield descriptor
        finally:
            os.close(descriptor)


def read_named(path: Path, *, at_most: int = DOCUMENT_LIMIT) -> bytes:
    """The content of a file that the user named, which may be a link or a shell's `<(...)`.

    Raises DataFileError: it is not there, no regular file, of more than `at_most` bytes, or cannot be read.
    """
    try:
        with _named(path):
            if str(path).startswith(_STREAMS):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            else:
                if not stat.S_ISREG((found := os.stat(path)).st_mode):
                    raise _unfit(path, found)
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise DataFileError(path, "unreadable", error.strerror or "is not there") from None
    try:
        return _read(descriptor, path, at_most)
    finally:
        os.close(descriptor)


def names(folder: Path, *, below: Path) -> list[str]:
    """The names in a folder below one that was named, sorted; none if it is not there.

    Raises DataFileError: it is a link, no folder, or cannot be read.
    """
    with _folder(folder, below) as descriptor:
        if descriptor is None:
            return []
        with _named(folder):
            return sorted(os.listdir(descriptor))


def kind(path: Path, *, below: Path) -> Literal["file", "folder", "link", "other"] | None:
    """What lies at a path below a folder that was named; None if nothing does.

    Raises DataFileError: something above it is a link, or cannot be read.
    """
    with _folder(path.parent, below) as folder:
        found = None if folder is None else look(path, folder)
    if found is None:
        return None
    return {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}.get(stat.S_IFMT(found.st_mode), "other")  # type: ignore[return-value]


def make_folder(path: Path, *, below: Path) -> None:
    """Have a folder below one that was named, with those between them. `below` is made too.

    Raises DataFileError: something on the way is a link or no folder, or cannot be made.
    """
    try:
        below.mkdir(parents=True, exist_ok=True)
        with _folder(path, below, make=True):
            pass
    except OSError as error:
        raise DataFileError(path, "unreadable", f"cannot be made: {error.strerror or error}") from None


def write(path: Path, content: str | bytes, *, below: Path) -> None:
    """Write a file below a folder that was named, so that at any moment, whatever dies, either the old or the new
    content is there, whole. A link in its place is replaced, not followed; folders on the way are made.

    The content goes to a temporary file in the same folder and to the disk before it takes the old file's place; the
    folder is written too, so that the file is there after a power cut. Raises OSError and then leaves the old file;
    raises DataFileError as `make_folder`.
    """
    make_folder(path.parent, below=below)
    temporary = temporary_name()
    with _folder(path.parent, below) as folder:
        if folder is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o666, dir_fd=folder)
        try:
            data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)


def temporary_name() -> str:
    """A name for a file that is not in place yet, which no other file has."""
    return f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"


def copy(source: Path, target: Path, *, below: Path, into: Path) -> None:
    """Copy a file below one folder that was named to a place below another one, as `opened` reads and `write` writes,
    however long it is. It is not on the disk before `onto_disk` has it there, which for many files at a time is faster
    when all of them are written.

    Raises DataFileError: the source is not there, is no regular file or cannot be read. Raises OSError where it cannot
    be written, and then leaves nothing.
    """
    make_folder(target.parent, below=into)
    temporary = temporary_name()
    with opened(source, below=below) as read, _folder(target.parent, into) as folder:
        if read is None:
            raise DataFileError(source, "unreadable", "cannot be read: it is not there any more")
        if folder is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o666, dir_fd=folder)
        try:
            with open(descriptor, "wb") as file:
                while part := os.read(read, 1 << 20):
                    file.write(part)
            os.replace(temporary, target.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise


def overwrite(path: Path, text: str) -> None:
    """Write a file that the user named, whose links were followed already. Its folder is made; it keeps its mode, and
    its place where it is mounted by itself. A file with a second name is replaced: the other name keeps the old text.

    Raises DataFileError: it is a link or no regular file. Raises OSError where it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    found = kind(path, below=path.parent)
    if found not in ("file", None):
        raise DataFileError(
            path, "link" if found == "link" else "no-file", "is not a regular file, and not written over"
        )
    if found is None or path.lstat().st_nlink > 1:
        write(path, text, below=path.parent)
        return
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
        file.write(text)


def remove(path: Path, *, below: Path) -> None:
    """Remove a file below a folder that was named, or a link, not what it leads to; nothing if it is not there.

    Raises OSError; raises DataFileError as `names`.
    """
    with _folder(path.parent, below) as folder:
        if folder is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path.name, dir_fd=folder)


def leads_out(path: Path, *, of: Path) -> Path | None:
    """Where a path ends that is a link out of a folder; None if it is no link, or one that stays in the folder."""
    if not path.is_symlink():
        return None
    end = Path(os.path.realpath(path))
    return None if end.is_relative_to(os.path.realpath(of)) else end


@contextlib.contextmanager
def _folder(path: Path, below: Path, *, make: bool = False) -> Iterator[int | None]:
    """A descriptor of a folder, gone down to from `below`; None if it is not there."""
    try:
        parts = path.relative_to(below).parts
    except ValueError:
        raise DataFileError(path, "outside", f"lies outside of {below}") from None
    if ".." in parts:
        raise DataFileError(path, "outside", f"leads out of {below}")
    descriptor = -1
    try:
        try:
            if not make and not below.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(below))
            with _named(below):
                descriptor = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            here = below
            for part in parts:
                here = here / part
                inner = inner_folder(here, descriptor, make=make)
                os.close(descriptor)
                descriptor = inner
        except FileNotFoundError:
            if make:
                raise
            yield None
            return
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def inner_folder(path: Path, folder: int, *, make: bool) -> int:
    """A descriptor of the folder at `path`, of whose parent `folder` is one; made where it is not there and `make` is
    set. Raises FileNotFoundError, and DataFileError for a link or what is no folder."""
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path.name, dir_fd=folder)
    found = look(path, folder)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    if not stat.S_ISDIR(found.st_mode):
        raise _unfit(path, found, "no-folder")
    with _named(path):
        return os.open(path.name, _FOLDER, dir_fd=folder)


def look(path: Path, folder: int) -> os.stat_result | None:
    """What lies at `path`, of whose parent `folder` is a descriptor, itself and not what a link leads to; None if
    nothing does. Raises DataFileError."""
    try:
        with _named(path):
            return os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _read(descriptor: int, path: Path, at_most: int) -> bytes:
    """One byte more than allowed shows that there is more, also where the size tells nothing."""
    parts, left = [], at_most + 1
    with _named(path):
        while left > 0 and (part := os.read(descriptor, min(left, 1 << 20))):
            parts.append(part)
            left -= len(part)
    if left == 0:
        raise DataFileError(path, "too-large", f"has more than {at_most} bytes, which no real file has")
    return b"".join(parts)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """What the system refuses, by name; that something is not there is for the caller to judge."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataFileError(path, "unreadable", f"cannot be read: {why}") from None


def _unfit(path: Path, found: os.stat_result, otherwise: Unfit = "no-file") -> DataFileError:
    if stat.S_ISLNK(found.st_mode):
        why = "is a link, and links are not followed. Replace it by a copy, or remove it"
        return DataFileError(path, "link", why)
    return DataFileError(path, otherwise, "is no folder" if otherwise == "no-folder" else "is not a regular file")


def file_name(case_id: str) -> str:
    """A case id as a file or folder name, `firered_1_1[cfg]` as it is; whatever is not safe in a name as `%2F`."""
    name = quote(case_id, safe="[]", errors="surrogatepass")
    return "%2E" + name[1:] if name.startswith(".") else name


def case_id(name: str) -> str:
    """The case id that `file_name` made the name of."""
    return unquote(name)


def onto_disk(path: Path) -> None:
    """Have a file or folder on the disk, so that it is there after a power cut. Raises OSError."""
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
