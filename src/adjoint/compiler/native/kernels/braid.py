"""Braid: the instructions of several vectors in turns.

A function such as tanh is a chain of some forty instructions, each of which waits four cycles
for the one before. A processor looks a hundred and some instructions ahead: to the next vector
or two, where the vectors come one after the other. In turns there is always something to do.
"""

from __future__ import annotations

import math

from ..llvm.machine import registers, vector_bits

LARGE = 2**14  # elements from which on it is worth the longer code
ROUNDS = 16  # vectors of a row, too
LEAST, MOST = 28, 120  # instructions of a vector: registers do not hold what more need


def side_by_side(space) -> int:
    """How many vectors of a row to take at a time, such that few are left."""
    n = space[-1] * 32 // vector_bits() if space else 0
    if math.prod(space) < LARGE or n < ROUNDS:
        return 1
    some = (2, 3, 4) if registers() == 32 else (2,)
    return max(some, key=lambda m: (-(n % m), m))


def worth(instructions) -> bool:
    """Whether a vector that takes these is better braided with others."""
    return LEAST <= sum(x.opname in _CHAINS for x in instructions) <= MOST


_CHAINS = frozenset(["fadd", "fsub", "fmul", "fdiv", "call", "select", "fcmp"])


def braid(block, starts) -> None:
    """Put the block's instructions from `starts` on, one start for each vector, in turns.

    Where one reads what another computed first, such as a number that all need, it waits.
    """
    ends = [*starts[1:], len(block.instructions)]
    strands = [block.instructions[a:z][::-1] for a, z in zip(starts, ends, strict=True)]
    waiting = {x.text for strand in strands for x in strand}
    out = []
    while any(strands):
        for strand in strands:
            if strand and waiting.isdisjoint([x.text for x in strand[-1].operands]):
                x = strand.pop()
                waiting.discard(x.text)
                out.append(x)
    block.instructions[starts[0] :] = out


__all__ = ["braid", "side_by_side", "worth"]
