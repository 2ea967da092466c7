"""Views: parts of arrays in another order, which products read and write where they lie."""

from __future__ import annotations

import math
from typing import NamedTuple

RUN = 8  # numbers that lie side by side, at least


class View(NamedTuple):
    """Where the elements of a value lie in the memory of another: an offset, and steps of dims."""

    root: object
    offset: int
    steps: tuple[int, ...]


def whole(v) -> View:
    """A value in its own memory."""
    return View(v, 0, steps_of(v.spec.shape))


def steps_of(shape) -> tuple[int, ...]:
    """The steps of dims that lie in order."""
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def moved(o, of: View) -> View | None:
    """The result of an operation that moves elements, if that is a view of the same memory."""
    move = _MOVES.get(o.prim.name)
    return move(o, of) if move else None


def _slice(o, of):
    offset, steps, left = of.offset, [], iter(of.steps)
    for part in o.params["key"]:
        if part is None:
            steps.append(0)
            continue
        step = next(left)
        if isinstance(part, tuple):
            offset += part[0] * step
            steps.append(part[2] * step)
        else:
            offset += part * step
    return View(of.root, offset, (*steps, *left))


def _select(o, of):
    d = o.params["dim"]
    steps = (*of.steps[:d], *of.steps[d + 1 :])
    return View(of.root, of.offset + o.params["index"] * of.steps[d], steps)


def _permute(o, of):
    return of._replace(steps=tuple(of.steps[d] for d in o.params["dims"]))


def _reshape(o, of):
    steps = split(o.inputs[0].spec.shape, of.steps, o.outputs[0].spec.shape)
    return None if steps is None else of._replace(steps=steps)


_MOVES = {"slice": _slice, "select": _select, "permute": _permute, "reshape": _reshape}


def split(shape, steps, to) -> tuple[int, ...] | None:
    """The steps of a shape each dim of which is a part of one of `shape`, or of its ones."""
    out: list[int] = []
    dims = iter(zip(shape, steps, strict=True))
    left, step = 1, 0
    for n in to:
        if n == 1:
            out.append(0)
            continue
        while left == 1:
            left, step = next(dims, (0, 0))
        if not left or not n or left % n:
            return None
        left //= n
        out.append(left * step)
    return tuple(out) if left == 1 else None


def readable(view: View, spec) -> bool:
    """Whether products gain from it: a part of the memory, in runs that lie side by side."""
    if not spec.size or spec.size >= view.root.spec.size:  # type: ignore
        return False
    wide = [(n, s) for n, s in zip(spec.shape, view.steps, strict=True) if n != 1]
    return bool(wide) and wide[-1][1] == 1 and wide[-1][0] >= RUN
