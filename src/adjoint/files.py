"""Files that are either the old one, whole, or the new one, whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from .errors import ArgumentError, ArgumentTypeError, FileError


def write_atomically(path, chunks: Iterable) -> None:
    """Write the chunks (bytes or buffers) to a file that takes the place of `path` at the end.

    They go to a hidden file beside it, which is forced to the disk and then renamed: who
    reads `path`, whenever the machine stops, reads all of the old file or all of the new.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "notes"
    >>> write_atomically(path, [b"all ", b"or nothing"])
    >>> path.read_bytes()
    b'all or nothing'
    """
    path = os.path.realpath(path_of(path))  # through a link, to what it names
    folder, name = os.path.split(path)
    mode = _mode_of(path)
    beside = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(6)}.tmp")
    try:
        _write(beside, chunks, mode)
        os.replace(beside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        if not isinstance(error, OSError) or error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, path) from None
    _sync_folder(folder)


def write_text(path, text: str) -> Path:
    """Write a text to a file, whole or not at all; a pipe or a device simply gets it.

    >>> import tempfile
    >>> write_text(tempfile.mkdtemp() + "/notes", "all").read_text()
    'all'
    """
    to = Path(path)
    if to.exists() and not to.is_file() and not to.is_dir():
        to.write_text(text, encoding="utf-8")
    else:
        write_atomically(to, [text.encode()])
    return to


def path_of(path) -> str:
    """A path as text.

    >>> import pathlib
    >>> path_of(pathlib.PurePosixPath("runs/1")), path_of(b"x")
    ('runs/1', 'x')
    """
    try:
        return os.fsdecode(path)
    except TypeError:
        raise ArgumentTypeError(
            f"expected a path or an open binary file, got {type(path).__name__}"
        ) from None


def to_read(path) -> str:
    """A path as text, which is no folder's.

    >>> import tempfile
    >>> to_read(tempfile.gettempdir())  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
        ...
    FileError: /tmp is a folder, not a file
    """
    path = path_of(path)
    if os.path.isdir(path):
        inside = sorted(n for n in os.listdir(path) if n.endswith(_ENDINGS))
        found = f"it holds {', '.join(inside[:8])}" if inside else ""
        raise FileError(f"{path} is a folder, not a file", hint=found)
    return path


_ENDINGS = (".safetensors", ".ckpt", ".pt", ".bin")


def _mode_of(path: str) -> int | None:
    """The permissions of the file that is replaced; None: there is none."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise ArgumentError(f"{path} is not a regular file and cannot be replaced")
    return stat.S_IMODE(mode)


def _write(path: str, chunks: Iterable, mode: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        if mode is not None:
            os.chmod(path, mode)
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: str) -> None:
    """Force the renaming to the disk, where folders can be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
