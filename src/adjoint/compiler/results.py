"""Results: what a program made as what the function returns and keeps."""

from __future__ import annotations

from ..autodiff.tape import BASE
from ..core import tree
from .capture.captured import Had, Made

ONE, TUPLE, OTHER = "one tensor", "a tuple of tensors", "other"


def answer(captured) -> str:
    """What a program's results are put together to."""
    c, shape = captured, captured.results
    if c.live or c.fixed or c.passed or c.twice or c.dressed or c.count == 0:
        return OTHER
    if shape == tree.LEAF:
        return ONE
    flat = shape.kind is tuple and all(c == tree.LEAF for c in shape.children)
    return TUPLE if flat else OTHER


def kept(leaf, made, had=()):
    """What the program keeps or hands on: what was there, or a new tensor.

    `had` are the tensors that the states were before the call.
    """
    if isinstance(leaf, Had):
        return had[leaf.state]
    if not isinstance(leaf, Made):
        return leaf[0]
    x = BASE.wrap(made[leaf.output])
    x.__class__ = leaf.kind
    x.__dict__.update(leaf.own)
    return x


def assembled(captured, wrap):
    """results -> what the function returns; `wrap` is done to each that is a new tensor.

    Where results are taken from arguments, these come after the new ones.
    """
    c, shape = captured, captured.results
    if shape == tree.LEAF and c.count == 1 and not c.dressed:
        return wrap
    count = c.count + len(c.fixed) + len(c.passed) + len(c.twice)

    def assemble(*results):
        leaves: list = []
        made, given = list(map(wrap, results[: c.count])), results[c.count :]
        for i, dress in c.dressed.items():
            dress.put_on(made[i])
        new = iter(made)
        for i in range(count):
            if i in c.fixed:
                leaves.append(c.fixed[i])
            elif i in c.passed:
                leaves.append(c.passed[i].get(given))
            else:
                leaves.append(leaves[c.twice[i]] if i in c.twice else next(new))
        return tree.unflatten(shape, leaves)

    return assemble
