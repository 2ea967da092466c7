"""The reverse sweep: one walk over the nodes in reverse order of recording, with `+=`."""

from __future__ import annotations

import math
from operator import attrgetter
from sys import getrefcount

import numpy as np

from ..core.bind import NUMPY, Box, dtype_of, floor, hushed, new_level
from ..core.primitive import op
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    GradError,
    in_backward,
    show_site,
    written,
)
from .arrivals import Arrival
from .batch import Batch
from .inplace import assign
from .keeping import Packed, PackedResult
from .modes import anomalies, recording
from .node import RELEASED, GradientEdge, Leaf, Unread, stale
from .tape import BASE, place, stripped


def reachable(roots) -> list:
    """Nodes below `roots`, last recorded first; iterative, so depth has no limit."""
    seen, stack = set(roots), list(roots)
    add, pop, push = seen.add, stack.pop, stack.append
    while stack:
        for parent in pop().parents:
            if parent is not None and parent not in seen:
                add(parent)
                push(parent)
    return sorted(seen, key=_order, reverse=True)


_order = attrgetter("order")


def in_graph(y) -> bool:
    """Whether the gradient of a result may still be asked for: no part was walked back."""
    if y.node is None:
        return False
    return all(n.saved is not RELEASED for n in reachable([y.node]))


def _leading_to(nodes, targets) -> set | None:
    """Of `nodes` (last first), those from which a target can be reached; None: all."""
    if targets.keys() == {n for n in nodes if type(n) is Leaf}:
        return None
    useful = set(targets)
    for node in reversed(nodes):
        if node not in useful and any(p in useful for p in node.parents):
            useful.add(node)
    return useful


