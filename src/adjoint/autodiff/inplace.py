"""Writes: the memory changes, versions count up, and the tape sees a new value.

A write to a view is a write to its base: the base becomes `overwrite(base, new, chain)`
and other views of it take their places anew when next used.
"""

from __future__ import annotations

import weakref

import numpy as np

from ..core.bind import NUMPY, Box, bind, dtype_of, floor, quiet
from ..core.primitive import op
from ..core.shape import broadcast
from ..errors import DtypeError, GradError, ShapeError, user_site
from ..ops.index import add, write
from .batch import Batch
from .forward import Forward
from .keeping import alias
from .masked import Masked
from .modes import inferring, packing, recording
from .node import Leaf, next_order
from .tape import BASE, Tape
from .versions import Version, versioned
from .views import adopt, overwritten, refresh, replay, settle


def assign(x, new, name: str, fresh: bool = False):
    """x ← new, in x's memory and at x's place in the graph. Returns x.

    `fresh`: nothing else has the place of `new`, so that x may take it.
    """
    new = _settled(new, x.level)
    if isinstance(new, Box):
        new.sync()  # a view of what was written to since
    if isinstance(x.level, Masked):
        _need_kind(x, new, name)
        return x.level.become(x, new)
    _need_writable(x, name)
    if not _fits(x, new):
        _need_fit(x, new, name)
    if x.base is not None:
        _shown(x)
    if not fresh and getattr(new, "node", None) is not None and recording.get():
        before = alias(x, None if x.base is not None else x.node)
        new = bind(op.held, new, before)
    if not _fits(x, new):
        if tuple(new.shape) != tuple(x.shape):
            new = op.expand(new, shape=tuple(x.shape))
        if dtype_of(new) != dtype_of(x):
            new = op.cast(new, dtype=dtype_of(x))
    version = versioned(x)
    if _same_memory_kind(x, new):
        _write(x, new)
    else:
        _replace(x, _within(x, new))
    version.n += 1
    version.site = user_site()
    return x


def _within(x, new):
    """What is written to x where a program is written down.

    Of a tensor from outside it, a copy that is part of it; of a constant, one in the place
    of x, where its derivative is zero.
    """
    below = floor.get()
    if below is NUMPY or not x.level.ground:
        return new
    if x.level is BASE and isinstance(new, Box) and below.holds(new):
        new = op.contiguous(new)
    if recording.get() and x.node is not None and getattr(new, "node", None) is None:
        new = bind(op.held, new, alias(x, x.node))
    return new


def _settled(new, level):
    """A constant of a transform around the call is, outside it, the value under it."""
    while isinstance(new, Box) and new.level.depth > level.depth and _is_still(new):
        new = new.value
    return new


def _is_still(x) -> bool:
    """No derivative and no batch of its level's transform hangs on x."""
    x.sync()
    if x.level.ground:
        return False
    if isinstance(x.level, Tape):
        return x.node is None
    if isinstance(x.level, Forward):
        return x.tangent is None
    return isinstance(x.level, Batch) and x.batch_dim is None


def _same_memory_kind(x, new) -> bool:
    """Both are plain arrays at one level, so that memory can be written."""
    below = floor.get()
    if below is not NUMPY and below.holds(x):
        return False  # it changes when the program that is written down runs
    value = new.value if isinstance(new, Box) and new.level is x.level else new
    return isinstance(x.value, np.ndarray) and isinstance(value, np.ndarray)


def _write(x, new):
    """Memory changes in place; the tape, where it records, takes the new node."""
    node = new.node if isinstance(new, Box) else None
    recorded = recording.get() and (node is not None or x.node is not None)
    if recorded and x.base is not None:
        base = x.base
        after = overwritten(alias(base, base.node), new, x.chain)
        settle(base, after.node)
        base.writes += 1
        x.seen = base.writes - (node is None)  # of a constant: as the base has it
    elif recorded:
        x.writes += 1
        if node is None:
            node = bind(op.held, new, alias(x, x.node)).node
    np.copyto(x.value, new.value if isinstance(new, Box) else new)
    if recorded:
        settle(x, node)


def _replace(x, new):
    """No memory to write (a traced, batched or dual value): x becomes the new value."""
    if x.base is not None:
        base = x.base
        _become(base, overwritten(alias(base, base.node), new, x.chain))
        base.writes += 1
        x.seen = base.writes
    else:
        x.writes += 1
    _become(x, new)


def _become(x, new):
    """x stands for `new`; what a captured program was given keeps its memory until it runs.

    Where nothing is recorded, it keeps its place in the graph: a parameter is still a leaf.
    """
    below = floor.get()
    if not recording.get():
        new = in_place_of(x, new, False)
    if below is not NUMPY and below.holds(x):
        below.write(x, new)
        x.node = new.node
    else:
        _need_place(x, new)
        if x.base is None:
            x.__dict__.setdefault("made", x.value)  # whose memory it has
        adopt(x, new)
    for y in x.__dict__.get("sharers", ()):
        if y() is not None and y() is not x:
            below.leaves(y(), True)
            _follow(y(), x)


