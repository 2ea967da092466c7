"""Ending: what a function that was captured has read, written and left behind."""

from __future__ import annotations

import weakref

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ...autodiff.backward import in_graph, reachable
from ...autodiff.casting import casting
from ...autodiff.function_node import bespoke
from ...autodiff.modes import inferring, recording
from ...autodiff.node import Leaf
from ...autodiff.tape import BASE
from ...core import tree
from ...core.bind import Box
from ...errors import TraceError, show_site
from ...functional.effects import attempt
from ...ir.instead import instead
from ...ir.positions import refused
from ...ir.tracer import Tracer
from .arguments import given_by_users, own_of
from .captured import (
    Captured,
    Dressed,
    Gradient,
    Had,
    Later,
    Made,
    Mark,
    Moved,
    Place,
    Read,
    Seen,
    Slot,
    State,
    Traits,
)
from .passing import Passing
from .screens import attributes
from .surroundings import ABSENT, SEQUENCES, equal, look, named
from .unfit import Unfit, Unready


class Ending:
    """Collects into `captured` what a capture has found, while nothing is undone yet."""

    def __init__(self, level, results, around):
        self.level, self.graph = level, level.graph
        leaves, shape = tree.flatten(results)
        self.captured = c = Captured(self.graph, len(level.arguments.boxes), shape)
        c.leaves = frozenset(level.arguments.awaiting)
        c.firsts = level.arguments.firsts()
        c.inner = frozenset(level.arguments.inner)
        c.recording, c.inferring = recording.get(), inferring.get()
        c.is_cast = casting.get() is not None
        self.graph.outputs = []
        self._results(leaves)
        self.at: dict = {}  # id of an array that a slot had -> its place
        self.kept: list = []  # what slots have now
        self.homes = around.homes(level.sights)
        self._slots()
        self._later()
        self._marks()
        self._arguments()
        self._memory()
        self._gradients()
        self._need_tensors()
        self._refusals()
        self._states()
        self._guards(around)
        c.bespoke = c.bespoke or any(map(in_graph, self._changed()))
        self._inputs()
        c.graph = self.graph.without_dead()

    def _output(self, y) -> int:
        """A new output, and its number."""
        self.graph.outputs.append(end(self.level, y))
        return len(self.graph.outputs) - 1

    def _results(self, leaves):
        """New tensors are outputs; those that were there, and other values, stay as they are."""
        c, first, tensors, shown = self.captured, {}, [], {}
        passing = Passing(self.level)
        self.gone = passing.gone
        for i, y in enumerate(leaves):
            if not isinstance(y, Box):
                c.fixed[i] = y
            elif first.setdefault(id(y), i) != i:
                c.twice[i] = first[id(y)]
            elif (passed := passing.passed(y)) is not None:
                c.passed[i] = passed
                shown.update({i: y} if passed.views else {})
            else:
                tensors.append(y)
        self._graphs(tensors, shown)
        self._need_one_place([tensors[i].node for i in c.live])
        c.bespoke = bespoke([tensors[i].node for i in c.live])
        c.count = len([self._output(y) for y in tensors])

    def _need_one_place(self, nodes):
        """A program has one gradient for each memory that the way back from its results reaches."""
        outside, start = self.level.outside, self.level.start
        way = {n for n in reachable(nodes) if n.order < start}
        others = list(outside.besides())
        for key, (x, _) in outside.held.items():
            others += (y for y in outside.beside(x, key) if y.node is not x.node)
        views = outside.viewed()
        others += (y for y in views if type(y.node) is Leaf or y.base.node is None)
        if any(y.node in way for y in others):
            raise Unfit(_PLACES)

    def _graphs(self, tensors, shown):
        """Which results are in a graph, and what else they are; `shown` were there before."""
        c = self.captured
        live = {i for i, y in enumerate(tensors) if in_graph(y)}
        leaves = {y.node for y in (*tensors, *shown.values()) if type(y.node) is Leaf}
        c.live = frozenset(i for i in live if tensors[i].node not in leaves)
        ways = reachable([tensors[i].node for i in c.live]) if leaves else ()
        if not leaves.isdisjoint(ways):
            raise Unfit("it returns a new leaf, and what depends on it")
        c.dressed = {i: d for i, y in enumerate(tensors) if (d := _dress(y))}
        for i, y in shown.items():
            if dress := _dress(y):
                views = (*c.passed[i].views, dress.put_on)
                c.passed[i] = c.passed[i]._replace(views=views)

    # ------------------------------------------------------------ what is written

    def _slots(self):
        for keeper, key, before in self.level.changed.slots.values():
            now = look(keeper, key)
            if not equal(now, before):
                self.captured.slots.append(self._slot(keeper, key, before, now))

    def _slot(self, keeper, key, before, now):
        old, shape = tree.flatten(before)
        leaves, new_shape = tree.flatten(now)
        if before is ABSENT:
            raise Unready(_named(keeper, key))
        longer = isinstance(keeper, SEQUENCES) and shape != new_shape
        kept = now is not ABSENT and not isinstance(keeper, set) and not longer
        if not kept or not any(_traced(y) or id(y) in self.gone for y in leaves):
            raise Unfit(_CHANGES.format(_named(keeper, key)))
        if shape != new_shape:
            raise Unready(_named(keeper, key))
        pairs = enumerate(zip(old, leaves, strict=True))
        made = [self._leaf(Place(keeper, key, i), x, y) for i, (x, y) in pairs]
        return Slot(keeper, key, shape, made)

    def _leaf(self, place, x, y):
        """A leaf of a place, which was x and is y: made by the program, or as it was."""
        if equal(x, y) and (not _traced(y) or id(y) in self.level.changed.moved):
            return (y,)
        if id(y) in self.level.changed.moved:
            raise Unfit(
                f"it gives a tensor other memory, and keeps it as {place.key!r} too"
            )
        if not _traced(y) and id(y) not in self.gone:
            raise Unfit(_CHANGES.format(_named(place.mapping, place.key)))
        if not isinstance(x, Box) or x.shape != y.shape or x.dtype != y.dtype:
            raise Unready(_named(place.mapping, place.key))
        if self.level.outside.is_shown(x):
            raise Unready(_named(place.mapping, place.key))  # it was a view, y is none
        others = self.homes.get(id(x), set()) - {(id(place.mapping), *place[1:])}
        if others:
            raise Unready(_named(place.mapping, place.key))  # from which was it taken?
        if id(y) in self.gone:
            self.at[id(x.value)] = place, x
            return Had(self._state(y, place))
        if self._was_there(y):
            raise Unfit(
                f"it keeps an argument, or what shares memory with state, as {place.key!r}"
            )
        if y.requires_grad and type(y.node) is Leaf:
            raise Unfit(f"it makes a new leaf {place.key!r} with every call")
        if vars(y).get("_grad") is not None:
            raise Unfit(
                f"it keeps a new tensor with a gradient of its own, {place.key!r}"
            )
        self.at[id(x.value)] = place, x
        self.kept.append(y)
        return self._made(y)

    def _state(self, y, place) -> int:
        """The number of the state that `y` is, which another place had before."""
        level = self.level
        plain = level.holds(y) and y.base is None and y.node is None
        if plain:
            level.keep((y,))
            held = level.outside.held
            if held.get(id(y.value), (None, None))[0] is y:
                return list(held).index(id(y.value))
        raise Unfit(_CHANGES.format(_named(place.mapping, place.key)))

    def _was_there(self, y) -> bool:
        """Whether it is, or shows, an argument or memory from outside: no new tensor."""
        level, base = self.level, y if y.base is None else y.base
        near = [base, *(r() for r in base.__dict__.get("sharers", ()))]
        return any(
            x in level.arguments or (x is not None and level.holds(x)) for x in near
        )

    def _later(self):
        """What Python does after each call, with results of the program."""
        for f, args in self.level.groups.after:
            given = [self._made(x) if _traced(x) else (x,) for x in args]
            self.captured.after.append(Later(f, given))
        for module, before in self.level.changed.switched.values():
            if (now := module.training) != before:
                given = [(module,), ("training",), (now,)]
                self.captured.after.append(Later(setattr, given))

    def _made(self, y) -> Made:
        return Made(self._output(y), y.__class__, own_of(y))

    def _arguments(self):
        """New values of the arguments, and how some must lie in memory."""
        c, arguments = self.captured, self.level.arguments
        for i, (box, var) in enumerate(arguments.boxes):
            laid = box.__dict__.get("laid")
            if laid is not None and laid.seen:
                c.laid[i] = laid.strides
            again = arguments.number.get(id(box)) != i  # it is an earlier one
            if again or id(box) in self.level.changed.moved:
                continue
            if end(self.level, box) is not var:
                c.rewritten[i] = self._output(box)

    def _memory(self):
        """Tensors that have other memory now."""
        self.level.parting.need_parts()
        for x, old in self.level.changed.moved.values():
            if x.value is old:
                continue
            if not _traced(x):
                raise Unfit("it gives a tensor the memory of another")
            self._need_lasting(x)
            tensor = self.level.arguments.or_number(x)
            self.captured.moved.append(Moved(tensor, self._output(x)))

    def _need_lasting(self, x) -> None:
        """What is set of a tensor is set of the same one in each call."""
        if id(x) in self.gone:
            raise Unfit("it changes a tensor, and keeps another in its place")

    def _gradients(self):
        """Gradients that are others now; those in the same memory are states."""
        for key, (x, old) in self.level.changed.grads.items():
            if key in self.level.likes:
                continue  # it ends with the call
            g = x.__dict__.get("_grad")
            if self._is_as_it_was(x, g, old):
                continue
            self._need_lasting(x)
            if id(x) in self.level.arguments.strange:
                self.captured.bespoke = True
            y = None if g is None else self._output(g)
            tensor = self.level.arguments.or_number(x)
            self.captured.gradients.append(Gradient(tensor, y))

    def _is_as_it_was(self, x, g, old) -> bool:
        """Whether the gradient of x needs nothing done after the call; one that was None may be
        there before another call, if nothing says that it is not."""
        if g is None or old is None:
            told = id(x) in self.level.absent or x in self.level.arguments
            return g is old and told
        return g is old or g.value is old.value

    def _need_tensors(self):
        """What is computed of options is no result where these are numbers of Python.

        It would be of float64, in which they are inputs, or even be a float. With what is
        computed of tensors of float64 they make such a tensor in eager, too.
        """
        groups = self.level.groups
        if not groups.shown:
            return
        made = {v for *_, v in groups.numbers()}
        wide = {v for v in self.graph.inputs if v.spec.dtype == np.float64} - made
        for o in self.graph.operations:
            if not wide.isdisjoint(o.inputs):
                wide.update(v for v in o.outputs if v.spec.dtype == np.float64)
            elif not made.isdisjoint(o.inputs):
                made.update(o.outputs)
        if any(v in made and v.spec.dtype == np.float64 for v in self.graph.outputs):
            raise TraceError("a result is computed of options that are inputs")

    def _refusals(self):
        """What no result needs is tried all the same, where eager may refuse its positions."""
        live = [*self.graph.outputs, *self.level.outside.now.values()]
        for o in refused(self.graph, live):
            given = [BASE.wrap(Tracer(self.level, v)) for v in o.inputs]
            attempt(o.prim, given, o.params)

    def _states(self):
        level = self.level
        for key, (x, var) in level.outside.held.items():
            owner = level.owners.get(key)
            place, kept = self.at.get(key, (None, x))
            if owner is not None:
                place = Place(attributes(owner), "_grad")
            elif kept is not x:
                if any(y is kept for y in level.outside.beside(x, key)):
                    raise Unready(_named(place.mapping, place.key))  # read, as x was
                place = None  # what is kept there has the memory of x, this time
            state = State(var, x if place is None else None, place)
            state.traits = None if place is None or owner is not None else traits(x)
            others = level.outside.beside(x, key)
            state.beside = [weakref.ref(y) for y in others if id(y) not in level.likes]
            if state.beside and place is not None:
                raise Unfit(
                    "it reads a tensor that has the memory of another, which is given a new one"
                )
            if place is not None and level.outside.is_viewed(x):
                raise Unfit(
                    f"it reads a view of what {_named(place.mapping, place.key)} keeps, and "
                    "gives that a new tensor; the view shows the old one"
                )
            new = level.outside.now.get(key)
            if new is not None and new is not var:
                state.written = len(self.graph.outputs)
                self.graph.outputs.append(new)
            self.captured.states.append(state)
        self._need_apart()

    def _marks(self):
        """What requires grad after each call, or does so no more."""
        for x, before in self.level.marked.values():
            if (x.node is None) is (before is None):
                continue
            self._need_lasting(x)
            if self.captured.live:
                raise Unfit(
                    "it has a tensor begin or cease to require grad, and returns what has to be "
                    "walked back; do that before the calls"
                )
            tensor = self.level.arguments.or_number(x)
            self.captured.marks.append(Mark(tensor, x.node is not None))

    def _need_apart(self):
        """Memory that is written must not be part of another state's."""
        pairs = zip(self.captured.states, self.level.outside.held.values(), strict=True)
        arrays = [(self.level.changed.first(x), s) for s, (x, _) in pairs]
        if self.level.outside.is_missed() or not apart(arrays):
            raise Unfit("it writes memory that several tensors have a part of")

    def _changed(self):
        """Tensors that have another place in the graph than before."""
        changed, given = self.level.changed, enumerate(self.level.arguments.boxes)
        places = changed.places.values()
        yield from (x for x, (node, *_) in places if _elsewhere(x.node, node))
        yield from (x for i, (x, _) in given if self._is_new(i, x))
        if (
            self.captured.live
        ):  # the way back finds the memory that these had, no more there
            yield from (x for x, _ in changed.moved.values())
        yield from self.kept
        for x, _ in changed.grads.values():
            if x.__dict__.get("_grad") is not None:
                yield x._grad

    def _is_new(self, i, x):
        return i in self.captured.rewritten and type(x.node) is not Leaf

    # ------------------------------------------------------------ what must stay

    def _guards(self, around):
        """What is compared before each call."""
        c, level = self.captured, self.level
        c.absent, c.owners = list(level.absent.values()), list(level.owners.values())
        c.asks = level.arguments.asked
        groups = level.groups.read.values()
        c.seen = [*self._seen(around), *(Seen(o.group, o.others()) for o in groups)]
        placed = (y for r in level.placed.values() if (y := r()) is not None)
        met = [*level.outside.met(), *placed]
        tensors = [x for x in met if id(x) not in level.likes]
        tensors += [*level.owners.values(), *level.absent.values()]
        marked = level.marked
        tensors += [x for x, _ in marked.values() if x not in level.arguments]
        c.traits = [
            Traits(x, _traits(*marked[key][::-1]) if key in marked else traits(x))
            for key, x in {id(x): x for x in tensors}.items()
        ]
        asked = [box for box, _ in level.arguments.boxes if box.requires_grad]
        c.alike = [x for x in tensors if any(_may_be(x, box) for box in asked)]
        c.views = level.outside.views
        c.besides = level.outside.other
        c.read = list(level.read.values())
        for r in c.read:
            self._need_still(r)
        c.read += self._arrays(around.arrays.values())

    def _seen(self, around):
        """What was there in all places that were read, by their keepers."""
        level, kept = self.level, {}
        free = level.changed.slots.keys() | level.groups.shown.keys()
        places = {**around.places, **around.counts, **level.sights}
        for place, (keeper, key, x) in places.items():
            comes = place in around.places and isinstance(keeper, dict)
            if (x is not ABSENT or comes) and place not in free:
                kept.setdefault(id(keeper), Seen(keeper, {})).items[key] = x
        return kept.values()

    def _arrays(self, arrays):
        """Arrays of NumPy that the function names, whose numbers may be part of the program."""
        for x, before in arrays:
            held = (y for y, _ in self.level.outside.held.values())
            if not any(np.may_share_memory(x, y.value) for y in held):
                yield Read(BASE.wrap(x), before, None)

    def _need_still(self, read):
        """Numbers that Python has read must not be the program's to change."""
        held = self.level.outside.held.values()
        for s, (x, _) in zip(self.captured.states, held, strict=True):
            mine = s.written is not None or s.place is not None
            if mine and np.may_share_memory(x.value, read.tensor.value):
                raise TraceError(
                    "Python has read numbers that the program changes, in "
                    f"{show_site(read.site)}",
                    hint=instead(read.site),
                )

    def _inputs(self):
        """The inputs in order: arguments, states, random streams, numbers."""
        c, g, level = self.captured, self.graph, self.level
        numbers = level.groups.numbers()
        c.numbers = [n[:3] for n in numbers]
        c.draws = [(generator, n) for generator, _, n in level.draws.values()]
        order = [*g.inputs[: c.arguments], *(s.var for s in c.states)]
        draws = [var for _, var, _ in level.draws.values()]
        g.inputs = [*order, *draws, *(n[3] for n in numbers)]