class Sweep:
    """One reverse sweep. `targets` maps nodes to be captured; None accumulates into leaves."""

    def __init__(
        self, roots, seeds, *, targets=None, retain=False, create=False, into=None
    ):
        self.retain, self.create = retain, create
        self.targets, self.into = targets, into
        self.captured: dict = {}
        self.grads: dict = {}
        self.members: set | None = None
        self.nodes = reachable(roots)
        goals = targets if targets is not None else into
        self.useful = None if goals is None else _leading_to(self.nodes, goals)
        for i, root in enumerate(roots):
            before = self.grads.get(root)
            self.grads[root] = seeds[i] if before is None else before + seeds[i]

    def run(self):
        """Walk, and return what was captured."""
        token = recording.set(True) if self.create else None
        try:
            if floor.get() is not NUMPY:
                around = written.get()  # a derivative of which this is a part, or None
                try:
                    self._walk()
                finally:
                    written.set(around)
            else:
                with hushed():
                    self._walk()
        finally:
            if token is not None:
                recording.reset(token)
        return self.captured

    def _walk(self):
        """Node by node, in one frame: a call for each would cost as much as what it does."""
        grads, useful = self.grads, self.useful
        create, retain = self.create, self.retain
        take, (check, check_nan), targets = grads.pop, anomalies.get(), self.targets
        numbers = floor.get() is NUMPY  # a program written down asks for arrays
        if check and check_nan:
            floor.get().needs_python(
                "detect_anomaly looks for NaN; compile(check='nan') does"
            )
        for node in self.nodes:
            g = take(node, None)
            if g is None or (useful is not None and node not in useful):
                continue
            if node.rare:
                if type(node) is Leaf and targets is not None and not node.prehooks:
                    self.captured[node] = g
                    continue
                alone = getrefcount(g) == _ALONE
                g = self._rare(node, g, alone)
                if g is None:
                    continue
            if targets is not None and node in targets:
                self.captured.setdefault(node, g)
            parents, need = node.parents, node.need
            if useful is not None:
                need = [p in useful for p in parents]
                if True not in need:
                    continue
            xs, y = node.saved, node.saved_y
            if type(xs) is not Unread:
                xs = _inputs(node, create, numbers)
            if y is not None and (create or node.y_version is not None):
                y = _output(node, create)
            if not numbers:
                written.set(in_backward(node.site))
            gs = node.prim.vjp(g, y, xs, node.params, need)
            if not numbers:
                floor.get().walked(node, g, gs)
            if check:
                _check_anomaly(node, gs, check_nan)
            if node.hooks:
                gs = _node_hooks(node, g, gs, create)
            for i, parent in enumerate(parents):
                gp = gs[i]
                if gp is None or parent is None:
                    continue
                before = take(parent, None)
                if before is None:
                    grads[parent] = gp
                elif (
                    type(before) is not np.ndarray
                    or create
                    or getrefcount(before) != _ALONE
                ):
                    grads[parent] = before + gp
                else:
                    grads[parent] = _added(before, gp)
            if not retain and (y is not None or type(xs) is not Unread):
                node.saved, node.saved_y = RELEASED, None
            gs = gp = before = None  # the sweep alone may refer to what it accumulates

    def _rare(self, node, g, alone):
        """Hooks before a node, leaves, and outputs of operations with several."""
        if node.prehooks:
            g = self._hooked(node, g)
        if self.targets is not None and node in self.targets:
            self.captured[node] = g
        if type(node) is Leaf:
            if self.targets is None:
                self._arrive(node, g, alone)
            return None
        if node.pick is not None:
            return self._collect(node, g)
        return _before(node, g, self.create) if node.before else g

    def passes(self, node) -> bool:
        """Whether this sweep goes through `node`."""
        if self.members is None:
            self.members = set(self.nodes) if self.useful is None else self.useful
        return node in self.members

    def _hooked(self, node, g):
        hooks = node.prehooks.values()
        for hook in sorted(hooks, key=_comes_last) if len(hooks) > 1 else tuple(hooks):
            if type(hook) is Arrival:
                hook.arrived(self, node.level.wrap(g) if not isinstance(g, Box) else g)
                continue
            ready = self.create or isinstance(g, list) or _at_least(g, node.level)
            boxed = g if ready else node.level.wrap(g)
            out = hook(boxed)
            if out is not None:
                _check_hooked(hook, boxed, out)
                g = out if self.create else stripped(out, node.level)
        return g

    def _collect(self, node, g):
        """An output of an operation with several: its cotangent joins the others'."""
        (parent,) = node.parents
        slots = self.grads.get(parent)
        if slots is None:
            slots = self.grads[parent] = [None] * parent.width
        i = node.pick
        slots[i] = g if slots[i] is None else slots[i] + g

    def _arrive(self, node, g, alone):
        """The cotangent of a leaf is complete; `alone`: nothing else refers to its memory."""
        tensor = node.tensor()
        if tensor is None or (self.into is not None and node not in self.into):
            return
        if node.before:
            g, alone = _before(node, g, self.create), False
        accumulate(tensor, g, self.create, alone)
        if node.hooks:
            _node_hooks(node, g, (), self.create)
        for hook in tuple(tensor.post_hooks.values()) if tensor.post_hooks else ():
            hook(tensor)


def _check_hooked(hook, before, after):
    """What a tensor's hook returned must be able to stand for its gradient."""
    if isinstance(before, list):
        return
    name = getattr(hook, "__name__", repr(hook))
    if not isinstance(after, Box):
        raise ArgumentTypeError(
            f"expected Variable, but hook '{name}' returned {type(after).__name__}"
        )
    if dtype_of(after) != dtype_of(before):
        raise GradError(
            f"hook '{name}' has changed the type of value (was {before.dtype}, got "
            f"{after.dtype})"
        )
    if tuple(after.shape) != tuple(before.shape):
        raise GradError(
            f"hook '{name}' has changed the size of value (was {tuple(before.shape)}, got "
            f"{tuple(after.shape)})"
        )


def _comes_last(hook) -> bool:
    return getattr(hook, "last", False)


def _references_of_a_local() -> int:
    x = np.empty(0)
    return getrefcount(x)


_ALONE = _references_of_a_local()


def _added(before, g):
    """before + g, in the memory of `before`, which nothing else refers to."""
    mine = type(before) is type(g) is np.ndarray and before.base is None
    if mine and g.dtype == before.dtype and g.shape == before.shape:
        return np.add(before, g, out=before)
    return before + g


