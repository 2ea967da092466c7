"""Cache: machine code on disk, so that the next process need not compile it again.

A file holds one program's code under the digest of all that decides it. What cannot be read,
written or trusted is passed over: a program is compiled again, nothing fails for want of a cache.
"""

from __future__ import annotations

import contextlib
import functools
import marshal
import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from . import log
from .late import pathlib

try:  # as `random` does: hashlib loads OpenSSL as well, which takes 4 ms and 3 MiB
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

if TYPE_CHECKING:
    from pathlib import Path


FORMAT = 1  # of the files; each has a folder of its own
MAGIC = b"adjoint machine code"
SUFFIX, UNFINISHED = ".code", ".part"
MOST = 512  # MB, unless ADJOINT_CACHE_MB says another number
HOUR = 3600.0
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_PLACES = {  # the variable that names it, and where it is without
    "darwin": ("", "Library", "Caches"),
    "linux": ("XDG_CACHE_HOME", ".cache"),
    "win32": ("LOCALAPPDATA", "AppData", "Local"),
}
OFF = ("off", "0", "no", "false")
hashed = functools.partial(blake2b, digest_size=32)  # of keys, and of what files hold


class Entry(NamedTuple):
    """A program in the cache."""

    key: str
    name: str  # of the function that was compiled
    bytes: int
    used: float  # when it was last made or read, to the hour


# ---------------------------------------------------------------- where


def path() -> Path | None:
    """The folder of the cache; None if ADJOINT_CACHE is "off" or there is no home."""
    place = _place()
    return None if place is None else pathlib.Path(place)


def _place() -> str | None:
    """The same as text."""
    place = os.environ.get("ADJOINT_CACHE", "")
    if place.lower() in OFF:
        return None
    place = os.path.abspath(place) if place else _usual()
    return place and os.path.join(place, f"code{FORMAT}")


def _usual() -> str | None:
    """Where this platform wants caches; None if nobody is at home."""
    variable, *folders = _PLACES.get(sys.platform, _PLACES["linux"])
    place = os.environ.get(variable, "")
    if not os.path.isabs(place):
        place = os.path.join(os.path.expanduser("~"), *folders)
    return os.path.join(place, "adjoint") if os.path.isabs(place) else None


def limit() -> int:
    """Bytes that the files may take together."""
    try:
        return max(int(float(os.environ.get("ADJOINT_CACHE_MB", MOST)) * 1e6), 0)
    except (ValueError, OverflowError):
        return MOST * 1_000_000


def _ours(status: os.stat_result) -> bool:
    """Whether nobody else can have written it: this is code that we are going to run."""
    if not hasattr(os, "geteuid"):
        return True  # the profile's folders on Windows are the user's alone
    return status.st_uid == os.geteuid() and not status.st_mode & (
        stat.S_IWGRP | stat.S_IWOTH
    )


def _folder() -> str | None:
    """The folder, if there is one that can be trusted."""
    folder = _place()
    if folder is None or not os.path.isdir(folder):
        return None
    if not _ours(os.stat(folder)):
        _distrust(folder)
        return None
    return folder


@functools.cache
def _distrust(folder) -> None:
    """Said once."""
    log.warning("not used, since others may write there: the cache %s", folder)


# ---------------------------------------------------------------- reading


def load(key: str) -> tuple[dict, bytes] | None:
    """(what is told of the code, the code) that was saved under a key."""
    try:
        folder = _folder()
        if folder is None:
            return None
        file = os.path.join(folder, key + SUFFIX)
        with open(file, "rb", opener=_at_once) as f:
            status = os.fstat(f.fileno())
            usable = stat.S_ISREG(status.st_mode) and _ours(status)
            raw = f.read() if usable else b""
    except OSError:
        return None
    found = _opened(raw, key)
    if found is None:
        log.info("compiled again, since it is damaged: %s", file)
    elif time.time() - status.st_mtime > HOUR:
        with contextlib.suppress(OSError):
            os.utime(file)
    return found


