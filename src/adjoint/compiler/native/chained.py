"""Chained: the kernels of a chain as one job, piece by piece through all of them."""

from __future__ import annotations

from .late import conv
from .llvm.flow import loop
from .llvm.types import I64
from .loops import Loops
from .sharing import Sum, elements_apart


class Chained(Loops):
    """What a writer does with a chain: a function of each kernel, and one that calls them."""

    def _chain(self, e, k, part, base):
        """All of a chain at its first kernel, then what joins the sums of its pieces."""
        chain = part.chains[k]
        if k is not chain.members[0]:
            return
        begin, each, after = [], [], []
        for m in chain.members:
            write = self._piece_of_conv if m.kind == "conv" else self._piece_of_loops
            write(e, m, part, (begin, each, after))
        f, contexts = self._of_pieces(begin, each)
        room = self.inside(base + part.offsets[k])
        self.share(f, contexts, chain.pieces, room, part.rooms[k])
        for m, i, stage in after:
            self._stage(e, m, stage, part, base, (i, chain.pieces))

    def _own(self, k, part) -> dict:
        """Where in a worker's room the values lie of which a piece is enough."""
        chain = part.chains[k]
        found = chain.inside.intersection({*k.reads, *k.made})
        at = part.within[chain]
        order = sorted(found, key=part.schedule.order)
        return {v: (at[v], chain.step(v)) for v in order}

    def _piece_of_loops(self, e, k, part, lists):
        _, each, after = lists
        pieces = part.chains[k].pieces
        first, *rest = e.stages(k, pieces)
        each.append(self._chunks_of(e, k, first, (0, pieces), self._own(k, part)))
        after += [(k, i, stage) for i, stage in enumerate(rest, 1)]

    def _piece_of_conv(self, e, k, part, lists):
        begin, each, after = lists
        (o,), pieces = k.roots, part.chains[k].pieces
        made = conv.kernel(o)
        functions = self._convolution(o, made.in_two)
        for g, jobs in zip(functions, (begin, each), strict=True):
            jobs.append(self._images_of(e, k, part, g, made.shape.n // pieces))
        if Sum(o) in e.pointers:
            stages = e.closing(o, pieces, pieces)
            after += [(k, i, stage) for i, stage in enumerate(stages)]

    def _images_of(self, e, k, part, g, some):
        """(function of a piece of `some` images that calls g for them, what it points to)."""
        (o,), own = k.roots, self._own(k, part)
        values = [part.schedule.root(v) for v in (*o.inputs, *o.outputs)]
        values[2] = Sum(o) if Sum(o) in e.pointers else values[2]
        kept = list(dict.fromkeys(v for v in values if v not in own))
        pointers = [e.pointers[v] for v in kept]
        f, b, given, (first, last, room, _) = self._job(pointers)
        at = {v: given[e.pointers[v]] for v in kept}
        for v in own:
            at[v] = b.bitcast(in_room(b, room, own[v], first), e.pointers[v].type)
        if Sum(o) in at:
            step = b.mul(first, I64(elements_apart(o)))
            at[Sum(o)] = b.gep(at[Sum(o)], [step])
        place = part.within[part.chains[k]][k]
        work = b.bitcast(b.gep(room, [I64(place)]), at[values[0]].type)
        ends = (b.mul(i, I64(some)) for i in (first, last))
        b.call(g, [*(at[v] for v in values), work, *ends])
        b.ret_void()
        return self._once(f), pointers

    def _of_pieces(self, begin, each):
        """(function of a range of pieces, the contexts of what it calls)."""
        contexts = [self._context(pointers) for _, pointers in (*begin, *each)]
        f, b, given, (first, last, room, done) = self._job(contexts)

        def call(jobs, contexts, start, stop):
            for (g, _), context in zip(jobs, contexts, strict=True):
                b.call(g, [given[context], start, stop, room, done])

        with b.if_then(b.icmp_unsigned("==", done, I64(0))):
            call(begin, contexts[: len(begin)], I64(0), I64(1))
        with loop(b, first, last, 1) as i:
            call(each, contexts[len(begin) :], i, b.add(i, I64(1)))
        b.ret_void()
        return self._once(f), contexts


def in_room(b, room, place, first):
    """Where a value of a worker's own lies: `place` is (offset, bytes of a chunk or 0).

    With memory for a chunk alone it begins so far before that the chunk `first` lies there.
    """
    offset, step = place
    back = b.mul(first, I64(-step)) if step else I64(0)
    return b.gep(room, [b.add(back, I64(offset))])