def _output(node, boxed):
    """The result as the rule reads it: `boxed` in its place in the graph."""
    y, version = node.saved_y, node.y_version
    if type(y) is PackedResult:
        y = y.restore()
    elif version is not None and version.n:
        raise GradError(stale(node, "the result", y, version, 0))
    if not boxed:
        return y
    if isinstance(y, tuple):
        outs = tuple(node.level.wrap(v) for v in y)
        for i, out in enumerate(outs):
            place(out, node, i)
        return outs
    out = node.level.wrap(y)
    out.node = node
    return out


def _inputs(node, boxed, numbers=True):
    """The inputs as the rule reads them: `boxed` in their places in the graph.

    Arithmetic of NumPy's `numbers` costs a tenth of a ufunc's, so 0-d arrays become these.
    """
    if node.saved is RELEASED:
        raise GradError(
            "Trying to backward through the graph a second time: the values saved by "
            f"{node.prim.name} ({show_site(node.site)}) have been freed",
            hint="retain_graph=True in the first backward keeps them",
        )
    xs, level = [], node.level
    for i, x in enumerate(node.saved):
        if x is None:
            xs.append(None)
            continue
        if type(x) is Packed:
            x = x.restore()
        if isinstance(x, Box.face):
            if x.version is not None:
                _same_version(node, i, x)
            if not boxed and x.level is level:
                x = x.value
                if not numbers:
                    x = floor.get().known(x)
                elif not x.ndim and type(x) is np.ndarray:
                    x = x[()]
        xs.append(x)
    return xs


def _same_version(node, i, x):
    n = node.stamps.get(i, 0) if node.stamps else 0
    if x.version.n != n:
        raise GradError(stale(node, f"input {i}", x, x.version, n))


def accumulate(tensor, g, create, alone):
    """tensor.grad += g, in place unless the gradient is itself recorded."""
    if create:
        tensor._grad = op.contiguous(g) if tensor._grad is None else tensor._grad + g
        return
    value = g.value if isinstance(g, Box) and g.level is tensor.level else g
    value = _in_dtype_of(tensor, value)
    below = floor.get()
    if below is not NUMPY:
        below.read_grad(tensor)
        if tensor._grad is None:
            below.rebind(tensor)
    if tensor._grad is None:
        if isinstance(value, np.ndarray):
            value = _own_memory(value, tensor.value, alone)
        tensor._grad = tensor.level.wrap(value)
        return
    before = tensor._grad.value
    if below is not NUMPY:
        _added_in_place(tensor._grad, tensor.level.wrap(value))
        return
    arrays = isinstance(before, np.ndarray) and isinstance(
        value, (np.ndarray, np.generic)
    )
    if arrays and before.flags.writeable:
        np.add(before, value, out=before, casting="unsafe")
    else:
        tensor._grad = tensor._grad + tensor.level.wrap(value)
    if tensor._grad.version is not None:
        tensor._grad.version.n += 1


def _added_in_place(x, g) -> None:
    """x += g where a program is written down: the memory of `x` will hold the sum."""
    token = recording.set(False)
    try:
        assign(x, op.add(x, g), "backward")
    finally:
        recording.reset(token)


def _own_memory(g, x, alone):
    """`g` in memory that nothing else refers to, its elements in the order of those of `x`."""
    if alone and g.base is None and (g.strides == x.strides or g.ndim < 2):
        return g
    out = np.empty_like(x)
    np.copyto(out, g)
    return out


def _in_dtype_of(x, g):
    """`g` in the dtype of `x`: bfloat16 times a Python number is float32 to NumPy."""
    d = x.value.dtype if x.plain else dtype_of(x)
    if isinstance(g, (np.ndarray, np.generic)) and g.dtype is not d and g.dtype != d:
        return g.astype(d)
    return g


def _at_least(g, level) -> bool:
    """Already a value of this level, or of one inside it (a cotangent under vmap)."""
    return isinstance(g, Box) and g.level.depth >= level.depth


