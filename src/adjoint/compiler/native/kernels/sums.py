"""Sums: many elements joined to one, along a loop in lanes and then as a tree."""

from __future__ import annotations

import math

from ...schedule.cost import STEP, weight
from ..arithmetic.kinds import BIT, Unsigned, element, element_of
from ..arithmetic.lanes import Lanes
from ..llvm import text as ir
from ..llvm.flow import either
from ..llvm.types import I32, I64
from ..sharing import JOINED, Stage, Sum, elements_apart, pieces
from .affine import Affine
from .elements import Elements
from .nests import vectored
from .storage import Flat

ABREAST = 4  # sums of a row at a time: an addition waits four cycles for the one before
LIGHT = 6 * STEP  # nanoseconds of an element: a heavier one hides that wait


class How:
    """What elements are joined by, from what on, and what is done at the end."""

    def __init__(self, start, join, finish=None):
        self.start, self.join = start, join
        self.finish = finish or (lambda b, x, n: x)

    def first(self, kind):
        """The number from which elements of this type are joined."""
        kind = element_of(kind)
        if not isinstance(kind, ir.IntType) or math.isfinite(self.start):
            return self.start
        signed = kind != BIT and not isinstance(kind, Unsigned)
        low = -(1 << (kind.width - 1)) if signed else 0
        return low if self.start < 0 else low + (1 << kind.width) - 1


HOW = {
    "sum": How(0, lambda b, x, y: b.add(x, y)),
    "mean": How(
        0,
        lambda b, x, y: b.add(x, y),
        lambda b, x, n: b.mul(x, 1.0 / n if n else math.nan),
    ),
    "conv_weight": How(0, lambda b, x, y: b.add(x, y)),
    "contract": How(0, lambda b, x, y: b.add(x, y)),
    "prod": How(1, lambda b, x, y: b.mul(x, y)),
    "amax": How(-math.inf, lambda b, x, y: b.largest(y, x)),
    "amin": How(math.inf, lambda b, x, y: b.least(y, x)),
}


