"""Pieces: large memory that programs write, apart in its page from what others allocate.

A load that follows a store waits for it if their places agree in the last 20 bits, as if it read
what is stored there. Large arrays of the C library begin 16 bytes after a page. A result that
begins 64 bytes after one is 48 bytes ahead of such an input all the way: 64 MB took 34 ms
instead of 10.
"""

from __future__ import annotations

import numpy as np

PAGE, START = 2**12, 2**11  # a piece begins so far after a page


def piece(size: int, make=np.empty) -> tuple[np.ndarray, int]:
    """(bytes that `make` gives, where in them so many begin)."""
    raw = make(size + PAGE, np.uint8)
    return raw, (START - raw.ctypes.data) % PAGE