def _boxed(node, xs):
    wrap = node.level.wrap
    return tuple(x if x is None or isinstance(x, Box) else wrap(x) for x in xs)


def _before(node, g, create):
    """The cotangents of the results, seen and perhaps replaced by the node's prehooks."""
    gs = _boxed(node, g if isinstance(g, list) else (g,))
    for hook in tuple(node.before.values()):
        out = hook(gs)
        if out is not None:
            gs = out if isinstance(out, tuple) else (out,)
    gs = list(gs) if create else [stripped(x, node.level) for x in gs]
    return gs if isinstance(g, list) else gs[0]


def _node_hooks(node, g, gs, create):
    """The cotangents of the inputs, seen and perhaps replaced by the node's hooks."""
    gs, gy = _boxed(node, gs), _boxed(node, g if isinstance(g, list) else (g,))
    for hook in tuple(node.hooks.values()):
        out = hook(gs, gy)
        if out is not None:
            gs = out if isinstance(out, tuple) else (out,)
    return gs if create else [stripped(x, node.level) for x in gs]


def _check_anomaly(node, gs, check_nan):
    if not check_nan:
        return
    for i, g in enumerate(gs):
        while isinstance(g, Box):
            g = g.value
        if isinstance(g, np.ndarray) and g.dtype.kind in "fcV" and np.isnan(g).any():
            raise GradError(
                f"{node.name()} gave NaN as the gradient of its input {i}\n"
                f"  the operation was recorded in {show_site(node.site)}"
            )


# ---------------------------------------------------------------- what users call


