"""Results: what a program returns and keeps, as the function would."""

from __future__ import annotations

from ..autodiff.tape import BASE
from ..core import tree
from .captured import Made


def kept(leaf, made):
    """What the program keeps or hands on: what was there, or a new tensor."""
    if not isinstance(leaf, Made):
        return leaf[0]
    x = BASE.wrap(made[leaf.output])
    x.__class__ = leaf.kind
    x.__dict__.update(leaf.own)
    return x


def assembled(captured, wrap):
    """results -> what the function returns; `wrap` is done to each that is a tensor."""
    shape, fixed = captured.results, captured.fixed
    if shape == tree.LEAF and not fixed:
        return wrap

    def assemble(*results):
        results = iter(results)
        count = captured.count + len(fixed)
        leaves = [fixed[i] if i in fixed else wrap(next(results)) for i in range(count)]
        return tree.unflatten(shape, leaves)

    return assemble
