"""Bands: slices cut into blocks of rows, and columns of which nothing comes left out.

A softmax under a mask that is known gives zeros where the mask is low. Products with zeros and
what is only multiplied by them need not be computed: under a causal mask nearly half of all.
"""

from __future__ import annotations

import copy
import math

import numpy as np

from ...core.primitive import Elementwise
from ...ir.graph import Const
from ...ops.contract import letters_of
from .regions import REDUCTIONS

LOW = -1e30  # an exponential of anything to which so little was added is 0
UNIT = 16  # columns are left out in multiples of it


class Axis:
    """Which dim, or letter, of each member of a group counts one axis, and of each value.

    `roles` are those of members, `dims` those of values; `sums` are members that sum over it.
    """

    def __init__(self, s, members, start):
        self.s, self.members, self.start = s, members, start
        self.roles: dict = {}
        self.dims: dict = {}
        self.sums: set = set()
        self.sound = True
        self.made = {v for k in members for v in k.made}
        self._set(*start)
        while self._more():
            pass

    def joined(self, new) -> Axis:
        """That of a group with these members more."""
        if len(new) > 1:  # the others may read what these make
            return Axis(self.s, [*self.members, *new], self.start)
        axis = copy.copy(self)
        axis.members = [*self.members, *new]
        axis.made = self.made.union(*(k.made for k in new))
        axis.roles, axis.dims, axis.sums = {**self.roles}, {**self.dims}, {*self.sums}
        axis._more()
        return axis

    def _more(self) -> bool:
        """Whether another member was found to have it."""
        for k in self.members:
            if k in self.roles:
                continue
            found = {
                tags[self.dims[v]] if tags else None
                for v, tags in reads(self.s, k)
                if v in self.dims
            }
            found |= {tags[self.dims[v]] for v, tags in makes(k) if v in self.dims}
            if found:
                self.sound = self.sound and len(found) == 1
                self._set(k, found.pop())
                return True
        return False

    def _set(self, k, role):
        self.roles[k] = role
        self.sound = self.sound and type(role) in (int, str) and len(str(role)) == 1
        found = [*makes(k), *((v, t) for v, t in reads(self.s, k) if v in self.made)]
        for v, tags in found:
            if tags and role in tags:
                d = tags.index(role)
                if v.spec.shape[d] != 1:
                    self.sound = self.sound and self.dims.setdefault(v, d) == d
        if _multiplies(k) and role not in letters_of(k.roots[0].params["spec"])[2]:
            self.sums.add(k)


def waits(s, k) -> set:
    """The stored values without which a kernel cannot run, but for what it does once."""
    return {v for v, _ in reads(s, k)} if finals(k) else k.reads


def reads(s, k):
    """(stored value, the dim or letter that counts each of its dims); None: not known.

    What is done once, with sums of all, is not asked.
    """
    if _multiplies(k):
        (o,) = k.roots
        for v, letters in zip(o.inputs, letters_of(o.params["spec"]), strict=False):
            r = s.root(v)
            yield r, tuple(letters) if r is v else None
        return
    once = finals(k)
    for o in [o for o in k.roots if o not in once]:
        for w, tags in s.places(o):
            r = s.root(w)
            yield r, tags if r is w else None


def over_rows(k) -> list:
    """The operations of a kernel of rows that reduce what the rows have made."""
    return [o for o in k.roots if o.prim.name in REDUCTIONS and 0 in o.params["dim"]]


def totals(k) -> list:
    """The operations that reduce all that a kernel has, or each of its columns, if no element
    waits for what they give.
    """
    again = not k.rank and any(k.levels.values())
    return over_rows(k) if k.kind == "rows" and not again else []


def finals(k) -> list:
    """The operations of such a kernel that are done once, with what all of it was reduced to."""
    over = [] if k.rank else totals(k)
    rest = [o for o in k.roots if o not in over] if over else []
    return [o for o in rest if o.outputs[0].spec.size == 1]


def makes(k):
    """(value, the dim or letter that counts each of its dims) of all that it stores."""
    over = totals(k)
    for o in k.roots:
        v = o.outputs[0]
        if _multiplies(k):
            yield v, tuple(letters_of(o.params["spec"])[2])
        elif o in over:
            yield v, (None,) * len(v.spec.shape)
        else:
            yield v, tuple(range(len(v.spec.shape)))


def _multiplies(k) -> bool:
    return k.kind == "contract"