def _at_once(file, flags) -> int:
    """Open a file; a pipe that lies there is not waited for."""
    return os.open(file, flags | getattr(os, "O_NONBLOCK", 0))


def _opened(raw: bytes, key: str) -> tuple[dict, bytes] | None:
    """What a file holds, if all of it is there and nothing else."""
    head, _, rest = raw.partition(b"\n")
    if head != _head(rest):
        return None
    try:
        saved, about, code = marshal.loads(rest)
    except (ValueError, EOFError, TypeError):  # another Python's
        return None
    return (about, code) if saved == key else None


def _head(rest: bytes) -> bytes:
    """The first line of a file, of which this is the rest."""
    return MAGIC + b" %d " % FORMAT + hashed(rest).hexdigest().encode()


# ---------------------------------------------------------------- writing


def save(key: str, about: dict[str, Any], code: bytes) -> None:
    """Keep a program's code, and drop the oldest if that is too much.

    As Python keeps its own: `about` is made of numbers, texts, lists and dicts.
    """
    rest = marshal.dumps((key, about, code))
    if _place() is None or len(rest) > limit():
        return
    try:
        _write(key, _head(rest) + b"\n" + rest)
        _shrink()
    except OSError as error:  # no space, no permission, a disk that is read-only
        log.debug("not cached: %s", error)


def _write(key, raw):
    """The whole file at once: it is written beside its place, then moved there."""
    folder = _place()
    if folder is None:
        return
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if _folder() is None:
        return
    place = os.path.join(folder, os.urandom(8).hex() + UNFINISHED)
    handle = os.open(place, _NEW, 0o600)
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(raw)
        os.replace(place, os.path.join(folder, key + SUFFIX))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(place)
        raise


def _shrink() -> None:
    """Drop what was not used for longest until the rest is within the limit."""
    files = sorted(_files(), key=lambda f: f[1].st_mtime)
    excess = sum(status.st_size for _, status in files) - limit()
    old = time.time() - HOUR
    for file, status in files:
        left = file.endswith(UNFINISHED) and status.st_mtime < old  # by a crash
        if left or (excess > 0 and file.endswith(SUFFIX)):
            _remove(file)
            excess -= status.st_size


def _files() -> Iterator[tuple[str, os.stat_result]]:
    """The cache's files; others that may lie there are left alone."""
    with contextlib.suppress(OSError):
        folder = _folder()
        for f in () if folder is None else os.scandir(folder):
            if f.name.endswith((SUFFIX, UNFINISHED)):
                with contextlib.suppress(OSError):  # removed meanwhile
                    if f.is_file(follow_symlinks=False):
                        yield f.path, f.stat(follow_symlinks=False)


def _remove(file) -> bool:
    try:
        os.unlink(file)
    except OSError:
        return False
    return True


# ---------------------------------------------------------------- for people


def entries() -> list[Entry]:
    """The programs in the cache, the last used first."""
    files = [(f, s) for f, s in _files() if f.endswith(SUFFIX)]
    files.sort(key=lambda f: f[1].st_mtime, reverse=True)
    return [Entry(_key(f), _name(f), s.st_size, s.st_mtime) for f, s in files]


def _key(file) -> str:
    """The digest that a file is under."""
    return os.path.basename(file).removesuffix(SUFFIX)


def _name(file) -> str:
    """The function that a file was made of."""
    found = None
    with contextlib.suppress(OSError), open(file, "rb") as f:
        found = _opened(f.read(), _key(file))
    return "?" if found is None else found[0].get("name", "?")


def clear() -> tuple[int, int]:
    """Remove all programs; (how many, their bytes) that were removed."""
    gone = [status.st_size for file, status in _files() if _remove(file)]
    return len(gone), sum(gone)


__all__ = ["Entry", "clear", "entries", "limit", "path"]
