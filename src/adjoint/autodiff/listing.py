"""The tape as a list: the operations below a result in the order in which they ran.

A `Listing` reads the nodes and changes nothing. What no node keeps (most values, constants
that no rule reads) is worked out from what is kept, or shown as `-` and `_`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from ..core.bind import Box, at_bottom, dtype_of
from ..core.dtype import DType, dtype
from ..core.primitive import Primitive, spec_of
from ..core.shape import Spec
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    GradError,
    show_site,
    site_line,
)
from ..printing import OPTIONS, number, short
from .backward import reachable
from .keeping import Packed
from .node import RELEASED, Leaf
from .recall import Adjoints, Specs, Values, overwritten, partials, saved_by
from .tape import BASE


def tape(*outputs) -> Listing:
    """The list of operations recorded below one or more results.

    >>> x, b = (tensor(v, requires_grad=True) for v in (3., 0.5))
    >>> x.name, b.name = "x", "b"
    >>> print(tape(x ** 2 * 3 + b).show(lines=False))
    tape of z3: 3 operations, 2 leaves
       operation    type       saves
       x            float32[]
       b            float32[]
    1  z1 = x**2    float32[]  x
    2  z2 = z1 * 3  float32[]  3
    3  z3 = z2 + b  float32[]  -

    Leaves go by their `name`, or as leaf1, leaf2 ...; `list(tape(y))` has the lines as data.
    """
    return Listing(outputs)


class Entry:
    """A line of the list: an operation that ran (`number` from 1 on), or a leaf (0)."""

    def __init__(self, listing, node, number, outputs, inputs=()):
        self.listing, self.node, self.number = listing, node, number
        self.outputs = outputs  # a node for each result; None where none is read
        self.inputs: tuple[str, ...] = inputs

    def __eq__(self, other):
        return isinstance(other, Entry) and self.node is other.node

    def __hash__(self):
        return hash(self.node)

    @property
    def name(self) -> str:
        """What the result is called here: "z3", or "z3, z4" where there are several."""
        return ", ".join(self.listing.name_of(n) for n in self.outputs)

    @property
    def op(self) -> str:
        """The primitive's name, or "leaf"."""
        return self.node.prim.name if self.number else "leaf"

    @property
    def expression(self) -> str:
        """The operation on its inputs by name; a leaf is its name."""
        if not self.number:
            return self.name
        prim, params = self.node.prim, self.node.params
        if prim.symbol:
            return prim.symbol.format(*self.inputs, **params)
        given = [
            *_some(self.inputs, 6),
            *(f"{k}={_param(v)}" for k, v in params.items()),
        ]
        return f"{prim.name}({', '.join(given)})"

    @property
    def site(self) -> tuple[str, int, str]:
        """(file, line, source text) of the user's code."""
        return site_line(self.node.site)

    @property
    def freed(self) -> bool:
        """A backward without `retain_graph` has let go of what was saved."""
        return self.node.saved is RELEASED

    @property
    def saved(self) -> tuple[str, ...]:
        """The names of the values that are kept for the reverse rule."""
        node = self.node
        if self.freed:
            return ()
        kept = [self._kept(i, x) for i, x in enumerate(node.saved)]
        kept.append(self.name if node.saved_y is not None else None)
        return tuple(k for k in kept if k)

    def _kept(self, i, x):
        if type(x) is Packed:
            return f"{self.inputs[i]} (packed)"
        if isinstance(x, Spec) or x is None:
            return None
        stale = isinstance(x, Box) and overwritten(self.node, i, x)
        return self.inputs[i] + (" (overwritten)" if stale else "")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the (first) result; None if nothing tells it."""
        spec = self.listing.specs.get(self.outputs[0])
        return None if spec is None else spec.shape

    @property
    def dtype(self) -> DType | None:
        """The element type of the (first) result; None if nothing tells it."""
        spec = self.listing.specs.get(self.outputs[0])
        return None if spec is None else dtype(spec.dtype)

    @property
    def value(self):
        """The result; None where it was not kept and cannot be worked out."""
        return self._results(self.listing.values)

    @property
    def grad(self):
        """The adjoint of the result, by a reverse sweep that leaves every `.grad` alone."""
        return self._results(self.listing.adjoints.total)

    def _results(self, table):
        found = tuple(_tensor(table.get(n)) for n in self.outputs)
        return found if len(found) > 1 else found[0]

    def __repr__(self):
        return f"{self.name} = {self.expression}" if self.number else self.name


def _tensor(x):
    return x if x is None or isinstance(x, Box) else BASE.wrap(np.asarray(x))


def _some(names, most):
    if len(names) <= most:
        return names
    return (*names[: most // 2], "...", *names[-(most // 2) :])


def _param(v) -> str:
    if isinstance(v, (np.dtype, Primitive)):
        return v.name
    if isinstance(v, tuple):
        return "(" + ", ".join(map(_param, v)) + ("," if len(v) == 1 else "") + ")"
    if isinstance(v, dict):
        return ", ".join(f"{k}={_param(x)}" for k, x in v.items())
    return repr(v)


class Listing:
    """What was recorded below `outputs`: `leaves` and `operations`, as entries."""

    def __init__(self, outputs):
        self._outputs = [_recorded(y) for y in outputs]
        if not outputs:
            raise ArgumentError("tape: one result at least, as in tape(y)")
        self.nodes = reachable([y.node for y in self._outputs])[::-1]
        self._names: dict = {}
        self._taken: set = set()
        self._count = 0
        self._own = {y.node: y.name for y in self._outputs if y.name}
        picks: dict = {}
        for node in self.nodes:
            if node.pick is not None:
                picks.setdefault(node.parents[0], {})[node.pick] = node
        self._leaves: list[
            tuple
        ] = []  # what entries are made of, which refer back here
        self._operations: list[tuple] = []
        for node in self.nodes:
            if type(node) is Leaf:
                self._add_leaf(node)
            elif node.pick is None:
                self._add_operation(node, picks.get(node, {}))

    def _add_leaf(self, node):
        x = node.tensor()
        given = getattr(x, "name", None) or f"leaf{len(self._leaves) + 1}"
        self._call(node, given)
        self._leaves.append((node, 0, (node,)))

    def _add_operation(self, node, picks):
        outputs = (node,) if node.width is None else map(picks.get, range(node.width))
        outputs = tuple(outputs)
        for out in outputs:
            if out is not None:
                self._count += 1
                self._call(out, self._own.get(out) or f"z{self._count}")
        inputs = tuple(self._input(node, i) for i in range(len(node.parents)))
        number = len(self._operations) + 1
        self._operations.append((node, number, outputs, inputs))

    @property
    def leaves(self) -> list[Entry]:
        """The leaves, as entries."""
        return [Entry(self, *row) for row in self._leaves]

    @property
    def operations(self) -> list[Entry]:
        """The operations in the order in which they ran, as entries."""
        return [Entry(self, *row) for row in self._operations]

    def _call(self, node, name):
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        self._names[node] = name

    def name_of(self, node) -> str:
        """What a node's result is called; _ if nobody reads it."""
        return self._names.get(node, "_")

    def _input(self, node, i) -> str:
        parent = node.parents[i]
        if parent is not None:
            return self.name_of(parent)
        x = saved_by(node)[i : i + 1]
        x = x[0] if x else None
        if x is None or type(x) is Packed:
            return "_"
        x = x if isinstance(x, Spec) else at_bottom(x)
        is_number = isinstance(x, (np.ndarray, np.generic)) and x.ndim == 0
        return number(x) if is_number else str(Spec(tuple(x.shape), x.dtype))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self._operations)

    def __getitem__(self, name) -> Entry:
        """The entry of this number (from 0, as in a list) or name."""
        if isinstance(name, (int, slice)):
            return self.operations[name]
        for entry in (*self.leaves, *self.operations):
            if name in entry.name.split(", "):
                return entry
        raise ArgumentError(f"tape: nothing here is called {name!r}")

    @property
    def freed(self) -> bool:
        """Whether a backward has let go of what some operation had saved."""
        return any(e.freed for e in self.operations)

    @cached_property
    def specs(self) -> dict:
        """The Spec of every node whose shape and dtype are known."""
        return Specs(self.nodes, self._outputs).found

    @cached_property
    def values(self) -> dict:
        """The value of every node that was kept or can be computed again."""
        return Values(self.nodes, self._outputs).found

    @cached_property
    def adjoints(self) -> Adjoints:
        """A reverse sweep, seeded with ones, every step of it kept."""
        return Adjoints(self.nodes, self._outputs)

    def partials(self, entry) -> list:
        """(input name, ∂result/∂input) where that is a number an element."""
        return partials(entry.node, self.specs.get(entry.node), entry.inputs)

    def __repr__(self):
        return self.show()

    def show(self, *, values=False, grads=False, lines=None) -> str:
        """The list as a table; with `grads` also the adjoints, and how they were summed up.

        Neither `.grad` nor the graph is touched, and no hook runs. `lines`: the user's source
        lines, by default when neither `values` nor `grads` are asked for.

        >>> x = tensor(2., requires_grad=True)
        >>> x.name = "x"
        >>> print(tape(x * x.log()).show(values=True, grads=True))
        tape of z2: 2 operations, 1 leaf
           operation    type       saves    value     adjoint  partials
           x            float32[]           2         1.69315
        1  z1 = log(x)  float32[]  x        0.693147  2        ∂z1/∂x = 0.5
        2  z2 = x * z1  float32[]  x, z1    1.38629   1        ∂z2/∂x = 0.693147  ∂z2/∂z1 = 2
        reverse:
           ðz2 = 1
        2  ðx += ðz2 · ∂z2/∂x       # = 0.693147
        2  ðz1 += ðz2 · ∂z2/∂z1     # = 2
        1  ðx += ðz1 · ∂z1/∂x       # + 1 = 1.69315
        """
        lines = not (values or grads) if lines is None else lines
        table = [_header(self), *_table(self, values, grads, lines)]
        return "\n".join(table + (_reverse(self) if grads else []))


