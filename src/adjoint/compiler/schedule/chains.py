"""Chains: kernels around convolutions that threads take image by image, without a wait between.

Each kernel of a chain is cut along its first dim, the images of a batch, in the same pieces, and
a piece reads of what the chain has made only its own images. So one job is enough for all:
whoever takes a piece does it in every kernel, one after the other, while its data is near. What
sums over images, such as gradients of weights, sums those of a piece in a place of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.dims import MET, carried
from ...ir.graph import Const
from ...ir.positions import doubtful
from .arena import Tenant, lives, settled, whole
from .schedule import Kernel

KINDS = frozenset({"map", "put", "reduce", "conv"})
FEWEST, MOST = 8, 16  # pieces
LARGEST = 2**23  # bytes that a chain makes: all of it lives as long as the chain
GAP = 4  # kernels that are passed over in search of the next


@dataclass(eq=False)
class Chain:
    """Kernels that follow each other in a schedule, cut in so many pieces of their first dim.

    What is `inside` nobody else reads: a worker has memory for one piece of it.
    """

    members: list[Kernel]
    pieces: int
    inside: set

    def step(self, v) -> int:
        """Bytes of a piece of a value."""
        return v.spec.bytes // self.pieces

    def room(self, leaves, needs) -> tuple[dict, int]:
        """(where in a worker's memory a value, or what a convolution needs, lies; its bytes).

        `needs` says how many bytes a convolution works in.
        """
        found = [
            Tenant(k, whole(needs(k.roots[0])), 0, len(self.members))
            for k in self.members
            if k.kind == "conv"
        ]
        return settled([*found, *lives(self.members, self.inside, leaves, self.step)])

    def inside_of(self, k) -> list:
        """What a member makes for others alone."""
        return [v for v in k.made if v in self.inside]


def chains(s, shares, renewed, piecewise) -> list[Chain]:
    """Find those of a schedule and move their kernels together; `shares` are those worth cutting.

    None makes one of the values `renewed`, which are written over others; `piecewise` says
    whether a convolution is as well done in so many pieces.
    """
    found: list = []
    batches = {k.roots[0].inputs[0].spec.shape[0] for k in shares if k.kind == "conv"}
    for n in sorted(batches) if not s.graph.again else ():
        pieces, tried = _pieces(n), {k for chain in found for k in chain.members}
        for k in list(s.kernels) if pieces else ():
            if k not in tried and _starts(k, n):
                growth = _Growth(s, (n, pieces), renewed, piecewise).grown(k)
                tried.update(growth.members)
                if growth.worth(shares):
                    found.append(growth.settled())
    return found


def _pieces(n) -> int:
    """In how many pieces as large as each other so many images are cut; 0 if that is not even."""
    counts = range(MOST, FEWEST - 1, -1)
    return next((c for c in counts if n % c == 0 and (n == c or n > 2 * c)), 0)


def _starts(k, n) -> bool:
    return k.kind in KINDS - {"reduce"} and k.roots[0].outputs[0].spec.shape[:1] == (n,)


def _sums(k) -> bool:
    """Whether it sums over images."""
    return k.kind == "reduce" or k.roots[0].prim.name == "conv_weight"


class _Growth:
    """A chain while members are found."""

    def __init__(self, s, cut, renewed, piecewise):
        self.s, self.renewed, self.piecewise = s, renewed, piecewise
        self.n, self.pieces = cut  # images, and in how many pieces
        self.members: list = []
        self.before: list = []  # what lies between and does not need them
        self.after: list = []  # and what does
        self.made: set = set()  # by members, image by image
        self.late: set = set()  # by them, sums too, and by what comes after

    def grown(self, start) -> _Growth:
        """With all kernels from `start` on that fit, if it does, up to another chain."""
        between: list = []
        for k in self.s.kernels[self.s.number[start] :]:
            if k.pieces or len(between) > (GAP if self.members else 0):
                break
            if self._fits(k):
                self._settle(between)
                between = []
                self._take(k)
            else:
                between.append(k)
                self.late.update(k.made if self._needs(k) else ())
        return self

    def _needs(self, k) -> bool:
        """Whether it comes after: it reads what does, or writes over what was read before."""
        renews = not self.renewed.isdisjoint(k.made)
        return renews or not self.late.isdisjoint(k.reads)

    def _settle(self, between):
        for k in between:
            (self.after if self.late.intersection(k.made) else self.before).append(k)

    def _take(self, k):
        self.members.append(k)
        self.late.update(k.made)
        if not _sums(k):
            self.made.update(k.made)

    # ------------------------------------------------------------ what fits

    def _fits(self, k) -> bool:
        """Whether it is cut along images and reads of members only the same ones."""
        if k.kind not in KINDS or self._needs_late(k) or not self._cut(k):
            return False
        if any(v in self.renewed or v in self.s.local for v in k.made):
            return False
        size = sum(v.spec.bytes for v in (*self.made, *k.made))
        return size <= LARGEST and self._by_images(k)

    def _needs_late(self, k) -> bool:
        """Whether it reads what is only made after the chain."""
        return any(v in self.late and v not in self.made for v in k.reads)

    def _cut(self, k) -> bool:
        """Whether its first dim, of which there are others, counts images."""
        (o, *_), n = k.roots, self.n
        if k.kind == "conv":
            first = o.inputs[0].spec.shape[0]
            return first == n and self.piecewise(o, self.pieces)
        if k.kind == "reduce":
            return 0 in o.params["dim"] and len(k.space) > 1 and k.space[0] == n
        return len(k.space) > 1 and k.space[0] == n and 0 not in k.space

    def _by_images(self, k) -> bool:
        """Whether image i of what it makes needs only image i of what members make."""
        s, tied = self.s, set()
        for o in s.operations(k):
            if doubtful(o, s.maker):
                return False
            for i, v in enumerate(o.inputs):
                if isinstance(v, Const) or not (v in tied or s.root(v) in self.made):
                    continue
                if v in s.views or v.spec.shape[:1] != (self.n,):
                    return False
                way = carried(o, i, 0)
                if way != 0 and not (way == MET and o in k.roots):
                    return False
                if way == 0:
                    tied.update(o.outputs)
        return True

    # ------------------------------------------------------------ what is worth it

    def worth(self, shares) -> bool:
        """Whether threads would wait for each other between convolutions and others."""
        kinds = [k.kind for k in self.members if k in shares]
        return "conv" in kinds and len(kinds) > 1

    def settled(self) -> Chain:
        """The chain, its members one after the other in the schedule."""
        s = self.s
        first = s.number[self.members[0]]
        found = [*self.before, *self.members, *self.after]
        s.arrange([*s.kernels[:first], *found, *s.kernels[first + len(found) :]])
        for k in self.members:
            k.pieces = self.pieces
        return Chain(self.members, self.pieces, self._inside())

    def _inside(self) -> set:
        """Values that only members read."""
        s, members = self.s, set(self.members)
        shown = {s.root(v) for v in s.graph.outputs}
        return {v for v in self.made - shown if s.leaves[v] and s.leaves[v] <= members}


__all__ = ["Chain", "chains"]
