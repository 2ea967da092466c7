"""Sharing: kernels in chunks that threads take, each a part of the kernel's index space.

Where a space is cut depends on the program alone, never on how many threads there are: so
results are the same bits for any number of them. What chunks sum up on the way, they sum in
places of their own, which are joined in order when all are done.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ...core import forks
from ..schedule.cost import nanoseconds
from .llvm import text as ir
from .llvm.types import I64, POINTER

# (context, first chunk, the one after the last, room, how many of this job's chunks were done in
# that room before), and what has threads call such a function
CHUNKS = ir.FunctionType(ir.VoidType(), [POINTER, I64, I64, POINTER, I64])
PARALLEL = ir.FunctionType(
    ir.VoidType(), [CHUNKS.as_pointer(), POINTER, I64, POINTER, I64]
)

LEAST = 12_000  # nanoseconds of work from which on a kernel is cut
WORTH = 40_000  # and of a program's kernels that can be
GRAIN = 3_000  # of a chunk
MOST = 64  # chunks
LINE = 64  # bytes
JOINED = 2**16  # bytes of sums that are joined in one chunk
APART = 256  # bytes of lines that a core fetches together
ROOM = 2**21  # bytes of sums that chunks have of their own, together
_CUT = "map rows contract together reduce conv order place put scatter run"
KINDS = frozenset(_CUT.split())


class Sum(NamedTuple):
    """What an operation sums up in the chunks of its kernel: a place for each."""

    o: object


class Stage(NamedTuple):
    """A part of a kernel: write(emitter, chunk) for each of its chunks, in any order."""

    chunks: int
    write: Callable


def possible() -> bool:
    """Whether there are POSIX's threads, and with them a crew."""
    return forks.possible()  # a system with the one has the other


def worth(schedule) -> bool:
    """Whether a program takes so long that waking threads for it pays, if it can have any."""
    if not possible():
        return False
    kernels = [k for k in schedule.kernels if k.kind in (*KINDS, "loop")]
    return sum(nanoseconds(k, schedule) for k in kernels) > WORTH


def wanted(schedule) -> dict:
    """How many chunks kernels should have, those that are worth it."""
    spent = {k: nanoseconds(k, schedule) for k in schedule.kernels if k.kind in KINDS}
    chunks = {k: math.ceil(n / GRAIN) for k, n in spent.items() if n > LEAST}
    return {k: max(1, min(MOST, n)) for k, n in chunks.items()}


def unshared(k, long: bool, inside: bool) -> str:
    """Why a kernel is not cut."""
    if not possible():
        return "this system has no POSIX threads"
    if k.kind == "call":
        return "NumPy does it"
    if inside:
        return "a loop: what is in it is cut on its own"
    if k.kind == "loop" and long:
        return "a loop of short steps, each of which needs the one before"
    if k.kind not in KINDS:
        return "each step needs the one before"
    if k.kind == "together" and k.tasks == 1:
        return "its blocks add up in one place"
    return "too short to hand over" if long else "the whole program is too short"


def pieces(sizes, count) -> tuple[int, ...]:
    """In how many pieces to cut each dim, so that there are about `count`, outer dims first."""
    out = []
    for n in sizes:
        n = max(n, 1)
        count = max(1, count)
        out.append(n if count > 1 and n <= 2 * count else count)
        count = -(-count // out[-1])
    return tuple(out)


def images(n, many, count) -> int:
    """Images of a chunk, in multiples of `many`, for about `count` chunks."""
    groups = -(-n // many)
    return -(-groups // max(1, count)) * many


def few(count, bytes_) -> int:
    """Of so many chunks, as many as can have sums of that many bytes each."""
    return max(1, min(count, max(4, ROOM // max(bytes_, 1))))


def elements_apart(o) -> int:
    """Elements from the place of one chunk's own sums to the next."""
    y = o.outputs[0].spec
    return apart(y.bytes) // y.dtype.itemsize


def apart(bytes_) -> int:
    """Bytes from one chunk's place to the next, so that cores do not take each other's lines."""
    return -(-bytes_ // APART) * APART