def _recorded(y):
    """`y`, or what it wraps, at the level whose tape knows it."""
    if not isinstance(y, Box):
        raise ArgumentTypeError(f"tape: a result must be a Tensor, got {y!r}")
    x = y
    while isinstance(x, Box):
        x.sync()
        if x.node is not None:
            return x
        x = getattr(x, "value", None)
    raise GradError(
        "tape: nothing was recorded of this value: it does not require grad",
        hint="requires_grad_() before it is used",
    )


# ---------------------------------------------------------------- as text


def _header(listing) -> str:
    results = ", ".join(listing.name_of(y.node) for y in listing._outputs)
    counts = [
        f"{len(x)} {word if len(x) == 1 else plural}"
        for x, word, plural in (
            (listing.operations, "operation", "operations"),
            (listing.leaves, "leaf", "leaves"),
        )
    ]
    freed = "; freed by backward (retain_graph=True keeps it)" if listing.freed else ""
    return f"tape of {results}: {', '.join(counts)}{freed}"


def _ends(items) -> list:
    """All of few; of many the first and last, as tensors print, with None between."""
    if len(items) <= OPTIONS["threshold"]:
        return list(items)
    k = OPTIONS["edgeitems"]
    return [*items[:k], None, *items[-k:]]


def _left_out(items) -> str:
    return f"... {len(items) - 2 * OPTIONS['edgeitems']} more"


