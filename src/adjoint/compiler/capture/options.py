"""Options: groups of parameters whose options a program reads, some of them as inputs."""

from __future__ import annotations

import numpy as np

from ...autodiff.tape import BASE
from ...core.bind import Box
from ...core.shape import Spec
from ...ir.tracer import Tracer
from .screens import is_new, shown_for
from .unfit import Unfit


class Options:
    """A group of options as a program sees it: those that move are variables."""

    def __init__(self, group):
        self.group, self.lifted = group, dict(group)
        self.numbers: list = []  # (name, place in a tuple or None, variable)

    def lift(self, name, variable) -> None:
        """Make an option an input: a number, or each number of a tuple."""
        x = self.group.get(name)
        if type(x) in (int, float):
            self.lifted[name] = self._number(name, None, variable)
        elif type(x) is tuple and all(type(v) is float for v in x):
            self.lifted[name] = tuple(
                self._number(name, i, variable) for i in range(len(x))
            )

    def _number(self, name, place, variable):
        tracer = variable(name)
        self.numbers.append((name, place, tracer.var))
        return BASE.wrap(tracer)

    def others(self) -> dict:
        """What the program took as it was."""
        skip = {"params", *(name for name, _, _ in self.numbers)}
        return {k: v for k, v in self.group.items() if k not in skip}


class Groups:
    """All groups that were read, and what schedulers do to them after each call."""

    def __init__(self, level, moving):
        self.level = level
        self.moving = moving  # (id of a group, name): options that are inputs
        self.read: dict[int, Options] = {}  # by the id of the group
        self.after: list = []  # (function, arguments): for Python, after each call
        self.stepped: set = set()  # ids of groups whose options these change
        self.shown: dict = {}  # (group, name, what is there usually, the input) by place

    def options(self, group) -> dict:
        """Its learning rate is an input, and what else was seen to change between calls."""
        self.need_now([group])
        if any(map(is_new, group["params"])):
            return group  # of an optimizer that each call makes
        found = self.read.get(id(group))
        if found is None:
            found = self.read[id(group)] = Options(group)
            for name in group:
                if name == "lr" or (id(group), name) in self.moving:
                    found.lift(name, self._input)
        return found.lifted

    def need_now(self, groups) -> None:
        """The options of these groups must not be others by now than they seem."""
        if not self.stepped.isdisjoint(map(id, groups)):
            raise Unfit("a scheduler makes its step before the optimizer makes one")

    def show(self, places) -> None:
        """Have the function find inputs in the groups of which it reads these places itself."""
        for group, name, x in places:
            place = id(group), name
            if place in self.moving and place not in self.shown and _is_group(group):
                group[name] = y = _shown(self.options(group)[name])
                self.shown[place] = group, name, x, y

    def hide(self) -> None:
        """Groups are as they were; what the function put there stays, to be noticed."""
        for group, name, x, y in self.shown.values():
            if group.get(name) is y:
                group[name] = x

    def _input(self, name):
        """A number that is an input."""
        count = sum(len(o.numbers) for o in self.read.values())
        spec = Spec((), np.dtype(np.float64))
        var = self.level.graph.add_input(f"{name}{count + 1}", spec)
        return Tracer(self.level, var)

    def later(self, f, args, groups) -> None:
        """f(*args) changes options of these groups when the program has run."""
        self.after.append((f, args))
        self.stepped.update(map(id, groups))

    def numbers(self) -> list:
        """(group, name, place in a tuple, variable) of all that are inputs."""
        return [(o.group, *n) for o in self.read.values() for n in o.numbers]


def _shown(x):
    """An input in the place of its number."""
    if isinstance(x, Box):
        x = BASE.wrap(x.value)
        object.__setattr__(x, "__class__", shown_for(type(x)))
    return x


def _is_group(x) -> bool:
    """Whether a place that was read is in a group of parameters."""
    return isinstance(x, dict) and isinstance(x.get("params"), list)