class Sums(Elements):
    """Reductions of a row's elements."""

    def open(self, o, chunk):
        """Nothing is summed up yet: of one chunk, in its own place, which is the result's now."""
        y, how = o.outputs[0], HOW[o.prim.name]
        if chunk is not None:
            self.pointers[y] = self.own(o, chunk)

        def go(index):
            kind = self.lanes.vector(element(y.spec.dtype))
            self.store(self.lanes.number(how.first(kind), kind), Flat(y), index)

        self.over((math.prod(y.spec.shape),), go)

    def closing(self, o, chunks, n):
        """The stage in which what chunks have summed up becomes the result; not if it is."""
        if chunks == 1 and o.prim.name != "mean":
            return
        y = o.outputs[0].spec
        sizes = vectored((math.prod(y.shape),))
        cut = pieces(sizes, chunks * y.bytes // JOINED)

        def write(e, chunk):
            e.close(o, chunks, n, e.spans(sizes, cut, chunk))

        yield Stage(math.prod(cut), write)

    def close(self, o, chunks, n, spans=()):
        """What all chunks have summed up of n elements, in their order, becomes the result."""
        y, how = o.outputs[0], HOW[o.prim.name]

        def go(index):
            joined = (
                self.load(Flat(y), index)
                if chunks == 1
                else self._joined(o, chunks, index)
            )
            self.store(how.finish(self.lanes, joined, n), Flat(y), index)

        self.over((math.prod(y.spec.shape),), go, spans)

    def _joined(self, o, chunks, index):
        y, how = o.outputs[0], HOW[o.prim.name]
        kind, home = self.lanes.vector(element(y.spec.dtype)), self.pointers[y]
        with self.loop(0, chunks) as i:
            (total,) = i.carry(self.lanes.number(how.first(kind), kind))
            self.pointers[y] = self.own(o, self.at[i.mark])
            i.next(how.join(self.lanes, total, self.load(Flat(y), index)))
        self.pointers[y] = home
        return i.results[0]

    def own(self, o, chunk):
        """Where a chunk has its own sums."""
        place = self.b.mul(chunk, I64(elements_apart(o)))
        return self.b.gep(self.pointers[Sum(o)], [place])

    def _spans(self, n):
        """(start, stop, lanes) of the full vectors of a dim and of the rest."""
        w = self.vectors
        full, rest = n // w * w, n % w
        return [(0, full, w)] * bool(full) + [(full, n, rest)] * bool(rest)

    def _summed(self, sizes, spans, accs, index, strip, part=(), many=1):
        """What strip(loop, index, acc) makes of each span's acc over `sizes`, the last in lanes.

        `part` are the ends of dims of which only a part is summed. `many` vectors of a row are
        summed side by side, each on its own.
        """
        end, *part = part or [None] * len(sizes)
        if len(sizes) == 1:
            pairs = zip(spans, accs, strict=True)
            found = (self._summed_span(*p, index, strip, end, many) for p in pairs)
            return [acc for some in found for acc in some]
        with self.loop(*(end or (0, sizes[0]))) as i:
            phis = iter(i.carry(*(x for acc in accs for x in acc)))
            accs = [[next(phis) for _ in acc] for acc in accs]
            at = (*index, Affine({i.mark: 1}))
            after = self._summed(sizes[1:], spans, accs, at, strip, part)
            i.next(*(x for acc in after for x in acc))
        results = iter(i.results)
        return [[next(results) for _ in acc] for acc in after]

    def abreast(self, operations, sizes) -> int:
        """How many vectors of a row are summed side by side, as `_summed` can."""
        few = len(sizes) > 1 or sizes[-1] // self.vectors < 2 * ABREAST
        todo = [p for o in operations for p in self.schedule.computed(o)]
        return 1 if few or sum(map(weight, todo)) > LIGHT else ABREAST

    def _summed_span(self, span, acc, index, strip, end=None, many=1):
        start, stop, step = span
        if end is not None and start:
            return [self._rest(span, acc, index, strip, end)]
        if end is not None:
            start, stop = (self.b.mul(x, I64(step)) for x in end)
        elif stop - start >= many * step > step:
            return self._summed_abreast(span, acc, index, strip, many)
        return self._rounds((start, stop, step), [acc], index, strip)

    def _summed_abreast(self, span, acc, index, strip, many):
        """Rounds of `many` vectors, and what is left to the first of the sums."""
        start, stop, step = span
        end = stop - (stop - start) % (many * step)
        totals = self._rounds((start, end, step), [acc] * many, index, strip)
        for k, at in enumerate(range(end, stop, step)):
            rest = at, at + step, step
            (totals[k],) = self._rounds(rest, [totals[k]], index, strip)
        return totals

    def _rounds(self, span, accs, index, strip):
        """What strip makes of each acc, one vector after the other."""
        start, stop, step = span
        with self.loop(start, stop, step * len(accs)) as i:
            phis = iter(i.carry(*(x for acc in accs for x in acc)))
            after = []
            with self.across(i.mark, step):
                for k, acc in enumerate(accs):
                    at = (*index, Affine({i.mark: 1}, k * step))
                    after.append(strip(i, at, [next(phis) for _ in acc]))
                i.next(*(x for acc in after for x in acc))
        results = iter(i.results)
        return [[next(results) for _ in acc] for acc in accs]

    def _rest(self, span, acc, index, strip, end):
        """What no full vector is of is summed with the last of them."""
        b, before = self.b, self.b.block
        with self.last(span[0] // self.vectors, end):
            (after,) = self._summed_span(span, acc, index, strip)
            inside = b.block
        pairs = zip(acc, after, strict=True)
        return [either(b, x, before, y, inside) for x, y in pairs]

    def _start(self, o, kind, width):
        kind = ir.VectorType(kind, width) if width > 1 else kind
        return ir.Constant(kind, HOW[o.prim.name].first(kind))

    def _total(self, parts, how):
        """All lanes of some vectors joined: those of a kind first, as a tree."""
        kind = parts[0].type
        joined = [x for x in parts if x.type == kind]
        others = [x for x in parts if x.type != kind]
        lanes = Lanes(self.b, getattr(kind, "count", 1))
        while len(joined) > 1:
            pairs = zip(joined[::2], joined[1::2], strict=False)
            odd = joined[-1:] if len(joined) % 2 else []
            joined = [how.join(lanes, x, y) for x, y in pairs] + odd
        total = self._fold(joined[0], how)
        if not others:
            return total
        return how.join(self.lanes, total, self._total(others, how))

    def _fold(self, x, how):
        """The lanes of a vector joined as a tree."""
        if not isinstance(x.type, ir.VectorType):
            return x
        w = x.type.count
        top = 1 << (w - 1).bit_length()
        if top > w:
            start = ir.Constant(x.type, how.first(x.type))
            x = self._lanes_of(x, start, [*range(top)])
        while top > 1:
            top //= 2
            low = self._lanes_of(x, x, [*range(top)])
            high = self._lanes_of(x, x, [*range(top, 2 * top)])
            x = how.join(Lanes(self.b, top), low, high)
        return self.b.extract_element(x, I32(0))
