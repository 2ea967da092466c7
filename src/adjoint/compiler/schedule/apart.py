"""Apart: loops that compute each row of their data on its own, such as a batch's.

Threads then take some rows each and run all steps for them, without meeting in between: a
step of a recurrence is too short for that. What steps sum up over rows, such as the gradients
of weights, each lot of rows sums up by itself.
"""

from __future__ import annotations

from typing import NamedTuple

from ...ir.dims import MET, carried, source
from ...ir.graph import Const, Graph, Operation
from ...ir.passes import prepared
from ...ops.contract import letters_of
from .cost import nanoseconds_of

SUMMED = "summed"  # a value of which each lot has a part
FEWEST = 8  # rows of a lot: those of a tile
SHORTEST = 800  # nanoseconds of a step for a lot, by estimate
MOST = 64  # lots
_LINEAR = frozenset(
    {"add", "sub", "neg", "contiguous", "permute", "reshape", "stop_gradient"}
)


class Lots(NamedTuple):
    """A loop in lots of rows: the body for one, and where rows are in what it is given."""

    body: Graph
    count: int
    inputs: tuple  # of each: the dim of its rows, None for all of it, or SUMMED
    outputs: tuple


def lots(o: Operation, whole: int) -> Lots | None:
    """How to cut a scan, if it can be; what all rows read may take `whole` bytes."""
    body, carries = prepared(o.params["body"], body=True), o.params["carries"]
    for seed in body.inputs[:carries]:
        for dim in _first(seed.spec.shape):
            found = _Rows(body, carries, seed, dim).found()
            if found is not None:
                return _cut(body, found, seed.spec.shape[dim], whole)
    return None


def by_lots(s, cut: dict, outputs) -> set:
    """Values that loops make and only loops in as many lots read, step by step; `cut` maps
    loops of a schedule to their lots.

    They lie lot by lot, so that no core writes, nor fetches early, what is beside another's.
    """
    needed = {*outputs, *s.alias, *s.alias.values()}
    return {
        v
        for k in cut
        for v in k.made
        if v not in needed and _made_by_lots(k, v, cut) and _read_by_lots(s, k, v, cut)
    }


def _made_by_lots(k, v, cut) -> bool:
    (o,) = k.roots
    i = o.outputs.index(v)
    return i >= o.params["carries"] and cut[k].outputs[i] != SUMMED


def _read_by_lots(s, k, v, cut) -> bool:
    readers = [j for j in s.kernels if v in j.reads]
    alike = all(j in cut and cut[j].count == cut[k].count for j in readers)
    return alike and all(_takes_rows(j, v, cut[j]) for j in readers)


def _takes_rows(k, v, lots) -> bool:
    """Whether a loop takes a value step by step, and each lot its rows."""
    (o,) = k.roots
    first, mapped = o.params["carries"], o.params["mapped"]
    at = [i for i, x in enumerate(o.inputs) if x is v]
    return all(
        first <= i < first + mapped and isinstance(lots.inputs[i], int) for i in at
    )


def _first(shape):
    """The first dim that counts, as none or one."""
    return [d for d, n in enumerate(shape) if n != 1][:1]


