"""Capture: run a function once on values without numbers, and find the state it works on.

Tensors from outside that are read become inputs of the program, those that are written, and
gradients that are set, become outputs. Nothing outside changes while the function is traced.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff.modes import recording
from ..autodiff.node import Leaf
from ..autodiff.tape import BASE
from ..autodiff.views import Laid
from ..core import tree
from ..core.bind import Box, floor
from ..core.primitive import op, spec_of
from ..core.shape import Spec
from ..errors import TraceError, user_site
from ..ir.tracer import Follower, Stateful, TraceLevel, Tracer
from .captured import Captured, Read
from .ending import Ending, Unfit, own_of
from .surroundings import Surroundings, look, put


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


class Capture(Follower, TraceLevel):
    """The floor while a function is captured."""

    def __init__(self, name: str, moving=frozenset()):
        super().__init__(name)
        self.moving = moving  # (id of a group, name): options that are inputs
        self.held: dict[int, tuple] = {}  # id of an array -> (its tensor, variable)
        self.now: dict[int, object] = {}  # and its value so far, once written
        self.sharing: dict[int, dict] = {}  # and other tensors of it, weakly
        self.shown: dict[int, object] = {}  # what views show at first
        self.places: dict[int, tuple] = {}  # tensors whose place in the graph changed
        self.grads: dict = {}  # tensors whose .grad was set, with the old one
        self.owners: dict[int, Box] = {}  # id of a gradient's array -> whose it is
        self.absent: dict[int, Box] = {}  # tensors whose missing .grad was read
        self.doubtful: list = []  # pairs of tensors that may turn out to be one
        self.moved: dict[
            int, tuple
        ] = {}  # tensors given other memory, with the old one
        self.slots: dict = {}  # places that were set, with what was there
        self.sights: dict = {}  # places that were read, with what was there
        self.read: dict[int, Read] = {}  # tensors whose numbers Python has read
        self.made: list = []  # all values, weakly
        self.boxes: list = []  # (what stands for an argument, variable)
        self.draws: dict[int, list] = {}  # generators: [generator, variable, blocks]
        self.given: dict[
            int, int
        ] = {}  # id of what stands for an argument -> its number
        self.groups: dict[int, Options] = {}  # of parameters, whose options were read
        self.after: list = []  # (function, arguments): for Python, after each call
        self.stepped: set = set()  # ids of groups whose options these change
        self.strange: set = set()  # ids of arguments that are results of other programs
        self.asks = False  # whether the gradient of an argument was read
        self.fixed: set = set()  # variables that depend on nothing with a derivative
        self.nodes: tuple = ()  # places in the graph of inputs of the next operation

    # ------------------------------------------------------------ operations

    def process(self, prim, args, params):
        """Write an operation down; what its node has no parent for passes no derivative."""
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

    def keep(self, args) -> None:
        """Those of them that are from outside are inputs."""
        for x in args:
            if isinstance(x, Box) and self.holds(x):
                self.hold(x)

    def knows(self, value) -> bool:
        """Whether it is a value of this program, or memory that it holds."""
        if isinstance(value, Tracer):
            return value.level is self
        return id(value) in self.held or id(value) in self.now

    def hold(self, x) -> None:
        """Make a tensor from outside an input; a view is one of its base."""
        key = id(x.value)
        if key in self.held or key in self.now:
            self._prefer(key, x)
            return
        base = x.base
        if base is not None and self.holds(base):
            self.hold(base)
            value = Tracer(self, self.var(base.value))
            for prim, params, _ in x.chain:
                value = prim(value, **params)
            self.now[key] = self.shown[key] = value.var
            self._remember(x)
            return
        var = self.graph.add_input(f"s{len(self.held) + 1}", spec_of(x))
        self.held[key] = x, var

    def _prefer(self, key, x):
        """Of the tensors that share memory, that with a gradient stands for it."""
        first, var = self.held.get(key, (x, None))
        if first is not x:
            self.sharing.setdefault(key, {}).setdefault(id(x), weakref.ref(x))
        if first.node is None and x.node is not None:
            self.held[key] = x, var

    def var(self, x):
        if type(x) is np.ndarray:
            if id(x) in self.now:
                return self.now[id(x)]
            if id(x) in self.held:
                return self.held[id(x)][1]
        return super().var(x)

    def known(self, x):
        """Arithmetic on it is written down, not done once and for all."""
        key = id(x)
        return Tracer(self, self.var(x)) if key in self.held or key in self.now else x

    def constant(self, value):
        return Tracer(self, self.graph.const(value))

    def numbers(self, x) -> None:
        """Numbers that Python reads are part of the program, which holds while they do."""
        if x.level is not BASE:
            return
        x.sync()
        key = id(x.value)
        before = self.shown.get(key) or self.held.get(key, (None, None))[1]
        if self.now.get(key, before) is not before or key in self.owners:
            raise TraceError(
                "Python reads numbers that are only there when the program runs: "
                "the function has written them, or they are a gradient",
                hint="where(condition, a, b) computes both and selects; "
                "cond, scan and while_loop decide on values inside a program",
            )
        self.read.setdefault(key, Read(x, x.value.copy(order="C"), user_site()))

    def take(self, generator, blocks: int):
        """The state of a generator, of which `blocks` blocks are used up."""
        self._need_whole("random numbers are drawn")
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
        """Its learning rate is an input, and what else was seen to change between calls."""
        if id(group) in self.stepped:
            raise Unfit("a scheduler makes its step before the optimizer makes one")
        found = self.groups.get(id(group))
        if found is None:
            found = self.groups[id(group)] = Options(group)
            for name in group:
                if name == "lr" or (id(group), name) in self.moving:
                    found.lift(name, self._real)
        return found.lifted

    def later(self, f, args, groups) -> bool:
        if self.sections:
            raise Unfit(
                "a scheduler makes a step in a part that runs under a condition"
            )
        self.after.append((f, args))
        self.stepped.update(map(id, groups))
        return True

    def needs_python(self, why) -> None:
        raise Unfit(why)

    def _real(self, name):
        """A number that is an input."""
        count = sum(len(o.numbers) for o in self.groups.values())
        spec = Spec((), np.dtype(np.float64))
        return Tracer(self, self.graph.add_input(f"{name}{count + 1}", spec))

    def read_grad(self, x) -> None:
        """The .grad of `x` is about to be read."""
        self.asks = self.asks or id(x) in self.given
        if id(x) in self.grads or not self.holds(x):
            return
        g = x.__dict__.get("_grad")
        if g is None:
            self.absent[id(x)] = x
        elif self.holds(g):
            self.owners[id(g.value)] = x

    # ------------------------------------------------------------ writing

    def holds(self, x) -> bool:
        return x.level is BASE and type(x.value) is np.ndarray

    inner: Callable  # captures the body of a loop that changes state

    def loop(self, *about):
        """The body of a loop that changes state; `inner` says of what."""
        self._need_whole("state is changed by a loop inside")
        return self.inner(self, *about)

    def _need_whole(self, what):
        if self.sections:
            raise Stateful(
                f"{what} in a part of a program that runs under a condition, or many times",
                hint="return what is new as a value; in scan, state may change",
            )

    def write(self, x, new) -> None:
        """The memory of `x` will hold `new`."""
        self._need_whole(f"a tensor of shape {tuple(x.shape)} is written in place")
        self.hold(x)
        self._remember(x)
        self.keep((new,))
        first, _ = self.held.get(id(x.value), (x, None))
        if first is not x:
            self._remember(first)
            first.writes += 1
        for other in self.sharing.get(id(x.value), {}).values():
            if (y := other()) is not None and y is not x:
                self._remember(y)
                y.writes += 1  # their views look again
        value = new.value if isinstance(new, Box) and new.level is BASE else new
        self.now[id(x.value)] = self.var(value)

    def changes(self, x) -> None:
        base = x if x.base is None else x.base
        if id(base) in self.strange and recording.get():
            raise Unfit("it writes into an argument that is part of a graph")
        for pair in self.doubtful:
            if any(y() is base for y in pair) and None not in (y() for y in pair):
                raise Unfit(
                    "it writes where a branch returns what it was given: whether that is "
                    "the same memory, numbers decide; clone() it"
                )
        super().changes(x)

    def perhaps(self, y, x) -> None:
        base = x if x.base is None else x.base
        self.doubtful.append((weakref.ref(y), weakref.ref(base)))

    def _remember(self, x):
        self.places.setdefault(id(x), (x, (x.node, x.seen, x.writes)))

    def rebind(self, x) -> None:
        """The .grad of `x` is about to be set."""
        if id(x) in self.given or self.holds(x):
            self._need_whole(f"the gradient of a {tuple(x.shape)} tensor is set")
            self.grads.setdefault(id(x), (x, x.__dict__.get("_grad")))

    def leaves(self, x, whole: bool) -> None:
        if self.holds(x) and x.node is not None:
            self.hold(x)
            self.left.setdefault(x.node, (self.var(x.value), whole))
        else:
            super().leaves(x, whole)

    def moves(self, x) -> None:
        if id(x) in self.given or self.holds(x):
            self.moved.setdefault(id(x), (x, x.value, x.plain))

    def reads(self, mapping, key) -> None:
        x = look(mapping, key)
        self.sights.setdefault((id(mapping), key), (mapping, key, x))

    def replaces(self, mapping, key) -> None:
        self.slots.setdefault((id(mapping), key), (mapping, key, look(mapping, key)))

    def lies_outside(self, var):
        """How an argument lies, which the program has to be given so from now on, or a state."""
        for box, v in self.boxes:
            if v is var and "laid" in box.__dict__:
                box.laid.seen = True
                return _steps(box.laid.strides, var)
        for x, v in self.held.values():
            if v is var and isinstance(x.value, Tracer):
                return x.value.level.lies(x.value)
            if v is var and not _row_by_row(x):
                return _steps(x.value.strides, var)
        return None

    # ------------------------------------------------------------ arguments

    def stand_ins(self, leaves) -> list:
        """The leaves with tensors of this program in the place of the tensors.

        One that is given twice is one; gradients that arguments have are inputs too.
        """
        self.awaiting: set = set()  # numbers of those at which gradients arrive
        known: dict = {}
        out = [self._stand_in(x, known) if isinstance(x, Box) else x for x in leaves]
        tensors = [x for x in leaves if isinstance(x, Box)]
        for x, box in [(x, known[id(x)]) for x in tensors if x._grad is not None]:
            g = self._stand_in(x._grad, {})
            box.__dict__.setdefault("_grad", g)
        return out

    def _stand_in(self, x, known):
        """A tensor without numbers for an argument."""
        var = self.graph.add_input(f"x{len(self.boxes) + 1}", spec_of(x))
        box = known.get(id(x))
        if box is None:
            box = known[id(x)] = object.__new__(type(x))
            box.value = Tracer(self, var)
            box.__dict__.update(own_of(x))
            if not _row_by_row(x):
                box.laid = Laid(x.value.strides)
            if x.requires_grad:
                box.node = Leaf(box)
            else:
                self.fixed.add(var)
            if not x.is_leaf:
                self.strange.add(id(box))
            self.given[id(box)] = len(self.boxes)
        if x.requires_grad and x.is_leaf:
            self.awaiting.add(len(self.boxes))
        self.boxes.append((box, var))
        return box

    # ------------------------------------------------------------ the end

    def forget(self) -> None:
        """Let go of all tensors."""
        self.boxes, self.slots, self.after = [], {}, []
        for kept in (self.grads, self.moved, self.places, self.left):
            kept.clear()

    def undo(self) -> None:
        """Give all tensors and places from outside back what they had."""
        for x, place in self.places.values():
            x.__dict__.pop("sharers", None)
            x.node, x.seen, x.writes = place
        for x, old in self.grads.values():
            if old is None:
                x.__dict__.pop("_grad", None)
            else:
                x.__dict__["_grad"] = old
        for x, value, plain in self.moved.values():
            x.value, x.plain = value, plain
        for slot in self.slots.values():
            put(*slot)


def _steps(strides, var) -> tuple:
    return tuple(s // var.spec.dtype.itemsize for s in strides)


def _row_by_row(x) -> bool:
    """Whether the memory of an argument lies as that of a new array does."""
    return x.value.flags.c_contiguous or x.__dict__.get("sample", False)


def capture(func, leaves, shape, name: str, moving=frozenset()) -> Captured:
    """Trace func(*args, **kwargs) on containers of these leaves: tensors and static values."""
    level = Capture(name, moving)
    given = level.stand_ins(leaves)
    args, kwargs = tree.unflatten(shape, given)
    around = Surroundings(func, args)
    if around.iterators:
        raise Unfit("it takes from an iterator; give it the value as an argument")
    token = floor.set(level)
    try:
        results = func(*args, **kwargs)
        _note(level, around)
        _need_same(given, args, kwargs)
        if around.streams.rewind():
            raise Unfit(
                "it draws random numbers of NumPy or Python; adjoint's can be in a program"
            )
        if around.rewritten():
            raise Unfit("it writes into an array of NumPy; a tensor can be part of it")
        made = Ending(level, results, around).captured
        del results
    finally:
        _note(level, around)
        around.rewritten()
        around.streams.rewind()
        floor.reset(token)
        level.undo()
        level.closed = True
    del given, args, kwargs
    _need_no_leak(level)
    return made


def _note(level, around) -> None:
    """What the function has put elsewhere without a word."""
    for keeper, key, before in around.changed():
        level.slots.setdefault((id(keeper), key), (keeper, key, before))


def _need_same(given, args, kwargs) -> None:
    """Containers among the arguments must not be changed: what was given were copies."""
    leaves, _ = tree.flatten((args, kwargs))
    if list(map(id, leaves)) != list(map(id, given)):
        raise Unfit(
            "it changes a list or dict among its arguments; return the new one, or "
            "write into its tensors with copy_"
        )


def _need_no_leak(level) -> None:
    """No value of the program may be kept where the program does not put it."""
    level.forget()
    if any(r() is not None for r in level.made):
        gc.collect()
    for r in level.made:
        x = r()
        if x is not None:
            raise TraceError(
                f"a value of shape {list(x.shape)} was kept {_where(x)}: it has no numbers "
                "yet, and the program does not put them there",
                hint="return it; or write it into a tensor that is there before the call, "
                "with copy_",
            )


def _where(x) -> str:
    """Who keeps a value, as far as that can be told."""
    boxes = [b for b in gc.get_referrers(x) if isinstance(b, Box)]
    for box in boxes:
        for keeper in gc.get_referrers(box):
            if isinstance(keeper, (list, dict, tuple, set)) and keeper is not boxes:
                return f"in a {type(keeper).__name__} of {len(keeper)}"
            if isinstance(getattr(keeper, "__dict__", None), dict):
                return f"by a {type(keeper).__name__}"
    return "outside"
