"""Geometry of a convolution: frames, and which elements of the kernel meet where."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from ..llvm.machine import vector_bits
from .frame import Frame


class Grid(NamedTuple):
    """Results at `firsts` + i `spaces`, `size` of them: what each meets in a frame.

    They are computed by the kernel's elements `taps`, which for the first result lie at
    `offsets`, and for the others `strides` further each.
    """

    size: tuple[int, ...]
    firsts: tuple[int, ...]
    spaces: tuple[int, ...]
    strides: tuple[int, ...]
    taps: list[int]
    offsets: list[int]


class Shape:
    """The sizes of one convolution, x (N,C,·) to y (N,O,·) by w (O,C/groups,·)."""

    def __init__(self, o):
        p, name = o.params, o.prim.name
        first, second, third = (v.spec.shape for v in (*o.inputs, *o.outputs))
        x, w, y = {
            "conv": (first, second, third),
            "conv_data": (third, second, first),
            "conv_weight": (first, third, second),
        }[name]
        self.size, self.kernel, self.out = x[2:], w[2:], y[2:]
        self.stride, self.padding, self.dilation = (
            p[k] for k in ("stride", "padding", "dilation")
        )
        if self._pointwise():
            self._flatten()
        self.n, self.groups = x[0], p["groups"]
        self.o, self.c = y[1] // self.groups, w[1]
        self.taps, self.places = math.prod(self.kernel), math.prod(self.out)
        self.item = o.outputs[0].spec.dtype.itemsize
        self.lanes = vector_bits() // 8 // self.item

    def _pointwise(self) -> bool:
        """Every place meets one element, its own: all dims are one."""
        plain = {*self.kernel, *self.stride} == {1}
        return plain and not any(map(any, self.padding))

    def _flatten(self):
        self.size = self.out = (math.prod(self.size),)
        self.kernel = self.stride = self.dilation = (1,)
        self.padding = ((0, 0),)

    def forward(self) -> tuple[Frame, Grid]:
        """The frame of x, and all results."""
        reach = [d * (k - 1) for k, d in zip(self.kernel, self.dilation, strict=True)]
        sizes = zip(self.out, self.stride, reach, strict=True)
        extents = tuple((m - 1) * s + r + 1 for m, s, r in sizes)
        starts = tuple(lo for lo, _ in self.padding)
        channels = self.groups * self.c
        frame = Frame(channels, self.size, extents, starts, self.stride[-1])
        taps = [
            [k * d for k in range(n)]
            for n, d in zip(self.kernel, self.dilation, strict=True)
        ]
        zeros, ones = (0,) * len(starts), (1,) * len(starts)
        offsets = frame.offsets(*taps)
        every = list(range(self.taps))
        return frame, Grid(self.out, zeros, ones, self.stride, every, offsets)

    def backward(self) -> tuple[Frame, list[Grid]]:
        """The frame of y, and the gradients of x: those a stride apart meet the same taps."""
        dims = [self._combs(d) for d in range(len(self.size))]
        met = [[e for _, _, taps in combs for _, e in taps] or [0] for combs in dims]
        low = [min(es) for es in met]
        ends = [
            max(count + e for _, count, taps in combs for e in _places(taps, lo))
            for combs, lo in zip(dims, low, strict=True)
        ]
        extents = tuple(end - lo for end, lo in zip(ends, low, strict=True))
        starts = tuple(-lo for lo in low)
        frame = Frame(self.groups * self.o, self.out, extents, starts, 1)
        return frame, [
            self._grid(frame, low, combs) for combs in itertools.product(*dims)
        ]

    def _combs(self, d):
        """(first, how many, [(tap, the y it meets at the first)]) of a dim's elements of x."""
        s, lo = self.stride[d], self.padding[d][0]
        out = []
        for first in range(min(s, self.size[d])):
            at = [first + lo - k * self.dilation[d] for k in range(self.kernel[d])]
            taps = [(k, i // s) for k, i in enumerate(at) if i % s == 0]
            out.append((first, len(range(first, self.size[d], s)), taps))
        return out

    def _grid(self, frame, low, combs):
        firsts, size, taps = zip(*combs, strict=True)
        found = list(itertools.product(*taps))
        numbers = [self._number(k for k, _ in tap) for tap in found]
        offsets = [
            frame.offset(*(e - lo for (_, e), lo in zip(tap, low, strict=True)))
            for tap in found
        ]
        ones = (1,) * len(size)
        return Grid(size, firsts, self.stride, ones, numbers, offsets)

    def _number(self, tap) -> int:
        """An element of the kernel counted in order."""
        total = 0
        for k, n in zip(tap, self.kernel, strict=True):
            total = total * n + k
        return total


def _places(taps, default):
    return [e for _, e in taps] or [default]
