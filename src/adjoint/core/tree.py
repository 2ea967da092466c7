"""Pytrees: nested tuples, lists, dicts, named tuples, data classes and registered classes."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import ArgumentError


class Endless(ArgumentError):
    """A container that contains itself, or too many of them in each other."""


class TreeDef(NamedTuple):
    """How a container is put together again: its type, its keys, its children."""

    kind: type | None
    keys: Any
    children: tuple[TreeDef, ...]


LEAF = TreeDef(None, None, ())


# kind -> (split into (children, keys), join (keys, children))
_NODES: dict[type, tuple[Callable, Callable]] = {
    tuple: (lambda t: (t, None), lambda _, xs: tuple(xs)),
    list: (lambda t: (t, None), lambda _, xs: list(xs)),
    dict: (
        lambda t: (t.values(), tuple(t)),
        lambda ks, xs: dict(zip(ks, xs, strict=True)),
    ),
    OrderedDict: (
        lambda t: (t.values(), tuple(t)),
        lambda ks, xs: OrderedDict(zip(ks, xs, strict=True)),
    ),
    type(None): (lambda t: ((), None), lambda _, xs: None),
}


def register(kind: type, split: Callable, join: Callable) -> None:
    """Make a class a container: split(x) -> (children, keys), join(keys, children) -> x."""
    _NODES[kind] = (split, join)


def _rules(x):
    kind = type(x)
    found = _NODES.get(kind) or _family(kind)
    return None if found is _FIELDS and not _has_fields_alone(x) else found


@functools.lru_cache(1024)
def _family(kind):
    """How named tuples, and data classes that are compared by value, are split; else None.

    One that is compared by what it is, with eq=False, is an object like others.
    """
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _NAMED
    made = vars(kind).get("__dataclass_params__")
    return _FIELDS if made is not None and made.eq else None


def _has_fields_alone(x) -> bool:
    """Whether a data class has its fields and nothing else, which would be lost."""
    own, names = getattr(x, "__dict__", None), _fields(type(x))
    if own is None:
        return all(hasattr(x, n) for n in names)
    return len(own) == len(names) and all(n in own for n in names)


@functools.lru_cache(256)
def _fields(kind) -> tuple[str, ...]:
    return tuple([f.name for f in dataclasses.fields(kind)])


def _record(kind, names, values):
    """A data class with these fields, as it is: its own __init__ may do more."""
    x = object.__new__(kind)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(x, name, value)
    return x


# What is split alike, whatever its class; `_put_together` knows how it is put together.
_NAMED = (lambda t: (t, None), None)
_FIELDS = (
    lambda x: ([getattr(x, n) for n in _fields(type(x))], _fields(type(x))),
    None,
)


def flatten(tree) -> tuple[list, TreeDef]:
    """The leaves from left to right, and what `unflatten` needs.

    >>> flatten({'a': 1, 'b': (2, [3])})[0]
    [1, 2, 3]
    """
    leaves: list = []
    try:
        return leaves, _taken_apart(tree, leaves)
    except RecursionError:
        need_end(tree)
        raise


# Not functions inside, which would refer to themselves and keep the leaves alive.
def _taken_apart(x, leaves) -> TreeDef:
    rules = _rules(x)
    if rules is None:
        leaves.append(x)
        return LEAF
    children, keys = rules[0](x)
    return TreeDef(type(x), keys, tuple([_taken_apart(c, leaves) for c in children]))


DEEP = 100  # containers in each other, from which on their number is told


def need_end(tree) -> None:
    """The error for containers that contain themselves, or are too many in each other.

    A walk through them without calls: on the way are (key, container, children to come).
    """
    way, around, done, deepest = [_opened("", tree)], {id(tree): 0}, set(), 0
    while way:
        _, x, rest = way[-1]
        key, child = next(rest, (None, None))
        if key is None:
            done.add(id(x))
            del around[id(x)]
            way.pop()
        elif id(child) in around:
            inner = [k for k, _, _ in way[around[id(child)] + 1 :]]
            raise Endless(
                f"a {type(child).__name__} contains itself: "
                f"it is its own {''.join([*inner, key])}",
                hint="containers of tensors are trees; hold what they share in an object",
            )
        elif id(child) not in done and _rules(child) is not None:
            around[id(child)] = len(way)
            way.append(_opened(key, child))
            deepest = max(deepest, len(way))
    if deepest >= DEEP:
        raise Endless(
            f"{deepest} containers stand in each other, too many for Python's recursion",
            hint="hold what they have in one list",
        )


def _opened(key, x):
    """(its key, a container, its children with their keys)."""
    children, keys = rules[0](x) if (rules := _rules(x)) else ((), None)
    names = keys if isinstance(keys, tuple) else itertools.count()
    named = zip(names, children, strict=False)
    return key, x, iter([(f"[{k!r}]", c) for k, c in named])


def unflatten(tree: TreeDef, leaves):
    """The tree with these leaves; inverse of `flatten`."""
    return _put_together(tree, iter(leaves))


def _put_together(t, rest):
    if t.kind is None:
        return next(rest)
    children = [_put_together(c, rest) for c in t.children]
    rules = _NODES.get(t.kind)
    if rules:
        return rules[1](t.keys, children)
    if t.keys is None:
        return t.kind(*children)
    return _record(t.kind, t.keys, children)


def map_leaves(f, tree, *others):
    """The tree of f(leaf, ...), over one tree or several of the same shape.

    >>> map_leaves(lambda a, b: a + b, (1, [2]), (10, [20]))
    (11, [22])
    """
    leaves, definition = flatten(tree)
    columns = [leaves]
    for other in others:
        more, same = flatten(other)
        if same != definition:
            raise ArgumentError(f"trees differ in structure: {tree!r} and {other!r}")
        columns.append(more)
    return unflatten(definition, [f(*row) for row in zip(*columns, strict=True)])
