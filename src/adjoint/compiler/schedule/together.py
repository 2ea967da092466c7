"""Together: kernels that run apart for every index of some axes become one, slice by slice.

Where products of matrices are counted by common letters, what lies between them is needed for
one index at a time: a slice of it, which stays in the cache, is all the memory that it takes.
Slices that are too large are cut further, into blocks of rows; what sums over rows then adds
up block by block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .arena import lives, settled
from .bands import finals, totals
from .growth import Band, Growth, counted, floats, narrow, rows_of
from .schedule import Kernel
from .views import View, split, steps_of

WIDE = 4  # times as large as its operands is a result whose rows are worth it alone
MANY = 32  # slices that are tasks enough
TALL = 512  # rows of a product that are worth it if each is little work


@dataclass(eq=False)
class Together(Kernel):
    """Kernels that run one after the other for each slice.

    `axes` says for each of them which of its dims, or letters, count slices, `sizes` how many
    there are; `band` is how a slice is cut further.
    """

    members: list[Kernel] = field(default_factory=list)
    axes: dict = field(default_factory=dict)
    sizes: tuple[int, ...] = ()
    band: Band | None = None
    inside: set = field(default_factory=set)  # values that have memory for a slice
    joined: dict = field(default_factory=dict)  # a part of an array -> the array
    parts: int = 0  # places of their own in which blocks add up, to be joined after

    @property
    def made(self) -> list:
        """The values that it stores; of those that it writes into one array, the array."""
        found = (v for o in self.roots for v in o.outputs)
        return list(dict.fromkeys(self.joined.get(v, v) for v in found))

    @property
    def tasks(self) -> int:
        """Parts that can be computed in any order, or at once."""
        blocks = 1 if self.undivided or self.band is None else self.band.blocks
        return math.prod(self.sizes) * (self.parts or blocks)

    @property
    def undivided(self) -> bool:
        """Whether the blocks of a slice are one task: they add up, or there are many slices."""
        summing = bool(self.sums or self.totals) and not self.parts
        return summing or math.prod(self.sizes) >= MANY

    @property
    def sums(self) -> list:
        """The products that add up block by block."""
        found = self.band.sums if self.band else ()
        return [k.roots[0] for k in self.members if k in found]

    @property
    def totals(self) -> list:
        """What members reduce all they have to, or its columns, block by block."""
        return [o for k in self.members for o in totals(k)] if self.band else []

    def reduced(self) -> list:
        """(operation, how many elements are one) of all that adds up block by block."""
        found = [(o, 1) for o in self.sums]
        for o in self.totals:
            shape = o.inputs[0].spec.shape
            found.append((o, math.prod(shape[d] for d in o.params["dim"])))
        return found

    def room(self, s, size) -> tuple[dict, int]:
        """(where in a worker's memory what only members read lies, its bytes)."""
        return settled(lives(self.members, s.local, s.leaves, size))

    __hash__ = object.__hash__


def together(s, form_of) -> None:
    """Join the kernels of a schedule that are worth it.

    `form_of(product, axes, steps)` is how one is cut; None if it is not ours.
    """
    taken: set = set()
    for k in list(s.kernels):
        if k not in taken and k in s.kernels and _starts(k):
            growth = Growth(s, k, form_of)
            later = growth.grow()
            if growth.worth():
                taken.update(growth.members)
                taken.add(_settled(s, growth, later))


def _starts(k) -> bool:
    """Whether it makes many products of matrices, a matrix that is larger than both, or one
    of many rows, each of little work.
    """
    if k.kind != "contract" or not floats(k.roots[0]):
        return False
    (o,) = k.roots
    wide = all(WIDE * v.spec.size <= o.outputs[0].spec.size for v in o.inputs)
    rows = rows_of(o)
    tall = len(rows) == 2 and any(n >= TALL and narrow(o, c) for c, n in rows.items())
    return wide or tall or bool(counted(o))


def _settled(s, growth, later) -> Together:
    """The group in the schedule, after all that it reads and before what reads it."""
    members = growth.members
    for k in filter(finals, members):
        later.update(s.put_off(k, finals(k)))
    group = Together(
        "together",
        [o for k in members for o in k.roots],
        growth.sizes,
        members=members,
        axes=growth.at,
        sizes=growth.sizes,
        band=growth.band,
    )
    for k in members:
        group.reads |= k.reads
        group.cost += k.cost
        group.levels.update(k.levels)
    group.inside.update(growth.inside)
    s.local.update((v, growth.leading(v)) for v in growth.inside)
    s.kernel_of.update(dict.fromkeys(group.made, group))
    end = s.kernels.index(members[-1]) + 1
    others = [k for k in s.kernels[:end] if k not in members]
    before = [k for k in others if k not in later]
    after = [k for k in others if k in later]
    s.arrange([*before, group, *after, *s.kernels[end:]])
    made = set(group.made)
    for k in [k for k in s.kernels if k.kind == "place" and k.reads & made]:
        _write_in_place(s, group, k)
    return group


def _write_in_place(s, group, k) -> None:
    """Let products write their results side by side where they would be copied to."""
    (o,) = k.roots
    parts = [s.root(v) for v in o.inputs]
    made = {m.roots[0].outputs[0] for m in group.members if m.kind == "contract"}
    alone = all(v in made and s.leaves[v] == {k} for v in parts)
    if o.prim.name != "cat" or not alone or len(set(parts)) < len(parts):
        return
    views = list(_side_by_side(o, parts))
    shown = {s.root(v) for v in s.graph.outputs}
    if any(view is None for view in views) or shown.intersection(parts):
        return
    (y,) = o.outputs
    for x, v, view in zip(o.inputs, parts, views, strict=True):
        s.views[v], s.alias[v], s.alias[x] = view, y, y
        group.joined[v] = y
    s.kernel_of[y] = group
    s.arrange([other for other in s.kernels if other is not k])


def _side_by_side(o, parts):
    """Where each part of a concatenation lies in the result, if that takes no copy."""
    (y,), d = o.outputs, o.params["dim"]
    steps, start = steps_of(y.spec.shape), 0
    for x, v in zip(o.inputs, parts, strict=True):
        found = split(x.spec.shape, steps, v.spec.shape)
        yield None if found is None else View(y, start * steps[d], found)
        start += x.spec.shape[d]
