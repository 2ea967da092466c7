"""Bodies of loops and branches: programs of functions, and the values that go in and out.

A body is traced once, on a tape over a section. Where that tape passes no derivative, because
of `detach` or `no_grad`, the program does not either, whatever is done with it later.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import numpy as np

from ..autodiff.backward import in_graph, reachable
from ..autodiff.function_node import bespoke
from ..autodiff.keeping import as_it_is
from ..autodiff.modes import recording
from ..autodiff.node import Leaf, Node, Record, Unread
from ..autodiff.tape import BASE, Tape
from ..autodiff.versions import Version, versioned
from ..core import tree
from ..core.bind import Box, at_bottom, bind, dtype_of, floor, new_level
from ..core.dtype import is_inexact
from ..core.primitive import op, spec_of
from ..core.shape import Spec
from ..errors import ArgumentError, ShapeError
from ..ir.graph import Graph
from ..ir.section import Section
from ..ir.tracer import Stateful, from_outside
from .effects import no_order
from .face import FUNCTIONS


class Body(NamedTuple):
    """A function as a program of its arguments and of values from outside."""

    graph: Graph
    outside: list
    results: tree.TreeDef
    recorded: list  # which results may be differentiated


class BodyTape(Tape):
    """The tape over a section."""

    ground = True

    def __init__(self, section):
        self.section, self.known, self.nodes = section, {}, ()

    def entered(self, x, moving: bool):
        """A value of the section as one of this tape."""
        x = self.wrap(x)
        if moving and is_inexact(dtype_of(x)):
            x.node = Leaf(x)
        else:
            self.section.fixed.add(x.value.value.var)
        return x

    def lifted(self, x):
        """A value from outside as one of this tape."""
        key = id(x), id(x.__dict__.get("value"))
        if key not in self.known:
            var = self.section.var(x)
            y = self.wrap(self.section.boxed(var))
            if moves(x):
                y.node = Node(_Outside(x), {}, (), (), Unread())
                y.node.level = self
            else:
                self.section.fixed.add(var)
            self.known[key] = y, x
        return self.known[key][0]

    def wrap(self, value):
        if not isinstance(value, Box):
            value = self.section.boxed(self.section.var(value))
        return super().wrap(value)

    def own(self, x):
        """x as a value of this tape, in its place."""
        if not isinstance(x, Box):
            return x
        x.sync()
        mine = x.level is self or x.level is self.section
        return x if mine or x.level.depth > self.depth else self.lifted(x)

    def stand_in(self, x, roots):
        y = self.own(x)
        if y is not x and _leads_outside(roots, x):
            raise Stateful(
                "the body of a branch or loop asks for the gradient with respect to a tensor "
                f"of shape {tuple(x.shape)} from outside, of which others there are made",
                hint="give it to the body as an argument, or make it part of the carry",
            )
        return y

    def arrives(self, x):
        if x.level.depth < self.depth:
            raise _sets(x)

    def process(self, prim, args, params):
        args = [self.own(x) for x in args]
        if any(isinstance(x, Box) and x.level.depth > self.depth for x in args):
            return bind(prim, *args, **params)  # a write to its base took one deeper
        self.nodes = [
            x if isinstance(x, Box) and x.level is self else None for x in args
        ]
        return super().process(prim, args, params)

    def below(self, prim, inner, params):
        boxes, self.nodes = self.nodes, ()
        if recording.get() and any(x is not None and x.node is not None for x in boxes):
            pairs = zip(boxes, inner, strict=True)
            inner = [y if x is None else self.passing(x) for x, y in pairs]
        return bind(prim, *inner, **params)

    def passing(self, x, ended: bool = False):
        """The value of x, which passes derivatives as x does."""
        var, node = x.value.value.var, None if ended else x.node
        new = self.section.passing(var, node, getattr(floor.get(), "left", {}))
        return x.value if new is var else self.section.boxed(new)

    def stopped(self, value):
        return self.section.wrap(self.section.stopped(value.value))

    def result(self, x):
        """(the variable of a result, whether it may be differentiated)."""
        x = self.own(x)
        if not isinstance(x, Box) or x.level is not self:
            return self.section.var(x), False
        live = in_graph(x)
        return self.passing(x, not live).value.var, live


class _Outside(Record):
    """The record of what stands for a value from outside: no sweep inside comes to it."""

    name = "outside"

    def __init__(self, x):
        self.source = x

    def vjp(self, g, y, xs, params, need):
        raise _sets(self.source)


def _sets(x) -> Stateful:
    return Stateful(
        "backward in the body of a branch or loop comes to a tensor of shape "
        f"{tuple(x.shape)} from outside, whose gradient it would set",
        hint="autograd.grad, or func.grad, of what is made inside gives gradients as values",
    )


def _leads_outside(roots, x) -> bool:
    """Whether these nodes are made of another value from outside that is made of x."""
    sources = [n.prim.source for n in reachable(roots) if isinstance(n.prim, _Outside)]
    others = [y.node for y in sources if y is not x and y.node is not None]
    return any(n is x.node for n in reachable(others)) or (
        bool(others) and _leads_outside(others, x)
    )


def moves(x) -> bool:
    """Whether a derivative with respect to x is asked for on any level."""
    while isinstance(x, Box):
        if x.node is not None or x.tangent is not None:
            return True
        x = x.__dict__.get("value")
    return False


@contextmanager
def _closed(f, tape):
    """Inside, the variables around a function show what they hold as values of `tape`.

    So what is done with them is a part of the program of the function, and is done when it is.
    """
    f = getattr(f, "__wrapped__", f)
    cells = [c for c in getattr(f, "__closure__", None) or () if _has_tensor(c)]
    before = [c.cell_contents for c in cells]
    for x in before:
        versioned(x)  # which what stands for it in the graph has in common with it
    inside = [tape.own(x) for x in before]
    values = [at_bottom(y) for y in inside]
    for cell, y in zip(cells, inside, strict=True):
        cell.cell_contents = y
    try:
        yield
    finally:
        for cell, x, y in zip(cells, before, inside, strict=True):
            if cell.cell_contents is y:
                cell.cell_contents = x
    for x, y, value in zip(before, inside, values, strict=True):
        y.sync()
        if at_bottom(y) is not value:
            raise from_outside(x)


def _has_tensor(cell) -> bool:
    try:
        return isinstance(cell.cell_contents, Box)
    except ValueError:  # nothing is in it yet
        return False


def traced(
    f, specs, shape, name: str, moving: list | None = None, closed: bool = False
) -> Body:
    """f(*args) for arguments of these specs; `moving`: which have derivatives, None: all.

    With `closed`, what it does with tensors around it is part of it as well.
    """
    moving = [True] * len(specs) if moving is None else moving
    with new_level(Section(name)) as level, new_level(BodyTape(level)) as tape:
        boxes = [
            tape.entered(level.input(f"x{i + 1}", s), m)
            for i, (s, m) in enumerate(zip(specs, moving, strict=True))
        ]
        around = _closed(f, tape) if closed else nullcontext()
        with floor.get().apart(), no_order(), around:
            results, out_shape = tree.flatten(f(*tree.unflatten(shape, boxes)))
            _need_plain(results, tape)
            pairs = [tape.result(y) for y in results]
    level.graph.outputs = [v for v, _ in pairs]
    floor.get().trims(level.graph)
    recorded = [r for _, r in pairs]
    return Body(level.graph.without_dead(), level.outside, out_shape, recorded)


def _need_plain(results, tape) -> None:
    """What a program cannot show must not be on the way back from the results."""
    nodes = [
        y.node for y in results if isinstance(y, Box) and y.level is tape and y.node
    ]
    need_shown(nodes)


def need_shown(nodes) -> None:
    """Have what has these nodes run as it is written, if no program shows their derivative."""
    if nodes and bespoke(nodes):
        floor.get().needs_python(
            "the body of a branch or loop has a Function or a hook, which its gradient needs"
        )


def flowing(graph: Graph, moving) -> list:
    """Which outputs a derivative with respect to these inputs comes to."""
    alive = {v for v, m in zip(graph.inputs, moving, strict=True) if m}
    for o in graph.operations:
        if any(v in alive for v in o.passing()):
            alive.update(v for v in o.outputs if is_inexact(v.spec.dtype))
    return [v in alive for v in graph.outputs]


def flowing_round(graph: Graph, moving, carries: int) -> list:
    """The same of a loop, in which the first outputs are its first inputs again."""
    moving = list(moving)
    while True:
        out = flowing(graph, moving)
        after = [a or b for a, b in zip(moving[:carries], out, strict=False)]
        if after == moving[:carries]:
            return out
        moving[:carries] = after


def unchanged(graph: Graph, first) -> list:
    """Of each carry its first value, if every step hands it on as it is; else None."""
    rounds = zip(first, graph.inputs, graph.outputs, strict=False)
    return [x if before is after else None for x, before, after in rounds]


def saved_by(graph: Graph, moving) -> set:
    """The values that the operations save for the way back when they run as written."""
    alive = {v for v, m in zip(graph.inputs, moving, strict=True) if m}
    memory, saved = {}, set()
    for o in graph.operations:
        if o.prim.view or o.prim.name == "stop_gradient":
            x = o.inputs[0]
            memory.update(dict.fromkeys(o.outputs, memory.get(x, x)))
        if not any(v in alive for v in o.passing()):
            continue
        alive.update(v for v in o.outputs if is_inexact(v.spec.dtype))
        if not o.prim.calls_back:  # a loop inside saves no more than its steps
            keeps = o.prim.keeps([v in alive for v in o.inputs], len(o.inputs))
            kept = [v for v, k in zip(o.inputs, keeps, strict=True) if k]
            kept += o.outputs if o.prim.saves_y else ()
            saved.update(memory.get(v, v) for v in kept)
    saved.update(v for v, x in memory.items() if x in saved)
    return saved


def saved_in_steps(graph: Graph, first, others, recorded):
    """(which inputs of a loop, which of its last carries) its steps save."""
    start = [moves(x) or r for x, r in zip(first, recorded, strict=False)]
    saved = saved_by(graph, [*start, *map(moves, others)])
    inputs = [v in saved for v in graph.inputs]
    return inputs, [v in saved for v in graph.outputs[: len(first)]]


def bound(prim, inputs, recorded, saved, **params):
    """The results of `prim`, of which those recorded have a place in the graph.

    `saved`: which inputs and which results its steps save when they run as written. All
    others can be written afterwards, though the reverse starts from them.
    """
    token = recording.set(any(recorded))
    top = max((x.level.depth for x in inputs if isinstance(x, Box)), default=0)
    given = [
        as_it_is(x) if isinstance(x, Box) and x.level.depth == top and not kept else x
        for x, kept in zip(inputs, saved[0], strict=True)
    ]
    try:
        ys = bind(prim, *given, **params)
    finally:
        recording.reset(token)
    for y, r, kept in zip(ys, recorded, saved[1], strict=True):
        if isinstance(y, Box) and isinstance(y.level, Tape):
            y.node = y.node if r else None
            y.version = y.version if kept else Version()
    return ys


def leaves_of(x):
    leaves, shape = tree.flatten(x)
    return [tensor_of(v) for v in leaves], shape


def tensor_of(x):
    """A tensor of a value that a rule or a user hands in."""
    if isinstance(x, Box.face):
        return x
    if isinstance(x, (Box, np.ndarray)):
        return BASE.wrap(x)
    return FUNCTIONS["as_tensor"](x)


def tensors_of(xs) -> list:
    return [None if x is None else tensor_of(x) for x in xs]


def row_of(spec) -> Spec:
    return Spec(tuple(spec.shape[1:]), spec.dtype)


def need_pair(shape, name):
    if shape.kind is not tuple or len(shape.children) != 2:
        raise ArgumentError(f"{name}: the function must return a pair (carry, y)")


def same_carry(after, specs, shape, before, name):
    """What goes round a loop keeps its containers, shapes and dtypes."""
    if shape != before:
        raise ArgumentError(
            f"{name}: the carry comes back in other containers than it went in"
        )
    for i, (new, spec) in enumerate(zip(after, specs, strict=True)):
        if new != spec:
            raise ShapeError(
                f"{name}: value {i + 1} of the carry is {spec} at first and {new} after a step",
                hint="give the first value the shape and dtype that the steps have",
            )


def need_same_carry(new, old, name):
    """The error of what a step made of a carry, where a program would have one."""
    (xs, shape), (before, was) = leaves_of(new), leaves_of(old)
    same_carry(map(spec_of, xs), map(spec_of, before), shape, was, name)


def program_of(f, count: int):
    """The program of f(*xs) of numbers in double precision: a body for the records here."""
    shape = tree.TreeDef(tuple, None, (tree.LEAF,) * count)
    return traced(f, [Spec((), np.dtype(np.float64))] * count, shape, "body").graph


def split_inputs(xs, params):
    k, m = params["carries"], params["mapped"]
    return list(xs[:k]), list(xs[k : k + m]), list(xs[k + m :])


def smooth_inputs(xs) -> list[int]:
    return [i for i, x in enumerate(xs) if is_inexact(dtype_of(x))]


def filled(values, numbers, others) -> list:
    """`others` with `values` at these numbers."""
    out = list(others)
    for i, v in zip(numbers, values, strict=True):
        out[i] = v
    return out


class Smooth:
    """The body of a loop as a function of what has derivatives, the rest as it is.

    By number, `moving` are such carries, `rows` such rows, `held` such values from outside.
    """

    def __init__(self, body, outside, moving, held, rows=()):
        self.body, self.outside = body, outside
        self.moving, self.held, self.rows = moving, held, rows

    def at(self, now, row=()) -> list:
        """Its arguments, for these carries and this row."""
        inside = [now[i] for i in self.moving] + [row[i] for i in self.rows]
        return inside + [self.outside[i] for i in self.held]

    def parts(self, args):
        """Its arguments as those of carries, of rows and of what is outside."""
        k = len(self.moving)
        m = k + len(self.rows)
        return list(args[:k]), list(args[k:m]), list(args[m:])

    def step(self, now, row=(), outputs=None):
        """The function, of outputs of these numbers or of all."""

        def once(*args):
            a, b, c = self.parts(args)
            carries, rows = filled(a, self.moving, now), filled(b, self.rows, row)
            out = self.body.run([*carries, *rows, *filled(c, self.held, self.outside)])
            return tuple(out if outputs is None else [out[i] for i in outputs])

        return once


def batch_at(x, d, place, size):
    """x with its batch dim at `place`, broadcast in if it has none."""
    if d is None:
        x, d = op.expand(x, shape=(size, *x.shape)), 0
    return op.permute(x, dims=moved_to(x.ndim, d, place)) if d != place else x


def moved_to(n, d, place):
    order = [i for i in range(n) if i != d]
    order.insert(place, d)
    return tuple(order)


def is_known(x) -> bool:
    """Whether a value has one number now."""
    while isinstance(x, Box):
        if x.__dict__.get("batch_dim") is not None or not hasattr(x, "value"):
            return False
        x = x.value
    return True


def selected(pred, a, b):
    xs, shape = tree.flatten(a)
    ys, other = tree.flatten(b)
    if shape != other:
        raise ArgumentError("cond: both branches must return the same containers")
    where = FUNCTIONS["where"]
    return tree.unflatten(
        shape, [where(pred, x, y) for x, y in zip(xs, ys, strict=True)]
    )
