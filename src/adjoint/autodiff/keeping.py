"""What nodes keep of inputs and results, as it is or as hooks of the user pack it."""

from __future__ import annotations

import numpy as np

from ..core.bind import floor
from ..errors import GradError
from .modes import packing, packing_of
from .versions import Version, Versions


def save(node, i, x):
    """Input `i` as the node keeps it: its version noted, packed if hooks say so."""
    if x.inference:
        raise GradError("inference tensors cannot be saved for backward")
    version = x.version
    if version is not None and version.n:
        node.stamps = {**(node.stamps or {}), i: version.n}
    hooks = packing.get() and packing_of(node.level)
    return Packed(hooks, x) if hooks else x


class Packed:
    """A saved tensor that the user's pack hook turned into something else."""

    __slots__ = ("node", "packed", "unpack")

    def __init__(self, hooks, x):
        self.packed, self.unpack, self.node = hooks.pack(x), hooks.unpack, x.node

    def restore(self):
        """The tensor again, with its place in the graph."""
        x = self.unpack(self.packed)
        if x.node is None and self.node is not None:
            x = alias(x, self.node)
        return x


class PackedResult:
    """A saved result that the user's pack hook turned into something else."""

    __slots__ = ("packed", "single", "unpack")

    def __init__(self, hooks, results):
        self.single, self.unpack = not isinstance(results, tuple), hooks.unpack
        self.packed = [hooks.pack(y) for y in ((results,) if self.single else results)]

    def restore(self):
        """The value or values again."""
        ys = tuple(self.unpack(p).value for p in self.packed)
        return ys[0] if self.single else ys


def pack_result(node) -> None:
    """Hand the saved result, with its version, to the pack hook."""
    y = node.saved_y
    if isinstance(y, tuple):
        versions = node.y_version = Versions()
        shown = tuple(_shown(node, v, versions.of[i]) for i, v in enumerate(y))
    else:
        node.y_version = Version()
        shown = _shown(node, y, node.y_version)
    node.saved_y = PackedResult(packing_of(node.level), shown)


def _shown(node, value, version):
    out = node.level.wrap(value)
    out.version = version
    return out


def alias(x, node):
    """Another tensor on the same memory and version, at another place in the graph."""
    out = x.level.wrap(x.value)
    out.__dict__.update({k: v for k, v in x.__dict__.items() if k in _PAYLOAD})
    out.node, out.version = node, x.version
    return out


_PAYLOAD = frozenset({"tangent", "batch_dim", "detached", "laid"})


def as_it_is(x):
    """x in its place, with the value that it has now whatever is written into it later.

    A value that is written down never changes; memory has its variable in the program.
    """
    below = floor.get()
    if x.base is not None:
        x.sync()
    below.keep((x,))
    value = below.known(x.value) if type(x.value) is np.ndarray else x.value
    out = x.level.wrap(value)
    out.__dict__.update({k: v for k, v in x.__dict__.items() if k in _PAYLOAD})
    out.node = x.node
    return out
