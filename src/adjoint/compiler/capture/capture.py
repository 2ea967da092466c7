"""Capture: run a function once on values without numbers, and find the state it works on.

Tensors from outside that are read become inputs of the program, those that are written, and
gradients that are set, become outputs. Nothing outside changes while the function is traced.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import numpy as np

from ...autodiff.modes import packing, recording
from ...autodiff.node import Leaf, next_order
from ...autodiff.tape import BASE
from ...autodiff.views import lies_in_base, replay
from ...core import tree
from ...core.bind import Box, floor, young
from ...core.primitive import op, spec_of
from ...errors import TraceError, calling_site
from ...ir.instead import instead
from ...ir.tracer import Follower, Stateful, TraceLevel, Tracer
from .. import log
from ..late import inner
from .arguments import Arguments
from .captured import Captured, Read
from .changes import Changes
from .ending import Ending
from .escaping import need_no_leak, need_values
from .options import Groups
from .outside import Outside
from .parting import Parting
from .screens import is_new
from .standing import Standing
from .surroundings import Surroundings, look
from .undisturbed import undisturbed
from .unfit import Unfit, Unready


class Capture(Follower, TraceLevel):
    """The floor while a function is captured."""

    def __init__(self, name: str, moving=frozenset()):
        super().__init__(name)
        self.thread, self.start = get_ident(), next_order()
        self.arguments = Arguments(self)
        self.outside = Outside()
        self.changed, self.standing = Changes(), Standing()
        self.parting = Parting()
        self.groups = Groups(self, moving)
        self.draws: dict[int, list] = {}  # generators: [generator, variable, blocks]
        self.sights: dict = {}  # places that were read, with what was there
        self.read: dict[int, Read] = {}  # tensors whose numbers Python has read
        self.owners: dict[int, Box] = {}  # id of a gradient's array -> whose it is
        self.absent: dict[int, Box] = {}  # tensors whose missing .grad was read
        self.placed: dict = {}  # those of which Python saw whether they are in a graph, weakly
        self.likes: dict[int, Box] = {}  # tensors of this call on memory from outside
        # Tensors that were told whether they require grad, and whether they did before.
        self.marked: dict[int, tuple] = {}
        self.doubtful: list = []  # pairs of tensors that may turn out to be one
        self.made: list = []  # all values, weakly
        self.fixed: set = set()  # variables that depend on nothing with a derivative
        self.nodes: tuple = ()  # places in the graph of inputs of the next operation

    # ------------------------------------------------------------ operations

    def process(self, prim, args, params):
        """Write an operation down; what its node has no parent for passes no derivative."""
        if get_ident() != self.thread:
            raise TraceError(
                "another thread captures a function just now, which put this value here; it "
                "has no numbers yet",
                hint="have the first calls of a compiled function over before other threads "
                "read what it replaces",
            )
        nodes, self.nodes = self.nodes, ()
        if nodes:
            args = [self._placed(x, n) for x, n in zip(args, nodes, strict=True)]
        y: Any = super().process(prim, args, params)
        ys = y if prim.outputs != 1 else (y,)
        self.made += map(weakref.ref, ys)
        if all(self.is_fixed(self.var(x)) for x in args):
            self.fixed.update(v.var for v in ys)
        return y

    def _placed(self, x, node):
        var = self.var(x)
        new = self.passing(var, node, self.left)
        return x if new is var else Tracer(self, new)

    # ------------------------------------------------------------ reading

    def see(self, args) -> None:
        for x in args:
            if isinstance(x, Box) and x.base is not None:
                x.sync()  # by operations of its own
        self.keep(args)
        if any(isinstance(x, Box) and x.level is not BASE for x in args):
            return  # what a view shows is a value of a transform by now
        nodes = [x.node if isinstance(x, Box) else None for x in args]
        if recording.get() and any(nodes) and (self.left or None in nodes):
            self.nodes = tuple(nodes)

    def was_there(self, x) -> bool:
        """Whether it is from outside; its memory may have been given inside."""
        return self.holds(x) or id(x) in self.changed.moved

    def keep(self, args) -> None:
        """Those of them that are from outside are inputs."""
        for x in args:
            if isinstance(x, Box) and self.holds(x):
                self.hold(x)
                self._stay(x)

    def _stay(self, x) -> None:
        """A tensor keeps its place in the graph outside when what shares its memory is written."""
        if x.node is None or x.node.order >= self.start or x.node in self.left:
            return
        base = x if x.base is None else x.base
        before = self.outside.before(base.value)
        if before is not None and self.outside.is_written(base.value):
            shown = replay(x.chain, Tracer(self, before))
            self.left[x.node] = shown.var, False

    def knows(self, value) -> bool:
        """Whether it is a value of this program, or memory that it holds."""
        if isinstance(value, Tracer):
            return value.level is self
        return self.outside.has(value)

    def hold(self, x) -> None:
        """Make a tensor from outside an input; a view is one of its base."""
        base = x.base
        part = base is not None and self.holds(base)
        if part and not self.outside.is_shown(x) and not lies_in_base(x):
            raise Unfit("it reads a view, which has other memory than its base by now")
        if self.outside.has(x.value):
            self.outside.meet(x, lasting=id(x) not in self.likes)
            return
        if part:
            if base.node is None and x.node is not None and type(x.node) is not Leaf:
                raise Unfit("it reads a view in a graph that its base has left")
            self.hold(base)
            shown = replay(x.chain, Tracer(self, self.var(base.value)))
            self.outside.show(x, shown.var)
            self.changed.place(x)
            return
        name = f"s{len(self.outside.held) + 1}"
        self.outside.add(x, self.graph.add_input(name, spec_of(x)))

    def var(self, x):
        if type(x) is np.ndarray and self.outside.has(x):
            return self.outside.var(x)
        return super().var(x)

    def known(self, x):
        """Arithmetic on it is written down, not done once and for all."""
        return Tracer(self, self.var(x)) if self.outside.has(x) else x

    def constant(self, value):
        return Tracer(self, self.graph.const(value))

    told = False  # that texts have no numbers

    def shown(self, x) -> None:
        if self.groups.shown:
            raise TraceError(
                "a text is made, which may be of a number that is an input"
            )
        if not self.told:
            log.warning(
                "%s makes a text of a tensor, such as print does: only now, and without "
                "numbers; ad.debug.print prints them in every call",
                self.graph.name,
            )
        self.told = True

    def numbers(self, x) -> None:
        """Numbers that Python reads are part of the program, which holds while they do."""
        if x.level is not BASE:
            return
        x.sync()
        key = id(x.value)
        if self.outside.is_written(x.value) or key in self.owners:
            raise TraceError(
                "Python reads numbers that are only there when the program runs: "
                "the function has written them, or they are a gradient",
                hint=instead(calling_site()),
            )
        self.read.setdefault(key, Read(x, x.value.copy(order="C"), calling_site()))

    def take(self, generator, blocks: int):
        """The state of a generator, of which `blocks` blocks are used up."""
        self._need_whole(
            "random numbers are drawn",
            "draw them before it and hand them in; in scan, a step may draw",
        )
        entry = self._stream(generator)
        start = Tracer(self, entry[1])
        state = op.add(start, np.array([0, entry[2]])) if entry[2] else start
        entry[2] += blocks
        return state

    def _stream(self, generator) -> list:
        entry = self.draws.get(id(generator))
        if entry is None:
            spec = spec_of(np.zeros(2, np.int64))
            var = self.graph.add_input(f"r{len(self.draws) + 1}", spec)
            entry = self.draws[id(generator)] = [generator, var, 0]
        return entry

    def position(self, generator) -> int:
        return self._stream(generator)[2]

    def go_to(self, generator, position) -> None:
        self._stream(generator)[2] = position

    def seeds(self, generator) -> None:
        raise Unfit("it seeds a stream of random numbers; do that before the call")

    def options(self, group):
        return self.groups.options(group)

    def steps(self, groups) -> None:
        self.groups.need_now(groups)

    def later(self, f, args, groups) -> bool:
        if self.sections:
            raise Unfit(
                "a scheduler makes a step in a part that runs under a condition"
            )
        self.groups.later(f, args, groups)
        return True

    def needs_python(self, why) -> None:
        raise Unfit(why)

    def places(self, x) -> None:
        if self.was_there(x):
            self.placed.setdefault(id(x), weakref.ref(x))

    def read_grad(self, x) -> None:
        """The .grad of `x` is about to be read."""
        self.arguments.asked = self.arguments.asked or x in self.arguments
        if id(x) in self.changed.grads or id(x) in self.likes or not self.was_there(x):
            return
        g = x.__dict__.get("_grad")
        if g is None:
            self.absent[id(x)] = x
        elif self.holds(g):
            self.owners[id(g.value)] = x

    # ------------------------------------------------------------ writing

    def holds(self, x) -> bool:
        return x.level is BASE and type(x.value) is np.ndarray

    def loop(self, *about):
        """The body of a loop that changes state; `inner` says of what."""
        self._need_whole("state is changed by a loop inside")
        return inner.loop(self, *about)

    def _need_whole(self, what, hint="return what is new; in scan, state may change"):
        if self.sections:
            raise Stateful(
                f"{what} in a part of a program that runs under a condition, or many times",
                hint=hint,
            )

    def write(self, x, new) -> None:
        """The memory of `x` will hold `new`."""
        self._need_whole(f"a tensor of shape {tuple(x.shape)} is written in place")
        self.hold(x)
        if x.base is None and self.outside.is_shown(x):
            raise Unfit("it writes memory that is shown by a view of another tensor")
        self.follow(x, new)

    def follow(self, x, new) -> None:
        """What `x` shows is `new`, as it was written or its base was."""
        self.changed.place(x)
        self.keep((new,))
        for y in self.outside.beside(x):
            self.changed.place(y)
            y.writes += 1  # their views look again
        value = new.value if isinstance(new, Box) and new.level is BASE else new
        self.outside.write(x, self.var(value))

    def changes(self, x) -> None:
        base = x if x.base is None else x.base
        if id(base) in self.arguments.strange and recording.get():
            raise Unfit("it writes into an argument that is part of a graph")
        for pair in self.doubtful:
            if any(y() is base for y in pair) and None not in (y() for y in pair):
                raise Unfit(
                    "it writes where a branch returns what it was given: whether that is "
                    "the same memory, numbers decide; clone() it"
                )
        for y in (x, base):
            if self.holds(y):
                self.changed.place(y)
        super().changes(x)

    def shapes(self, x) -> None:
        raise Unready("the parameters of a lazy layer")

    def shares(self, y) -> None:
        if self.holds(y):
            self.likes[id(y)] = y

    def perhaps(self, y, x) -> None:
        base = x if x.base is None else x.base
        self.doubtful.append((weakref.ref(y), weakref.ref(base)))

    def rebind(self, x) -> None:
        """The .grad of `x` is about to be set."""
        if x in self.arguments or self.was_there(x):
            self._need_whole(f"the gradient of a {tuple(x.shape)} tensor is set")
            self.changed.grad(x)

    def leaves(self, x, whole: bool) -> None:
        if self.holds(x) and x.node is not None:
            self.hold(x)
            self.left.setdefault(x.node, (self.var(x.value), whole))
        else:
            super().leaves(x, whole)

    def walks(self, nodes, goals) -> None:
        for goal in goals or ():
            x = goal.tensor() if type(goal) is Leaf else None
            if x is not None:
                self.places(x)
        self.arguments.need_own(nodes, goals, self.start)

    def walked(self, node, g, gs) -> None:
        if node.order < self.start:
            self.changed.walk(node)

    def moves(self, x, new) -> None:
        if x in self.arguments or self.was_there(x):
            base = new if new.base is None else new.base
            found = (r() for r in base.__dict__.get("sharers", ()))
            sharers = [y for y in found if y is not None]
            if any(y in self.arguments for y in (base, *sharers)):
                raise Unfit("it gives a tensor the memory of an argument")
            if not self.holds(new) and any(map(self.holds, (base, *sharers))):
                raise Unfit("it gives a tensor the memory of another")
            if self.holds(new) and new.base is not None:
                raise Unfit("it gives a tensor the memory of a view")
            if self.holds(new) and self.holds(x):
                self.keep((new, x))  # one memory now perhaps, and two before a call
            self.changed.memory(x)
        self.parting.give(x, new)

    def parts(self, x) -> None:
        self.parting.need_base(x)

    def reads(self, mapping, key) -> None:
        x = look(mapping, key)
        self.sights.setdefault((id(mapping), key), (mapping, key, x))

    def makes(self, mapping) -> None:
        self.changed.begun[id(mapping)] = mapping

    def replaces(self, mapping, key) -> None:
        if not is_new(key):
            self.changed.slot(mapping, key)

    def switches(self, module) -> None:
        self.changed.switch(module)

    def marks(self, x) -> None:
        outside = self.was_there(x) and id(x) not in self.likes
        if outside or x in self.arguments:
            self.marked.setdefault(id(x), (x, x.node))
        if outside:
            self.changed.place(x)

    def lies_outside(self, var):
        """How an argument or a state lies; an argument has to lie so from now on."""
        steps = self.arguments.strides(var)
        if steps is not None:
            return _in_elements(steps, var)
        for x, v in self.outside.held.values():
            value = self.changed.first(x) if v is var else None
            if isinstance(value, Tracer):
                return value.level.lies(value)
            if value is not None and not value.flags.c_contiguous:
                own = not x.__dict__.get("sample")
                return _in_elements(value.strides, var) if own else None
        return None

    def forget(self) -> None:
        """Let go of all tensors."""
        self.arguments.boxes, self.groups.after = [], []
        self.changed.forget()
        self.left.clear()
        self.sights.clear()
        self.marked.clear()
        self.likes.clear()
        self.parting.forget()


def _in_elements(strides, var) -> tuple:
    return tuple(s // var.spec.dtype.itemsize for s in strides)


def capture(func, leaves, shape, name: str, moving=frozenset()) -> Captured:
    """Trace func(*args, **kwargs) on containers of these leaves: tensors and static values."""
    level = Capture(name, moving)
    young.clear()
    given = level.arguments.stand_ins(leaves)
    args, kwargs = tree.unflatten(shape, given)
    around = Surroundings(func, args)
    if around.iterators:
        raise Unfit("it takes from an iterator; give it the value as an argument")
    with _undone(level, around):
        level.groups.show(around.places.values())
        results = func(*args, **kwargs)
        level.groups.hide()
        level.standing.need_as_they_were()
        _note(level, around)
        _need_same(given, args, kwargs)
        level.arguments.need_as_they_were()
        _need_untouched(around)
        made = _ended(level, results, around)
        del results
    del given, args, kwargs
    need_values(made.fixed.values(), level)
    need_no_leak(level, made)
    return made


@contextmanager
def _undone(level, around):
    """Inside, this level is the floor; what is done to the world outside is undone after.

    Hooks from outside pack what the program saves when it runs, and nothing that it is made of.
    """
    token = floor.set(level)
    hooks = packing.set(None)
    try:
        yield
    finally:
        with undisturbed():
            level.groups.hide()
            _note(level, around)
            around.rewritten()
            around.streams.rewind()
            packing.reset(hooks)
            floor.reset(token)
            level.standing.put_back()
            level.changed.undo()
            level.closed = True


def _need_untouched(around) -> None:
    """What is NumPy's, or Python's, must be as it was: arrays, and streams of random numbers."""
    if around.streams.more():
        raise Unready("a module")  # what it drew there is not known; next time it is
    if around.streams.rewind():
        raise Unfit(
            "it draws random numbers of NumPy or Python; adjoint's can be in a program"
        )
    if around.rewritten():
        raise Unfit("it writes into an array of NumPy; a tensor can be part of it")


def _ended(level, results, around) -> Captured:
    """What the function did, of which what it returns and keeps must have an end."""
    try:
        return Ending(level, results, around).captured
    except tree.Endless as error:
        raise Unfit(f"it returns or keeps containers without end: {error}") from None


def _note(level, around) -> None:
    """What the function has put elsewhere without a word."""
    for keeper, key, before in around.changed():
        level.changed.put(keeper, key, before)


def _need_same(given, args, kwargs) -> None:
    """Containers among the arguments must not be changed: what was given were copies."""
    leaves, _ = tree.flatten((args, kwargs))
    if list(map(id, leaves)) != list(map(id, given)):
        raise Unfit(
            "it changes a list, dict or data class among its arguments; return the new one, or "
            "write into its tensors with copy_"
        )