class Ends:
    """Up to which column each row of the square values of a group holds anything."""

    def __init__(self, s, rows: Axis, columns: Axis):
        self.s, self.rows, self.columns = s, rows, columns
        self.facts: dict = {}  # value -> "low" or "zero", beyond its rows' ends
        self.constants: dict = {}  # value -> its numbers, or None if they are not known
        self.idle: dict = {}  # value -> whether nobody needs what is beyond
        self.shape = (0, 0)  # rows and columns
        self.found = None  # the end of each row

    def of(self, shape):
        """An array of the ends, or None if all columns are needed."""
        self.shape = shape
        self.squares = {v for v in self.rows.dims if v in self.columns.dims}
        ended = [k for k in self.rows.members if k in self.columns.roles]
        loops = [k for k in ended if not _multiplies(k)]
        made = [o for k in loops for o in self.s.operations(k)]
        if not all(map(self._plain, loops)) or not all(map(self._follow, made)):
            return None
        if self.found is None or self.found.min() < 1:
            return None
        values = {v for o in made for v in o.outputs if self._square(v)} | self.squares
        known = all(v in self.facts or self._idle(v) for v in values)
        products = filter(_multiplies, self.rows.members)
        return self.found if known and all(map(self._limited, products)) else None

    def _plain(self, k) -> bool:
        """Whether its rows are the axis before the last dim, and its columns the last."""
        n = len(k.space)
        return self.columns.roles[k] == n - 1 and self.rows.roles.get(k) == n - 2

    def _square(self, v) -> bool:
        return tuple(v.spec.shape[-2:]) == self.shape

    def _limited(self, k) -> bool:
        """Whether a product needs nothing of what is beyond: zeros, or nobody reads it."""
        (o,) = k.roots
        squares = [v for v in o.inputs if v in self.squares]
        if k not in self.columns.roles:
            return not squares
        return o.outputs[0] in self.squares or (
            bool(squares) and all(self.facts.get(v) == "zero" for v in squares)
        )

    # ------------------------------------------------------------ what lies beyond

    def _follow(self, o) -> bool:
        """Note what is known of the result; whether only what is known is summed."""
        if o.prim.name in ("sum", "amax"):
            if not self._square(o.inputs[0]):
                return True
            wanted = "zero" if o.prim.name == "sum" else "low"
            return self.facts.get(o.inputs[0]) == wanted
        if not self._square(o.outputs[0]):
            return all(not self._square(v) for v in o.inputs)
        fact = getattr(self, f"_{o.prim.name}", self._unknown)(o)
        if fact:
            self.facts[o.outputs[0]] = fact
        return True

    def _unknown(self, o):
        return None

    def _same(self, o):
        return self.facts.get(o.inputs[0])

    _cast = _contiguous = _stop_gradient = _same

    def _neg(self, o):
        return "zero" if self._same(o) == "zero" else None

    def _add(self, o):
        facts = [self.facts.get(v) for v in o.inputs]
        if any(self._masks(v) for v in o.inputs):
            return "low"
        if "low" in facts and not self._square(o.inputs[1 - facts.index("low")]):
            return "low"
        return "zero" if facts == ["zero"] * 2 else None

    def _sub(self, o):
        x, y = (self.facts.get(v) for v in o.inputs)
        if x == "low" and not self._square(o.inputs[1]):
            return "low"
        return "zero" if x == y == "zero" else None

    def _exp(self, o):
        return "zero" if self._same(o) == "low" else None

    def _mul(self, o):
        return "zero" if "zero" in map(self.facts.get, o.inputs) else None

    def _div(self, o):
        return "zero" if self._same(o) == "zero" else None

    def _where(self, o):
        x, y = (self.facts.get(v) for v in o.inputs[1:])
        if x == y == "zero":
            return "zero"
        chosen = self._constant(o.inputs[0])
        if chosen is None:
            return None
        for v, beyond in ((o.inputs[1], chosen), (o.inputs[2], ~chosen)):
            number = v.value if isinstance(v, Const) and v.value.size == 1 else 0
            if number <= LOW and self._ends(beyond):
                return "low"
        return None

    def _masks(self, v) -> bool:
        """Whether adding it makes all columns low that lie beyond some ends."""
        m = self._constant(v)
        return m is not None and m.dtype.kind == "f" and self._ends(m <= LOW)

    def _ends(self, low) -> bool:
        """Note where the rows end of which the rest is low; whether any do."""
        if low.shape[-2:] != self.shape or math.prod(low.shape[:-2]) != 1:
            return False
        beyond = low.reshape(self.shape)
        ends = self.shape[1] - np.argmin(beyond[:, ::-1], axis=1)
        ends = np.where(beyond.all(axis=1), 0, ends)
        self.found = ends if self.found is None else np.maximum(self.found, ends)
        return True

    def _constant(self, v):
        """A value that depends on constants alone, and is not larger than a square."""
        if v not in self.constants:
            self.constants[v] = v.value if isinstance(v, Const) else self._computed(v)
        return self.constants[v]

    def _computed(self, v):
        o = self.s.maker.get(v)
        if o is None or v.spec.size > math.prod(self.shape) or o.prim.outputs != 1:
            return None
        xs = [self._constant(x) for x in o.inputs]
        return None if any(x is None for x in xs) else o.prim.eager(*xs, **o.params)

    def _idle(self, v) -> bool:
        """Whether nobody needs what is beyond: it is masked, or multiplied by zero."""
        if v not in self.idle:
            shown = v in self.s.graph.outputs
            self.idle[v] = not shown and all(map(self._ignores, self.s.readers[v]))
        return self.idle[v]

    def _ignores(self, o) -> bool:
        y = o.outputs[0]
        if not isinstance(o.prim, Elementwise) or not self._square(y):
            return False
        return y in self.facts or self._idle(y)