def _cut(body, at, n, whole):
    """Of the lots that are long enough the smallest ones."""
    read = {v for o in body.operations for v in o.inputs}
    shared = sum(v.spec.bytes for v in body.inputs if v in read and at[v] is None)
    step = sum(map(nanoseconds_of, body.operations))
    for size in range(max(FEWEST, -(-n // MOST)), n // 2 + 1):
        if n % size == 0 and step * size >= SHORTEST * n and shared <= whole:
            places = [tuple(at[v] for v in vs) for vs in (body.inputs, body.outputs)]
            return Lots(_smaller(body, at, size), n // size, *places)
    return None


class _Stuck(Exception):
    """A value that needs more than its own row."""


class _Wanted(Exception):
    """An input has to be given by rows, or summed up."""


class _Rows:
    """Finds for each value of a body the dim of its rows, if the rows of `seed` are `dim`."""

    def __init__(self, body, carries, seed, dim):
        self.body, self.carries, self.n = body, carries, seed.spec.shape[dim]
        self.given = {seed: dim}
        self.maker = {v: o for o in body.operations for v in o.outputs}

    def found(self):
        """value -> dim, None or SUMMED; None where rows need each other."""
        try:
            for _ in range(len(self.body.inputs) + 1):
                try:
                    return self._read()
                except _Wanted:
                    continue
        except _Stuck:
            pass
        return None

    def _read(self):
        body = self.body
        self.at = at = {v: self.given.get(v) for v in (*body.inputs, *body.consts)}
        for o in body.operations:
            rows = any(at[v] is not None for v in o.inputs)
            if rows and len(o.outputs) != 1:
                raise _Stuck
            at.update(dict.fromkeys(o.outputs, self._result(o) if rows else None))
        for v, y in zip(body.inputs[: self.carries], body.outputs, strict=False):
            if at[y] is None or (v in self.given and at[v] != at[y]):
                raise _Stuck
            if at[v] != at[y]:
                self._give(v, at[y])
        if any(not isinstance(at[y], int) for y in body.outputs[self.carries :]):
            raise _Stuck
        held = {v: d for v, d in at.items() if v in {*body.inputs, *body.outputs}}
        for v, d in held.items():
            if isinstance(d, int) and _first(v.spec.shape) != [d]:
                raise _Stuck  # a lot's rows do not lie side by side
        return at

    def _give(self, v, dim):
        carry = v in self.body.inputs[: self.carries]
        if v in self.given or not (carry or (dim != SUMMED and v in self.body.inputs)):
            raise _Stuck
        self.given[v] = dim
        raise _Wanted

    def _want(self, v, dim):
        """This value has rows, of which its readers need their own."""
        if self.at[v] is None and v.spec.shape[dim] == self.n:
            o = self.maker.get(v)
            if o is None:
                self._give(v, dim)
            before = [(x, source(o, i, dim)) for i, x in enumerate(o.inputs)]
            if all(d is None for _, d in before):
                raise _Stuck
            for x, d in before:
                if d is not None:
                    self._want(x, d)
        elif self.at[v] != dim:
            raise _Stuck

    def _result(self, o):
        """Where the rows of a result are."""
        states = [self.at[v] for v in o.inputs]
        if SUMMED in states:
            return self._sum_of_parts(o)
        ends = {carried(o, i, d) for i, d in enumerate(states) if d is not None}
        if len(ends) > 1 or None in ends:
            raise _Stuck
        (end,) = ends
        if end == MET:
            return self._summed(o, states)
        for i, v in enumerate(o.inputs):
            d = source(o, i, end)
            if d is not None:
                self._want(v, d)
            elif states[i] is not None:
                raise _Stuck
        return end

    def _sum_of_parts(self, o):
        if o.prim.name not in _LINEAR:
            raise _Stuck
        for v in o.inputs:
            if self.at[v] is None:
                self._give(v, SUMMED)  # what is added to must be parts as well
            elif self.at[v] != SUMMED:
                raise _Stuck
        return SUMMED

    def _summed(self, o, states):
        """Rows that meet: each lot has a part of the sum."""
        if (
            o.prim.name not in ("sum", "contract")
            or o.outputs[0].spec.dtype.kind != "f"
        ):
            raise _Stuck
        if o.prim.name == "contract":
            operands = letters_of(o.params["spec"])[:2]
            pairs = zip(operands, states, strict=True)
            (letter,) = {x[d] for x, d in pairs if d is not None}
            for v, x in zip(o.inputs, operands, strict=True):
                if letter in x:
                    self._want(v, x.index(letter))
        return SUMMED


def _smaller(body, at, size) -> Graph:
    """The same body for fewer rows."""
    out, new = Graph(body.name), {}
    for v in body.inputs:
        new[v] = out.add_input(v.name, v.spec._replace(shape=_shape(v, at, size)))
    for o in body.operations:
        xs = [out.const(v.value) if isinstance(v, Const) else new[v] for v in o.inputs]
        params = _params(o, at, size)
        ys = out.add(o.prim, xs, params, o.site, o.origin, o.path)
        new.update(zip(o.outputs, ys, strict=True))
    out.outputs = [new[v] for v in body.outputs]
    return out


def _shape(v, at, size):
    dim, shape = at[v], tuple(v.spec.shape)
    return (*shape[:dim], size, *shape[dim + 1 :]) if isinstance(dim, int) else shape


def _params(o, at, size):
    """Of an operation on fewer rows: shapes and slices name how many there are."""
    y, params = o.outputs[0], dict(o.params)
    if not isinstance(at[y], int):
        return params
    if "shape" in params:
        params["shape"] = _shape(y, at, size)
    if "key" in params:
        key = list(params["key"])
        places = [i for i, k in enumerate(key) if k is not None]
        key[places[at[o.inputs[0]]]] = (0, size, 1)
        params["key"] = tuple(key)
    return params