def _table(listing, values, grads, lines) -> list[str]:
    wanted = [
        ("operation", True, _assignment),
        ("type", True, _type),
        ("saves", True, _saves),
        ("value", values, lambda e: _texts(e, listing.values)),
        ("adjoint", grads, lambda e: _texts(e, listing.adjoints.total)),
        ("partials", grads, _partial_text),
        (".grad", not grads and _has_grad(listing), _buffer),
        ("line", lines, lambda e: _clipped(show_site(e.node.site)) if e.number else ""),
    ]
    columns = [(title, cell) for title, shown, cell in wanted if shown]
    rows = [["", *(title for title, _ in columns)]]
    for entries in (listing.leaves, listing.operations):
        for e in _ends(entries):
            if e is None:
                rows.append(["", _left_out(entries), *[""] * (len(columns) - 1)])
            else:
                rows.append([str(e.number or ""), *(cell(e) for _, cell in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_aligned(row, widths) for row in rows]


def _aligned(row, widths) -> str:
    first, *rest = row
    cells = [first.rjust(widths[0])]
    cells += [text.ljust(w) for text, w in zip(rest, widths[1:], strict=True)]
    return "  ".join(cells).rstrip()


def _assignment(e) -> str:
    return _clipped(repr(e))


def _clipped(text) -> str:
    return text if len(text) <= 72 else text[:69] + "..."


def _type(e) -> str:
    specs = [e.listing.specs.get(n) for n in e.outputs if n is not None]
    return ", ".join("-" if s is None else str(s) for s in specs)


def _saves(e) -> str:
    if not e.number:
        return ""
    return "freed" if e.freed else ", ".join(e.saved) or "-"


def _texts(e, table) -> str:
    return ", ".join(_text(table.get(n)) for n in e.outputs if n is not None)


def _text(x) -> str:
    if x is None:
        return "-"
    bottom = at_bottom(x)
    if isinstance(bottom, (np.ndarray, np.generic)):
        return short(bottom)
    return str(Spec(tuple(x.shape), dtype_of(x)))


def _partial_text(e) -> str:
    return "  ".join(
        f"∂{e.name}/∂{name} = {_text(p)}" for name, p in e.listing.partials(e)
    )


def _has_grad(listing) -> bool:
    return any(
        getattr(e.node.tensor(), "grad", None) is not None for e in listing.leaves
    )


def _buffer(e) -> str:
    """What has arrived in the `.grad` of a leaf."""
    x = None if e.number else e.node.tensor()
    return "" if x is None or x.grad is None else _text(x.grad)


def _reverse(listing) -> list[str]:
    done = listing.adjoints
    seeds = [
        ("", f"ð{listing.name_of(y.node)} = {_seed_text(y)}", "")
        for y in listing._outputs
    ]
    entries = {e.node: e for e in listing.operations}
    first = {id(s): s for s in _firsts(done.steps)}
    rows = seeds + [
        ("", _left_out(done.steps), "")
        if s is None
        else _step_row(listing, entries[s[0]], s, id(s) in first)
        for s in _ends(done.steps)
    ]
    number = max(len(str(n)) for n, _, _ in rows)
    width = max(len(text) for _, text, _ in rows) + 4
    out = ["reverse:"]
    for n, text, note in rows:
        out.append(f"{n!s:>{number}}  {text:<{width}}{note}".rstrip())
    if done.stopped:
        out.append("stopped: " + str(done.stopped).split("\n")[0])
    return out


def _seed_text(y) -> str:
    return "1" if not y.shape else f"ones {spec_of(y)}"


def _firsts(steps):
    """The steps that are the first to reach their input."""
    seen = set()
    for s in steps:
        parent = s[0].parents[s[1]]
        if parent not in seen:
            seen.add(parent)
            yield s


def _step_row(listing, e, step, is_first):
    node, i, g, total = step
    x = listing.name_of(node.parents[i])
    y = e.name if len(e.outputs) == 1 else f"({e.name})"
    note = f"# = {_text(g)}" if is_first else f"# + {_text(g)} = {_text(total)}"
    return e.number, f"ð{x} += ð{y} · ∂{y}/∂{x}", note
