"""Views: tensors that show part of the memory of others, and find their place after a write."""

from __future__ import annotations

import numpy as np

from ..core.bind import NUMPY, Box, at_bottom, dtype_of, floor, moved, note_change
from ..core.primitive import op
from .keeping import alias
from .modes import recording
from .node import Leaf, Node
from .versions import versioned


def mark_view(out, x, prim, params, pick=None):
    """Note that `out` shows part of `x`'s memory, so that writes reach both."""
    if not isinstance(x, Box) or x.level is not out.level:
        return
    a, b = out.value, x.value
    if isinstance(a, np.ndarray):
        if not shares(a, b):
            return
    elif prim.name == "reshape" and _may_copy(x) and _copies(x, params):
        return
    out.plain, out.version, out.inference = False, versioned(x), x.inference
    base = x if x.base is None else x.base
    out.base, out.seen = base, base.writes
    out.chain = (*x.chain, (prim, params, pick))


def mark_views(outs, x, prim, params):
    """Note it of all results, one or several."""
    if prim.outputs == 1:
        mark_view(outs, x, prim, params)
        return
    for i, out in enumerate(outs):
        mark_view(out, x, prim, params, i)


class Chosen:
    """The view x[i] for single positions i that are numbers only when a program runs."""

    name = "index"

    def __init__(self, dim, indices):
        self.dim, self.indices = dim, [alias(i, None) for i in indices]

    def __call__(self, x):
        return op.index(x, *self.indices, dim=self.dim)

    def eager(self, x):
        """One of the same shape and steps."""
        return x[(slice(None),) * self.dim + (0,) * len(self.indices)]

    def put(self, x, new):
        """x with another part."""
        return op.index_put(x, new, *self.indices, dim=self.dim)

    def is_at(self, dim, indices) -> bool:
        """Whether it is the view of these positions."""
        mine = [i.value for i in self.indices]
        return dim == self.dim and list(map(id, mine)) == [id(i.value) for i in indices]


def mark_chosen(out, x, dim, indices):
    """Note that `out`, x[i] in a program, will show part of `x`'s memory."""
    if 0 not in x.shape:
        mark_view(out, x, Chosen(dim, indices), {})


class Laid:
    """How the memory lies that a value will have, and whether that made a difference."""

    def __init__(self, strides):
        self.strides, self.seen = strides, False

    def array(self, shape, d) -> np.ndarray:
        """An array that lies so; its numbers mean nothing."""
        self.seen = True
        steps = [
            s // d.itemsize * (n - 1) for s, n in zip(self.strides, shape, strict=True)
        ]
        low = -sum(s for s in steps if s < 0)
        memory = np.zeros(low + sum(s for s in steps if s > 0) + 1, d)
        return np.ndarray(shape, d, memory, low * d.itemsize, self.strides)


def layout(x) -> np.ndarray:
    """Memory laid out as that of `x`, a traced value, will be; its numbers mean nothing."""
    base = x if x.base is None else x.base
    shape, d, laid = tuple(base.shape), dtype_of(base), base.__dict__.get("laid")
    if type(base.value) is np.ndarray:
        y = base.value
    else:
        laid = laid or _lies(base)
        y = np.empty(shape, d) if laid is None or 0 in shape else laid.array(shape, d)
    for prim, params, pick in x.chain:
        y = prim.eager(y, **params)
        y = y if pick is None else y[pick]
    return np.asarray(y)


def _lies(x):
    """How the memory will lie that a value of a program was made in; None: row by row."""
    made = at_bottom(x.__dict__.get("made", x.value))
    if not isinstance(made, Box) or tuple(made.shape) != tuple(x.shape):
        return None
    steps = made.level.lies(made)
    size = dtype_of(x).itemsize
    return None if steps is None else Laid(tuple(s * size for s in steps))


def _may_copy(x) -> bool:
    """Whether it is a view, or its memory lies otherwise than row by row."""
    value = x.value
    if type(value) is np.ndarray:
        return not value.flags.c_contiguous
    return x.base is not None or "laid" in x.__dict__ or _lies(x) is not None


def _copies(x, params) -> bool:
    """Whether a traced value, once it has memory, can be reshaped by a copy alone."""
    if x.level is not Node.level and isinstance(at_bottom(x), np.ndarray):
        return False
    y = layout(x)
    return y.size > 0 and not np.may_share_memory(y, y.reshape(params["shape"]))


def shares(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether `a`, made of `b`, shows its memory: both then have the same owner.

    The owner of what `as_strided` makes is not an array, and only addresses tell.
    """
    owner = a.base
    if owner is None or owner is b or owner is b.base:
        return owner is not None
    return not isinstance(owner, np.ndarray) and np.may_share_memory(a, b)


def replay(chain, x):
    """Take the same views of `x`."""
    for prim, params, pick in chain:
        x = prim(x, **params)
        if pick is not None:
            x = x[pick]
    return x


def lies_in_base(x) -> bool:
    """Whether a view still shows the memory of its base: either may have been given another."""
    y = x.base.value
    if type(y) is not np.ndarray or type(x.value) is not np.ndarray:
        return True  # a value of a program has no memory
    for prim, params, pick in x.chain:
        y = prim.eager(y, **params)
        y = y if pick is None else y[pick]
    same = (y.shape, y.strides, y.ctypes.data), (x.value.shape, x.value.strides)
    return same[0] == (*same[1], x.value.ctypes.data)


def overwritten(x, new, chain):
    """x with the part that the views in `chain` show replaced by `new`."""
    for n, (prim, _, _) in enumerate(chain):
        if type(prim) is Chosen:
            part, later = replay(chain[:n], x), chain[n + 1 :]
            new = overwritten(prim(part), new, later) if later else new
            new = prim.put(part, new)
            return overwritten(x, new, chain[:n]) if n else new
    return op.overwrite(x, new, chain=chain)


def refresh(x):
    """After a write to its base, a view takes its place in the graph anew."""
    base = x.base
    if x.seen == base.writes:
        return
    below = floor.get()
    below.parts(x)
    held = below is not NUMPY and below.holds(x)
    if held:
        below.hold(x)
    x.seen = base.writes
    token = recording.set(True)
    try:
        again = replay(x.chain, base)
    finally:
        recording.reset(token)
    leaf = again.node is None and type(x.node) is Leaf  # which no graph leads to
    node = x.node if leaf else again.node
    if isinstance(x.value, np.ndarray) and isinstance(again.value, np.ndarray):
        settle(x, node)
    elif held:
        below.follow(x, again)
        settle(x, node)
    else:
        adopt(x, again)


def settle(x, node):
    """x has its place at `node` from now on, and keeps its gradient there if it does."""
    if x.retainer is not None:
        x.retainer.move(node)
    if x.watched and (x.node is None or node is None or type(x.node) is Leaf):
        note_change()
    x.node = node


OWN = ("level", "value", "plain", "node", "tangent", "batch_dim", "detached")


def adopt(x, new):
    """x stands for `new` from now on: its level, value and derivative."""
    if not isinstance(new, Box) or new.level.depth < x.level.depth:
        new = x.level.own(new) if isinstance(new, Box) else x.level.wrap(new)
    settle(x, new.node)
    moved.value += 1
    for name in OWN:
        if name in new.__dict__:
            x.__dict__[name] = new.__dict__[name]
        else:
            x.__dict__.pop(name, None)
