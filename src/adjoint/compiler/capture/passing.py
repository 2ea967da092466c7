"""Passing: results that were there before: arguments, states, what places have, views of these."""

from __future__ import annotations

from functools import partial
from operator import methodcaller

from ...autodiff.views import Chosen
from ...core import tree
from ...core.bind import Box
from .captured import Passed, Place
from .screens import attributes
from .surroundings import look
from .unfit import Unfit

_detached = methodcaller("detach")


class Passing:
    """Says of results whether they were there, while nothing of a capture is undone yet."""

    def __init__(self, level):
        self.level = level
        self.homes = dict(self._homes())
        self.gone = set(map(id, self._gone()))

    def _gone(self):
        """Tensors in the place of which slots have others."""
        for keeper, key, before in self.level.changed.slots.values():
            old, now = tree.flatten(before)[0], tree.flatten(look(keeper, key))[0]
            now += [None] * (len(old) - len(now))
            yield from (x for x, y in zip(old, now, strict=False) if x is not y)

    def _homes(self):
        """(id of a tensor, the place where the program keeps it)."""
        changed, likes = self.level.changed, self.level.likes
        for keeper, key, _ in changed.slots.values():
            for i, y in enumerate(tree.flatten(look(keeper, key))[0]):
                if isinstance(y, Box):
                    yield id(y), Place(keeper, key, i)
        lasting = (x for k, (x, _) in changed.grads.items() if k not in likes)
        owners = [*lasting, *self.level.owners.values()]
        for x in owners:
            if x not in self.level.arguments and vars(x).get("_grad") is not None:
                yield id(x._grad), Place(attributes(x), "_grad")

    def passed(self, y) -> Passed | None:
        """What a result is that was there before: an argument, a state, or a view of one."""
        y.sync()
        x = y if y.base is None else y.base
        if y is not x and (y.node is None) is not (x.node is None):
            return None  # the view was made where nothing is recorded
        if any(type(prim) is Chosen for prim, _, _ in y.chain or ()):
            return None  # which part it is, the program alone knows
        found = self._there_before(x, y)
        if found is None or y is x:
            return found
        views = (partial(prim, **params) for prim, params, _ in y.chain)
        return Passed(found.source, (*found.views, *views))

    def _there_before(self, x, y) -> Passed | None:
        level = self.level
        if x in level.arguments:
            return Passed(level.arguments.number[id(x)])
        for box, _ in level.arguments.boxes:
            if any(r() is x for r in box.__dict__.get("sharers", ())):
                return Passed(level.arguments.number[id(box)], (_detached,))
        if id(x) in self.homes:
            return Passed(self.homes[id(x)])
        if y is x and id(x) in level.changed.moved and id(x) not in self.gone:
            return Passed(x)
        if not level.holds(x):
            return None
        if (owner := level.owners.get(id(x.value))) is not None:
            g = vars(owner).get("_grad")
            shares = g is not None and g.value is x.value
            place = Place(attributes(owner), "_grad")
            return Passed(place, (_detached,)) if shares else None
        level.keep((x, y))
        if id(x) not in level.likes and id(x) not in self.gone:
            return Passed(x)
        held, _ = level.outside.held.get(id(x.value), (None, None))
        if held is None:
            return None
        if id(held) in self.gone or id(held) in level.changed.moved:
            if x.node is not None:
                raise Unfit("it returns what a place had, which is part of a graph")
            return None
        return Passed(held) if held is x else Passed(held, (_detached,))
