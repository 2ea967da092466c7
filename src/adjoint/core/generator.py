"""Generator: where a stream of random numbers has got to, and who may take from it."""

from __future__ import annotations

import ctypes
import os
import threading

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError
from .bind import Box, floor
from .device import need_cpu


class Generator:
    """A stream of random numbers: a seed and the next block's number.

    >>> g = Generator().manual_seed(7)
    >>> (rand(3, generator=g) == rand(3, generator=g.manual_seed(7))).all().item()
    True
    """

    def __init__(self, device="cpu"):
        need_cpu(device, "Generator")
        self.device = "cpu"
        self._lock = threading.Lock()
        # The seed, the next block, and whether Python is at them: compiled programs take from
        # here without asking, unless it is.
        self.place = (ctypes.c_uint64 * 3)(_DEFAULT)
        self._first = _DEFAULT

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` from its beginning."""
        if isinstance(seed, Box):
            seed = seed.item()
        if not isinstance(seed, (int, np.integer)):
            raise ArgumentTypeError(
                f"manual_seed: the seed must be an integer, got {seed!r}"
            )
        if not -(2**63) <= seed < 2**64:
            raise ArgumentError(f"manual_seed: {seed} is not in [-2^63, 2^64)")
        floor.get().seeds(self)
        self.go_to((int(seed) % 2**64, 0))
        return self

    def seed(self) -> int:
        """Start the stream of a seed from the operating system, and say which."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
        return self._first

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._first

    def take(self, blocks: int) -> np.ndarray:
        """int64 [seed, number of the first block] of the next `blocks` blocks, now used up."""
        place, blocks = self.place, int(blocks)
        with self._lock:
            place[2] = 1
            seed, start = place[0], place[1]
            place[1] = (start + blocks) % 2**63
            place[2] = 0
        return np.array([seed, start], np.uint64).view(np.int64)

    def give_back(self, taken: np.ndarray, blocks: int) -> None:
        """Undo what `take` did, unless someone has taken or moved it since."""
        seed, start = (int(n) for n in np.asarray(taken).view(np.uint64))
        place = self.place
        with self._lock:
            place[2] = 1
            if (place[0], place[1]) == (seed, (start + int(blocks)) % 2**63):
                place[1] = start
            place[2] = 0

    def position(self) -> tuple[int, int]:
        """(seed, next block): what `go_to` returns to."""
        with self._lock:
            return self.place[0], self.place[1]

    def go_to(self, position: tuple[int, int]) -> None:
        """Continue from a position."""
        seed, start = position
        with self._lock:
            self.place[2] = 1
            self.place[0], self.place[1], self._first = seed, start, seed
            self.place[2] = 0

    def get_state(self):
        """The position as a tensor of bytes."""
        state = np.array(self.position(), np.uint64).view(np.uint8).copy()
        return Box.level.wrap(state)

    def set_state(self, new_state) -> None:
        """Continue from what `get_state` gave."""
        value = new_state.numpy() if isinstance(new_state, Box) else None
        if value is None or value.dtype != np.uint8 or value.shape != (16,):
            raise ArgumentTypeError(
                "set_state: expected the uint8 tensor of 16 bytes that get_state gives"
            )
        floor.get().seeds(self)
        self.go_to(tuple(int(n) for n in value.copy().view(np.uint64)))

    def clone_state(self) -> Generator:
        """Another generator at the same place."""
        out = Generator()
        out.go_to(self.position())
        return out

    def __repr__(self):
        seed, start = self.position()
        return f"<Generator of seed {seed}, at block {start}>"

    def __reduce__(self):
        return (_at, (self.position(),))


_DEFAULT = 67280421310721  # a prime near 2^46, as good a start as any

default_generator = Generator()
default_generator.seed()


def _at(position):
    out = Generator()
    out.go_to(position)
    return out