def backward(
    tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None
):
    """Accumulate the gradients of `tensors` into the `.grad` of the leaves.

    >>> import adjoint as ad
    >>> x = ad.tensor([1., 2.], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """
    roots, seeds = _start(tensors, grad_tensors, create_graph)
    into = None
    if inputs is not None:
        inputs = _tuple(inputs)
        if not inputs:
            raise GradError("backward: inputs must not be empty")
        inputs = [_tensor_at(x) for x in inputs]
        for x in inputs:
            roots[0].level.arrives(x)
        into = {_node_of(x, i): x for i, x in enumerate(inputs)}
    retain = create_graph if retain_graph is None else retain_graph
    leaves = (
        None if into is None else {n: x for n, x in into.items() if type(n) is Leaf}
    )
    if into is not None and len(leaves) < len(into):
        captured = Sweep(
            roots, seeds, targets=into, retain=retain, create=create_graph
        ).run()
        for node, g in captured.items():
            if into[node].retainer is None:  # else it has done so
                accumulate(into[node], g, create_graph, False)
        return
    Sweep(roots, seeds, retain=retain, create=create_graph, into=leaves).run()


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of `outputs` with respect to `inputs`, as a tuple.

    >>> import adjoint as ad
    >>> x = ad.tensor(3., requires_grad=True)
    >>> ad.autograd.grad(x ** 2, x)
    (tensor(6.),)
    """
    if is_grads_batched:
        options = retain_graph, create_graph, True, allow_unused, False
        return _grad_of_batch(
            outputs, inputs, grad_outputs, *options, materialize_grads
        )
    inputs = _tuple(inputs)
    if not inputs:
        raise GradError("grad: inputs must not be empty")
    if materialize_grads and allow_unused is False:
        raise ArgumentError(
            "materialize_grads=True needs allow_unused to be True or unset"
        )
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    roots, seeds = _start(outputs, grad_outputs, create_graph)
    stand_in = roots[0].level.stand_in
    nodes = [_node_of(stand_in(x, roots), i) for i, x in enumerate(inputs)]
    retain = create_graph if retain_graph is None else retain_graph
    found = Sweep(
        roots, seeds, targets=dict.fromkeys(nodes), retain=retain, create=create_graph
    ).run()
    out = []
    for i, (x, node) in enumerate(zip(inputs, nodes, strict=True)):
        g = found.get(node)
        if g is not None:
            out.append(_as_gradient(g, x, node))
            continue
        if not allow_unused:
            raise GradError(
                f"grad: input {i} {_shape_of(x)} was not used in computing the outputs",
                hint="allow_unused=True gives None for it, materialize_grads=True zeros",
            )
        out.append(op.zeros_like(x) if materialize_grads else None)
    return tuple(out)


def _as_gradient(g, x, node):
    """What arrived at the node of `x`, as a tensor in the dtype of `x`."""
    if _at_least(g, node.level):
        return g
    return node.level.wrap(_in_dtype_of(x, g) if isinstance(x, Box) else g)


def _shape_of(x) -> str:
    return f"({list(x.shape)})" if isinstance(x, Box) else f"({x.node!r})"


def _grad_of_batch(outputs, inputs, seeds, *options):
    """`grad` for seeds with a first dim more, all rows in one sweep."""
    seeds = _tuple(seeds)
    size = next(s.shape[0] for s in seeds if s is not None)
    with new_level(Batch(size, "error")) as level:
        seeds = tuple(None if s is None else level.batched(s, 0) for s in seeds)
        gs = grad(outputs, inputs, seeds, *options)
        gs = [None if g is None else level.unwrap(g, 0) for g in gs]
    return tuple(g if g is None or isinstance(g, Box) else BASE.wrap(g) for g in gs)


def _tuple(x):
    if type(x) is GradientEdge or not isinstance(x, (tuple, list)):
        return (x,)
    return tuple(x)


def _tensor_at(x):
    """The tensor whose `.grad` is meant by `x`, a tensor or the edge of a leaf."""
    if not isinstance(x, GradientEdge):
        return x
    if type(x.node) is not Leaf or x.node.variable is None:
        raise GradError("backward: only the edges of leaves have a .grad to add to")
    return x.node.variable


def _node_of(x, i):
    if not isinstance(x, Box):
        if isinstance(x, GradientEdge):
            return x.node
        raise ArgumentTypeError(
            f"grad: input {i} must be a Tensor, got {type(x).__name__}"
        )
    if x.base is not None:
        x.sync()
    if x.node is None:
        raise GradError(
            f"grad: input {i} ({list(x.shape)}) does not require grad",
            hint="requires_grad_() before it is used",
        )
    return x.node


def _start(outputs, seeds, create):
    """(nodes, cotangents) with which a sweep starts, checked."""
    outputs = _tuple(outputs)
    seeds = (None,) * len(outputs) if seeds is None else _tuple(seeds)
    if len(seeds) != len(outputs):
        raise GradError(
            f"got {len(outputs)} outputs and {len(seeds)} gradients for them"
        )
    nodes = []
    values = []
    for i, y in enumerate(outputs):
        if y.base is not None:
            y.sync()
        if y.node is None:
            raise GradError(
                "element 0 of tensors does not require grad and does not have a grad_fn: "
                "nothing with requires_grad=True went into it"
            )
        nodes.append(y.node)
        values.append(_seed(y, seeds[i], create))
    return nodes, values


def _seed(y, seed, create):
    d = dtype_of(y)
    if seed is None and y.plain and y.value.size == 1 and d.kind != "c" and not create:
        return np.ones(y.value.shape, d) if y.value.ndim else np.array(1, d)[()]
    if seed is None:
        if math.prod(y.shape) != 1:
            raise GradError(
                "grad can be implicitly created only for scalar outputs, got shape "
                f"{tuple(y.shape)}",
                hint="backward(gradient=...), or reduce the output, as with .sum()",
            )
        if d.kind == "c":
            raise GradError(
                "grad can be implicitly created only for real scalar outputs"
            )
        seed = op.ones_like(y)
    elif tuple(seed.shape) != tuple(y.shape):
        raise GradError(
            f"the gradient has shape {tuple(seed.shape)}, its output {tuple(y.shape)}: "
            "they must be the same"
        )
    elif dtype_of(seed) != d:
        seed = op.cast(seed, dtype=d)
    if create:
        return seed
    return seed.value if isinstance(seed, Box) and seed.level is y.level else seed
