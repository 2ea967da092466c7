"""Remains: what LLVM leaves in memory when a program is built, given back to the system.

Its library is 180 MB of which a build reads a third. Those pages are copies of a file: let go,
they stay in the system's cache, from where the next build has them again in a millisecond.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from contextlib import suppress


class _Segment(ctypes.Structure):
    """Elf64_Phdr."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("offset", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("physical", ctypes.c_uint64),
        ("in_file", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("align", ctypes.c_uint64),
    )


class _Object(ctypes.Structure):
    """The start of dl_phdr_info."""

    _fields_ = (
        ("base", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("segments", ctypes.POINTER(_Segment)),
        ("count", ctypes.c_uint16),
    )


LOADED, WRITABLE = 1, 2  # PT_LOAD, PF_W
DROP = 4  # MADV_DONTNEED


def let_go() -> None:
    """The pages of LLVM's code and constants, and the free ones of the heap."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_void_p) != 8:
        return
    libc = ctypes.CDLL(None)
    for start, size in _read_only():
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), DROP)
    with suppress(AttributeError):  # musl's heap trims itself
        libc.malloc_trim(ctypes.c_size_t(0))


@functools.cache
def _read_only() -> list[tuple[int, int]]:
    """(address, bytes) of the parts of LLVM's library that are as they are in its file.

    What its relocations have written lies in segments that are writable.
    """
    found = []

    def look(one, size, data):
        x = one.contents
        if b"libllvmlite" in (x.name or b""):
            for s in x.segments[: x.count]:
                if s.type == LOADED and not s.flags & WRITABLE:
                    found.append(_whole(x.base + s.address, s.size))
        return 0

    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(_Object), ctypes.c_size_t, ctypes.c_void_p
    )
    ctypes.CDLL(None).dl_iterate_phdr(kind(look), None)
    return found


def _whole(start: int, size: int) -> tuple[int, int]:
    """The pages that lie wholly inside."""
    page = os.sysconf("SC_PAGE_SIZE")
    first, end = -(-start // page) * page, (start + size) // page * page
    return first, max(0, end - first)