_CHANGES = (
    "it changes {}, which is no tensor; a tensor that is written with copy_ or add_ can be "
    "part of a program"
)
_PLACES = (
    "what it returns is walked back to several tensors that share their memory, each with a "
    "gradient of its own; walk it back inside"
)


def _elsewhere(node, before) -> bool:
    """Whether it is another place in the graph: a leaf that was frozen for a while is not."""
    leaves = type(node) is type(before) is Leaf
    return node is not before and not (leaves and not (before.hooks or before.prehooks))


def _named(keeper, key) -> str:
    if isinstance(keeper, SEQUENCES):
        return f"a {type(keeper).__name__}"
    return "a variable" if key == "cell_contents" else named(key)


def _may_be(x, y) -> bool:
    """Whether a tensor from outside could be given for this argument, and has derivatives."""
    return x.requires_grad and (x.shape, x.dtype) == (y.shape, y.dtype)


def end(level, y):
    """The variable of a result."""
    if y.base is not None:
        y.sync()
    level.keep((y,))
    node = y.node
    while isinstance(y, Box) and not isinstance(y, Tracer):
        y = y.value
    var = level.var(y)
    return var if node is None else level.passing(var, node, level.left)


def apart(arrays) -> bool:
    """Whether what is written is no part of another; `arrays` are pairs with their states."""
    spans = [(*byte_bounds(x), s.written is not None) for x, s in arrays if x.size]
    reach = {True: 0, False: 0}  # where what is written, and what is not, ends so far
    for start, end, written in sorted(spans):
        if start < reach[True] or (written and start < reach[False]):
            return False
        reach[written] = max(reach[written], end)
    return True


def traits(x) -> tuple:
    """What of a tensor decides whether and how gradients arrive at it."""
    return _traits(x.node, x)


def _traits(node, x) -> tuple:
    if node is None:
        return (False,)
    hooks = [tuple(h or ()) for h in (node.prehooks, node.hooks, x.post_hooks)]
    return type(node) is Leaf, *hooks


def _dress(y) -> Dressed | None:
    """What a new tensor has besides its numbers, if there is anything."""
    leaf = type(y.node) is Leaf
    if leaf and (vars(y).get("_grad") is not None or any(traits(y)[1:])):
        raise Unfit("it returns a new leaf with a gradient or hooks of its own")
    if not y.requires_grad and vars(y).get("_grad") is not None:
        raise Unfit("it returns a new tensor with a gradient of its own")
    if given := given_by_users(y):
        raise Unfit(f"it returns a new tensor with an attribute {given[0]} of its own")
    plain = type(y) is Box.face and not own_of(y)
    return None if plain and not leaf else Dressed(type(y), own_of(y), leaf)


def _traced(y) -> bool:
    """Whether a value is one of the program."""
    while isinstance(y, Box) and not isinstance(y, Tracer):
        y = y.value
    return isinstance(y, Tracer)
