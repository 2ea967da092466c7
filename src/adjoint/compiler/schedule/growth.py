"""Growth: which kernels are worth running together, and how their slices are cut further."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...ir.positions import doubtful
from ...ops.contract import letters_of, sides, sizes_of
from .arena import lives, peak
from .bands import UNIT, Axis, Ends, finals, makes, over_rows, reads, totals, waits
from .schedule import LARGEST

LEAST = 2**14  # bytes between kernels from which on they are joined
SLICE = 2**20  # bytes of a slice that stay in the second level of caches
LEFT, MOST = 8, 64  # blocks of rows with ends at least, rows of one at most
MANY = 8  # members whose rows threads do from the first to the last, without waiting between
WHOLE = 2 * LARGEST  # operations of a group, of which no loop nest has all
NARROW = 128  # numbers in a row of what products are made of
FEW = 4  # slices that are worth it if they fit into the cache anyway
BLOCKS = 16  # that are enough for threads, if they have MOST rows


class Band(NamedTuple):
    """Blocks of `block` of the `height` rows of a slice.

    `rows` says which dim, or letter, of each member counts rows, `columns` which counts what
    ends at one of `ends`, of `width`, for each block; `sums` are the members that sum over
    rows, for which blocks go from the last to the first, which has all columns.
    """

    block: int
    height: int
    width: int
    rows: dict
    columns: dict
    ends: list[int]
    sums: set

    @property
    def blocks(self) -> int:
        return -(-self.height // self.block)

    def share(self, member) -> float:
        """How much of a member is computed: columns beyond the ends are left out."""
        if not self.ends or member not in self.columns:
            return 1.0
        starts = range(0, self.height, self.block)
        rows = (min(self.block, self.height - i) for i in starts)
        done = sum(n * end for n, end in zip(rows, self.ends, strict=True))
        return done / (self.height * self.width)


class Growth:
    """A group while members are found; `form_of` says how products are cut, if they can be."""

    def __init__(self, s, seed, form_of):
        self.s, self.seed, self.members, self.form_of = s, seed, [seed], form_of
        self.at: dict = {}  # member -> its dims or letters that count slices
        self.dims: dict = {}  # value -> which of its dims do
        self.made: set = set()
        self.shown = set(s.alias.values()) | {s.root(v) for v in s.graph.outputs}
        self.inside: list = []  # values that only members read
        self.once: set = set()  # what members make of all rows
        self.band: Band | None = None  # how slices are cut further
        o = seed.roots[0]
        letters = counted(o)
        out = letters_of(o.params["spec"])[2]
        shape = dict(zip(out, o.outputs[0].spec.shape, strict=True))
        self.sizes = tuple(shape[c] for c in letters)
        self._take(seed, tuple(letters))
        # Those that may count rows.
        self.axes = [Axis(s, [seed], (seed, c)) for c in rows_of(o)]

    def grow(self) -> set:
        """Find members; all kernels that must not come before the group, these among them."""
        s = self.s
        start = s.kernels.index(self.seed)
        later: set = set()
        for k in s.kernels[start + 1 :]:
            makers = self._makers(k, waits(s, k))
            if not makers & later and self._joins(k, makers):
                continue
            if self._makers(k, k.reads) & later.union(self.members):
                later.add(k)
        return later | set(self.members)

    def _makers(self, k, values) -> set:
        """The other kernels that make them."""
        return {self.s.kernel_of.get(v) for v in values} - {k}

    def _joins(self, k, makers) -> bool:
        """Take a kernel, and those that make what it reads if they fit as well."""
        if k.kind not in ("contract", "map", "rows"):
            return False
        at = self._axes_of(k)
        if at is None:
            return False
        before, known = list(self.members), dict(self.dims)
        self._take(k, at)
        for j in makers - set(self.members) - {None}:
            self._absorb(j, k)
        if self.sizes or self._row_by_row(self.members[len(before) :]):
            return True
        self._only(before)
        self.dims = known
        return False

    def _row_by_row(self, new) -> bool:
        """Whether what has one slice alone can be cut into blocks of rows, with new members."""
        self.inside = self._inside()
        axes = [axis.joined(new) for axis in self.axes]
        axes = [axis for axis in axes if self._cuttable(axis, new)]
        self.axes = axes or self.axes
        return bool(axes)

    def _absorb(self, j, k):
        """A product whose result is read by k, and by nobody but members."""
        if j.kind != "contract" or not floats(j.roots[0]):
            return
        o = j.roots[0]
        v = o.outputs[0]
        if not self.s.leaves[v].issubset(self.members):
            return
        found = [t for w, t in reads(self.s, k) if w is v and t is not None]
        if not found or not all(a in found[0] for a in self.at[k]):
            return
        letters = letters_of(o.params["spec"])
        at = tuple(letters[2][found[0].index(a)] for a in self.at[k])
        if all(a in letters[0] and a in letters[1] for a in at):
            self._take(j, at)

    def _take(self, k, at):
        if k not in self.members:
            self.members.append(k)
        self.at[k] = at
        self.once.update(o.outputs[0] for o in (*totals(k), *finals(k)))
        for v, tags in makes(k):
            self.dims[v] = tuple(tags.index(a) for a in at)
            self.made.add(v)

    def _axes_of(self, k):
        """Which of its dims count slices, if it reads slices only of their own index."""
        s = self.s
        if sum(m.cost for m in self.members) + k.cost > WHOLE:
            return None
        if k.kind == "contract" and not floats(k.roots[0]):
            return None
        if any(doubtful(o, s.maker) for o in s.operations(k)):
            return None
        found = set()
        for v, tags in reads(s, k):
            if v in self.dims:
                if tags is None:
                    return None
                found.add(tuple(tags[d] for d in self.dims[v]))
        if len(found) != 1:
            return None
        (at,) = found
        return at if set(at) <= _free(k) and len(set(at)) == len(at) else None

    # ------------------------------------------------------------ what is worth it

    def _inside(self) -> list:
        """Values that only members read."""
        s, members = self.s, set(self.members)
        return [
            v
            for v in sorted(self.made - self.once, key=s.order)
            if v not in self.shown
            and s.leaves[v]
            and s.leaves[v] <= members
            and self.leading(v) is not None
            and v not in s.local
        ]

    def leading(self, v):
        """The first dim after those that count slices, if no others lie between."""
        dims = self.dims[v]
        end = 1 + max(dims, default=-1)
        first = all(d in dims or v.spec.shape[d] == 1 for d in range(end))
        return end if first else None

    def worth(self) -> bool:
        """Whether enough memory is saved; last members that cost more are left out."""
        if len(self.members) < 2 or self._saved() < LEAST:
            return False
        self.members.sort(key=self.s.number.__getitem__)
        self._trim()
        self.inside, self.band = self._inside(), self._cut()
        small = self._room() <= SLICE and math.prod(self.sizes) >= FEW
        return bool(self.band) or small

    def _saved(self) -> int:
        """Bytes of what only members read."""
        return sum(v.spec.bytes for v in self._inside())

    def _room(self) -> int:
        """Bytes of a slice of that, at the time when most of it is needed."""
        alive = lives(self.members, self.inside, self.s.leaves, lambda v: v.spec.bytes)
        return peak(alive)[0] // math.prod(self.sizes)

    def _trim(self):
        """Leave out last members that keep slices from being cut and save little memory."""
        every, least = list(self.members), 0.9 * self._saved()
        while len(self.members) > 1 and self._saved() >= least:
            self.inside = self._inside()
            if self._cut():
                return
            self._only(self.members[:-1])
        self._only(every)

    def _only(self, members):
        self.members = members
        self.made = {v for k in members for v in k.made}
        self.once &= self.made

    def _cut(self):
        """How slices are cut into blocks, if that is possible and worth it."""
        own = rows_of(*self.seed.roots)
        if len(own) != 2:
            return None
        for c, d in (tuple(own), tuple(own)[::-1]):
            rows = Axis(self.s, self.members, (self.seed, c))
            if self._cuttable(rows, self.members):
                columns = Axis(self.s, self.members, (self.seed, d))
                return self._band(rows, columns, (own[c], own[d]))
        return None

    def _cuttable(self, rows, some) -> bool:
        """Whether some members, and so all, are computed row by row, or only sum over rows."""
        if not rows.sound or not all(k in rows.roles for k in self.members):
            return False
        if any(not self._first(rows.dims.get(v), v) for v in self.inside):
            return False
        late = self.once | {o.outputs[0] for k in rows.sums for o in k.roots}
        if any(late & waits(self.s, k) for k in self.members):
            return False  # these are there when all blocks are done
        return all(self._by_rows(k, rows) for k in some)

    def _first(self, d, v) -> bool:
        """Whether this dim is the first of a slice."""
        before = v.spec.shape[self.leading(v) : d] if d is not None else (0,)
        return all(n == 1 for n in before)

    def _by_rows(self, k, rows) -> bool:
        role = rows.roles[k]
        if role in self.at[k]:
            return False
        if totals(k):
            return role in range(k.rank or len(k.space))
        if k.kind == "map" and not self.sizes:
            return role in range(len(k.space))
        if k.kind != "contract":
            return role in _free(k)
        (o,) = k.roots
        found = self.form_of(o, self.at[k], self.s.steps)
        if found is None:
            return False
        form, swap = found
        if form.batch or form.sums or not narrow(o, role):
            return False
        left, right, out = letters_of(o.params["spec"])
        return role not in out or form.m == 1 or role in (right if swap else left)

    def _band(self, rows, columns, shape):
        """The blocks: few enough rows for the cache; of rows with ends, few anyway."""
        height, width = shape
        room = self._room()
        n = _block(height, max(UNIT, min(MOST, height // LEFT // UNIT * UNIT)))
        ends = self._ends(rows, columns, shape, n)
        if min(ends, default=width) < width:
            return Band(n, height, width, rows.roles, columns.roles, ends, rows.sums)
        n = max(UNIT, SLICE // 2 * height // max(room, 1) // UNIT * UNIT)
        enough = max(MOST, -(-height // (BLOCKS * UNIT)) * UNIT)
        n = _block(height, min(n, 2 * MOST, enough))
        long = not self.sizes and len(self.members) >= MANY and height >= FEW * n
        if room <= SLICE and not long:
            return None
        return Band(n, height, width, rows.roles, {}, [], rows.sums)

    def _ends(self, rows, columns, shape, n) -> list[int]:
        """The column at which each block of n rows ends; empty if all need all columns."""
        height, width = shape
        if not self._ending(rows, columns):
            return []
        ends = Ends(self.s, rows, columns).of(shape)
        if ends is None:
            return []
        most = [max(ends[i : i + n]) for i in range(0, height, n)]
        most = [_rounded(int(end), width) for end in most]
        return [*most[:-1], width] if rows.sums else most

    def _ending(self, rows, columns) -> bool:
        """Whether all that has rows and columns is seen by members alone."""
        squares = [v for v in rows.dims if v in columns.dims and v in self.made]
        return columns.sound and all(
            v in self.s.local or v in self.inside for v in squares
        )


def _block(height, most) -> int:
    """Rows of a block, about so many at the most: in the last one there are not just a few."""
    rows = (*range(most, 0, -UNIT), *range(most + UNIT, height + UNIT, UNIT))
    return next((n for n in rows if not 0 < height % n < UNIT), most)


def rows_of(o) -> dict[str, int]:
    """The sizes of the letters that may count rows of a product's result."""
    return sides(o.params["spec"], o.outputs[0].spec.shape)


def narrow(o, role) -> bool:
    """Whether little work is done on each element: a large product is faster as a whole."""
    sizes = sizes_of(o.params["spec"], [v.spec.shape for v in o.inputs])
    return min((n for c, n in sizes.items() if c != role), default=0) <= NARROW


def floats(o) -> bool:
    return o.outputs[0].spec.dtype.str[1:] in ("f4", "f8")


def counted(o) -> list[str]:
    """The letters that count products."""
    left, right, out = letters_of(o.params["spec"])
    sizes = zip(out, o.outputs[0].spec.shape, strict=True)
    return [c for c, n in sizes if n > 1 and c in left and c in right]


def _rounded(end: int, width: int) -> int:
    """An end at which vectors and tiles end as well."""
    end = -(-end // UNIT) * UNIT
    return width if end // UNIT >= width // UNIT else end


def _free(k) -> set:
    """The dims or letters of which it computes each index alone."""
    if k.kind == "contract":
        return set(letters_of(k.roots[0].params["spec"])[2])
    if k.kind == "map":
        return set(range(len(k.space) - 1))
    return set() if over_rows(k) else set(range(k.rank))
