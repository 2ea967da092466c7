"""What a reverse rule reads: the inputs and the result that a node saved, still unwritten."""

from __future__ import annotations

import numpy as np

from ..core.bind import Box, floor
from ..errors import GradError, show_site
from .keeping import Packed, PackedResult
from .node import RELEASED, stale
from .tape import place


def output(node, boxed):
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


def inputs(node, boxed, numbers=True):
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
        if type(x) is Packed:
            x = x.restore()
        if isinstance(x, Box.face):
            if x.version is not None:
                _same_version(node, i, x)
            if not boxed and x.level is level:
                x = x.value if numbers else floor.get().known(x.value)
                if numbers and type(x) is np.ndarray and not x.ndim:
                    x = x[()]
        xs.append(x)
    return xs


def _same_version(node, i, x):
    n = node.stamps.get(i, 0) if node.stamps else 0
    if x.version.n != n:
        raise GradError(stale(node, f"input {i}", x, x.version, n))
