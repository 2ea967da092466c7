"""Parts: a program, or the body of a loop in one, with a place for every value, known before.

What comes from outside and what goes there lies where the caller says. What lives only inside
lies in one arena, in which values whose lives do not overlap share a place.
"""

from __future__ import annotations

import math

from ...ir.passes import prepared
from ..schedule import Schedule
from . import conv
from .products import form_of

ALIGN = 64
STREAM = 2**24  # bytes of a result from which on it is written past the caches


class Part:
    """A scheduled program whose values have places; `renewed` maps outputs to inputs.

    An output that is the new value of an input is computed in its memory where that is safe;
    otherwise it is copied there at the end. All other outputs lie where the caller says.
    """

    def __init__(self, graph, renewed: dict[int, int], kept: tuple[int, ...] = ()):
        self.graph = g = prepared(graph)
        self.schedule = s = Schedule(g)
        self.outputs = [s.root(v) for v in g.outputs]
        self.homes: dict = {}  # output -> the input in whose memory it is, or None
        self.copies: list = []  # (output, input): to be copied at the end
        safe = s.last_check() + 1  # the first kernel from which on nothing fails
        for i, r in enumerate(self.outputs):
            if i not in renewed and i not in kept:
                self.homes[r] = None
        for i, j in renewed.items():
            r, v = self.outputs[i], g.inputs[j]
            if r not in self.homes and _renewable(s, r, v, safe):
                self.homes[r] = v
            else:
                self.copies.append((r, v))
        self.inner = {k: _bodies(k.roots[0]) for k in s.kernels if k.kind == "loop"}
        self.streamed: set = set()
        self.offsets: dict = {}
        self.bytes = self._place()

    def stream(self, results) -> None:
        """Of these results, those that are larger than caches and not read here bypass them."""
        read = {v for k in self.schedule.kernels for v in k.reads}
        for v in results:
            shape, size = v.spec.shape, v.spec.dtype.itemsize
            wide = math.prod(shape) * size >= STREAM and shape[-1] * size % ALIGN == 0
            if wide and v not in read and self.homes.get(v, v) is None:
                self.streamed.add(v)

    def constants(self):
        """All constants that need memory, those of inner parts among them."""
        yield from self.schedule.constants
        for parts in self.inner.values():
            for part in parts.values():
                yield from part.constants()

    def scratch(self) -> int:
        """Bytes that a worker needs for the products here and in inner parts, one at a time."""
        contracts = [k for k in self.schedule.kernels if k.kind == "contract"]
        forms = [form_of(k.roots[0]) for k in contracts]
        inner = [p.scratch() for parts in self.inner.values() for p in parts.values()]
        return max([0, *inner, *(f[0].bytes for f in forms if f)])

    def operations(self):
        """All operations that store something, those of inner parts among them."""
        for k in self.schedule.kernels:
            yield from k.roots
            for part in self.inner.get(k, {}).values():
                yield from part.operations()

    def layout(self) -> list:
        """What code for this part takes for granted of its memory."""
        kinds = [(k.kind, len(k.roots)) for k in self.schedule.kernels]
        inner = [p.layout() for ps in self.inner.values() for p in ps.values()]
        return [self.bytes, self.scratch(), kinds, list(self.offsets.values()), inner]

    def _place(self) -> int:
        """Offsets of what lives inside, first come first placed; the bytes that it takes."""
        last, free, ends, top = self._last_reads(), [], {}, 0
        for i, k in enumerate(self.schedule.kernels):
            free += ends.pop(i, [])
            wanted = [(v, self._size(v)) for v in k.made if v not in self.homes]
            wanted += [(part, part.bytes) for part in self.inner.get(k, {}).values()]
            if k.kind == "conv":
                wanted.append((k, conv.scratch(k.roots[0])))
            for v, n in wanted:
                n = max(ALIGN, -(-n // ALIGN) * ALIGN)
                place = min((f for f in free if f[0] >= n), default=None)
                if place:
                    free.remove(place)
                else:
                    place, top = (n, top), top + n
                self.offsets[v] = place[1]
                ends.setdefault(last.get(v, i) + 1, []).append(place)
        return top

    def _size(self, v) -> int:
        """Bytes of a value, or of one row of it."""
        rank = self.schedule.local.get(v, 0)
        return math.prod(v.spec.shape[rank:]) * v.spec.dtype.itemsize

    def _last_reads(self) -> dict:
        last: dict = {}
        for i, k in enumerate(self.schedule.kernels):
            for v in (*k.reads, *k.made):
                last[v] = i
        inside = [r for r in self.outputs if r not in self.homes]
        last.update(dict.fromkeys(inside, len(self.schedule.kernels)))
        return last


def _bodies(o) -> dict[str, Part]:
    """The parts inside of a loop or branch."""
    p, k = o.params, o.params.get("carries", 0)
    around = {i: i for i in range(k)}
    if o.prim.name == "scan":
        return {"body": Part(p["body"], around)}
    if o.prim.name == "branch":
        return {"yes": Part(p["yes"], {}), "no": Part(p["no"], {})}
    return {"test": Part(p["test"], {}, kept=(0,)), "body": Part(p["body"], around)}


def _renewable(s, r, state, safe) -> bool:
    """Whether a new value can be computed in the memory of the old one.

    No loop may read the old value after, or elsewhere than, its own element; nor may one
    fail when it is gone.
    """
    kernel = s.kernel_of.get(r)
    if kernel is None or kernel.kind != "map" or s.number[kernel] < safe:
        return False
    if any(state in k.reads for k in s.kernels[s.number[kernel] + 1 :]):
        return False
    return all(s.accesses(o).get(state, True) for o in kernel.roots)