def in_place_of(x, new, whole: bool):
    """`new` where x is in the graph, on its level and those under it; its tangent if `whole`."""
    if not isinstance(new, Box.face):
        return new
    if x.level is not new.level:  # one is from outside of what is written down
        deeper = max(x.level, new.level, key=lambda level: level.depth)
        if not deeper.ground:
            return new
        x, new = deeper.own(x), deeper.own(new)
    floor.get().leaves(x, whole)
    out = alias(new, x.node)
    if isinstance(x.value, Box.face) and isinstance(new.value, Box.face):
        out.value = in_place_of(x.value, new.value, whole)
    return out


def _follow(y, x):
    """y, which shares the memory of x, has the value that x was given."""
    if y.level is not x.level:
        adopt(y, alias(x, None))
    elif y.detached:
        y.value = _cut(x.value, x.level)
    else:
        y.value = x.value
    if x.__dict__.get("batch_dim") is not None:
        y.batch_dim = x.batch_dim
    y.writes += 1


def _cut(value, level):
    """The value of a tensor of this level, cut off on all levels below."""
    if level.ground:
        return value if level is BASE else level.stopped(value)
    return shared(value) if isinstance(value, Box) else value


def shared(x):
    """Another tensor on the memory of `x`, outside the graph.

    A traced value has no memory: those that share it are given what one of them is given.
    """
    x.sync()
    if isinstance(x.level, Masked):
        return x.level.cut(x, shared)
    base = x if x.base is None else x.base
    if isinstance(x.value, np.ndarray) and floor.get() is NUMPY:
        base = x
    # A program has the memory from the base, and looks whether a view still lies there.
    floor.get().keep((base, x) if isinstance(x.value, np.ndarray) else (base,))
    out = base.level.wrap(_cut(base.value, base.level))
    floor.get().shares(out)
    out.detached = base.level is not BASE
    if base.__dict__.get("batch_dim") is not None:
        out.batch_dim = base.batch_dim
    if isinstance(base.value, np.ndarray) and base is x:
        return out
    for known in ("laid", "made"):
        if known in base.__dict__:
            out.__dict__[known] = base.__dict__[known]
    if not isinstance(base.value, np.ndarray):
        out.sharers = base.__dict__.setdefault("sharers", [weakref.ref(base)])
        out.sharers.append(weakref.ref(out))
    token = recording.set(False)
    try:
        return replay(x.chain, out)
    finally:
        recording.reset(token)


def share(x, data) -> None:
    """Make the new tensor `x` one on the memory of `data`, which is traced."""
    x.__dict__.update(shared(data).__dict__)
    x.__dict__.get("sharers", []).append(weakref.ref(x))


def joined(x, new) -> None:
    """x, which is given the memory of the traced `new`, shares it from now on, and no other."""
    left = x.__dict__.pop("sharers", [])
    left[:] = [r for r in left if r() is not x]
    for known in ("laid", "made"):
        x.__dict__.pop(known, None)
        if known in new.__dict__:
            x.__dict__[known] = new.__dict__[known]
    if new.base is None:
        x.sharers = new.__dict__.setdefault("sharers", [weakref.ref(new)])
        x.sharers.append(weakref.ref(x))


def _need_place(x, new) -> None:
    """A tensor that outlasts a transform cannot stand for a value within it."""
    deeper = isinstance(new, Box) and new.level.depth > x.level.depth
    if (
        getattr(x, "lasting", False)
        and deeper
        and isinstance(new.level, (Tape, Forward, Batch))
    ):
        raise GradError(
            "a transform such as vmap, grad or jvp cannot write a value that depends on its "
            "input into a parameter or buffer from outside",
            hint="return the value too; batch norm: eval(), or track_running_stats=False",
        )


def updated(x, f, name: str):
    """x ← f(x), the in-place form of a function."""
    if x.base is not None:
        _shown(x)
    if not recording.get() or not isinstance(x.value, np.ndarray):
        return assign(x, f(_as_it_is(x)), name, fresh=True)
    if x.node is not None:
        _need_writable(x, name)
    versioned(x)
    if packing.get():  # hooks see what is saved at once, which must be what it stays
        return assign(x, f(_copied(x)), name, fresh=True)
    before = x if x.node is None else alias(x, x.node)
    start = next_order()
    new = f(before)
    _keep_original(new, before, start)
    return assign(x, new, name, fresh=True)


