"""Denormal numbers, below 2^-126 in float32: whether this thread takes them as 0.

Processors compute with them in microcode, a hundred cycles each time. A flag in a register of
each thread says that they are 0, read and written. The C library can get and set it.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from typing import NamedTuple


class Place(NamedTuple):
    """Where the C library's `fenv_t` has the flag, the register's bytes and its bits."""

    start: int
    bytes: int
    bits: int


X86, ARM = 0x8040, 1 << 24  # written as 0 and read as 0; both
_LAYOUTS = {
    ("linux", "x86_64"): Place(28, 4, X86),
    ("darwin", "x86_64"): Place(4, 4, X86),
    ("linux", "aarch64"): Place(0, 4, ARM),
    ("darwin", "arm64"): Place(8, 8, ARM),
}
_ROOM = 64  # bytes, more than any fenv_t has


def flush(on: bool) -> bool:
    """Take denormal numbers as 0 in this thread, or not; whether that can be chosen."""
    place = _LAYOUTS.get((sys.platform, platform.machine().lower()))
    if place is None:
        return False
    try:
        libc = ctypes.CDLL(_LIBRARY.get(sys.platform))
        room = (ctypes.c_char * _ROOM)()
        libc.fegetenv(room)
        _turn(room, place, on)
        libc.fesetenv(room)
    except (OSError, AttributeError):  # another C library
        return False
    return True


_LIBRARY = {"linux": "libm.so.6"}


def _turn(room, place: Place, on: bool) -> None:
    end = place.start + place.bytes
    word = int.from_bytes(room[place.start : end], sys.byteorder)
    word = word | place.bits if on else word & ~place.bits
    room[place.start : end] = word.to_bytes(place.bytes, sys.byteorder)