def _shown(x):
    """Have a view show what its base holds, and be known as a part of it from now on.

    What stands for it in the following does not tell that it is a view.
    """
    refresh(x)
    floor.get().keep((x,))


def _as_it_is(x):
    """Another box for the value that x has, which stays when x is given another."""
    floor.get().keep((x,))  # a program knows the memory as x's, whose version counts
    out = alias(x, x.node)
    out.version = Version()  # not that of the node, which counts writes to x
    return out


def _keep_original(new, before, start):
    """What was recorded since `start` and saved `before` gets a copy: its memory is written."""
    copy, stack = None, [new.node] if isinstance(new, Box) and new.node else []
    while stack:
        node = stack.pop()
        if node.order < start:
            continue
        if any(x is before for x in node.saved):
            copy = _copied(before) if copy is None else copy
            node.saved = tuple(copy if x is before else x for x in node.saved)
        stack.extend(p for p in node.parents if p is not None)


def _copied(x):
    out = alias(x, x.node)
    out.value, out.version = x.value.copy(), Version()
    out.version.n = x.version.n  # what has saved x noted this number
    return out


def forbid_leaf(x, name: str) -> None:
    """The error for a write to `x`, where it may not be written."""
    _need_writable(x, name)


def take_place(x, node) -> None:
    """x, whose memory a user's function has written, is the result of `node` from now on."""
    new = alias(x, node)
    take = _write if _same_memory_kind(x, new) else _replace
    take(x, new)


def _need_writable(x, name) -> None:
    """The error for a write to `x`, where it may not be written."""
    floor.get().changes(x)
    leaf = type(x.node) is Leaf
    if (leaf or type(getattr(x.base, "node", None)) is Leaf) and recording.get():
        what = "a leaf" if leaf else "a view of a leaf"
        raise GradError(
            f"{name}: {what} Variable that requires grad is being used in an in-place "
            "operation",
            hint="with no_grad(): ... where the update itself is not to be differentiated",
        )
    if x.inference and not inferring.get():
        raise GradError(
            f"{name}: inplace update to inference tensor outside InferenceMode"
        )
    if _is_spread(x):
        raise ShapeError(
            f"{name}: this tensor is an expanded or read-only view of memory",
            hint="clone() it first",
        )


def _need_fit(x, new, name) -> None:
    """The error for a new value of another shape than `x`, or of a dtype that loses it."""
    if broadcast(tuple(x.shape), tuple(new.shape), name=name) != tuple(x.shape):
        raise ShapeError(
            f"{name}: a result of shape {tuple(new.shape)} does not fit {tuple(x.shape)}"
        )
    _need_kind(x, new, name)


def _need_kind(x, new, name) -> None:
    """The error for a new value of a dtype that loses it."""
    if not np.can_cast(dtype_of(new), dtype_of(x), "same_kind") and _rank_falls(new, x):
        raise DtypeError(
            f"{name}: result type {dtype_of(new).name} can't be cast to the desired output type "
            f"{dtype_of(x).name}"
        )


def _is_spread(x) -> bool:
    """Whether some elements are others as well, or the memory is not to be written."""
    if isinstance(x.value, np.ndarray):
        return not x.value.flags.writeable
    return x.base is not None and any(prim is op.expand for prim, *_ in x.chain)


def _fits(x, new) -> bool:
    """Whether `new` is an array of the shape and dtype of `x`, at the same level."""
    a, b = x.value, getattr(new, "value", None)
    both = type(a) is type(b) is np.ndarray
    return both and a.shape == b.shape and a.dtype is b.dtype and x.level is new.level


def _rank_falls(new, x) -> bool:
    order = "buiVfc"
    return order.index(dtype_of(new).kind) > order.index(dtype_of(x).kind)


def store(x, new, indices, dim: int, name: str, *, adding: bool = False):
    """x[.., indices at dim, ..] ← new (or +=), in memory alone where nothing is recorded."""
    _need_writable(x, name)
    if x.base is not None:
        refresh(x)
    arrays = [_bare(v) for v in (x, new, *indices)]
    node = getattr(new, "node", None)
    recorded = recording.get() and (x.node is not None or node is not None)
    if recorded or any(a is None for a in arrays) or floor.get() is not NUMPY:
        if adding:
            new = op.unindex(new, *indices, dim=dim, shape=tuple(x.shape))
            return assign(x, op.add(x, new), name)
        return assign(x, op.index_put(x, new, *indices, dim=dim), name)
    quiet.run(add if adding else write, arrays[0], arrays[1], arrays[2:], dim)
    version = versioned(x)
    version.n += 1
    version.site = user_site()
    return x


def _bare(x):
    """The array of a value of the base tape; None where another level looks after it."""
    if isinstance(x, Box):
        x = x.value if x.level is BASE else None
    return x if isinstance(x, np.ndarray) else None
