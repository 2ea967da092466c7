"""compile: the face. Programs by signature, the state they work on, and calling them."""

from __future__ import annotations

import functools
import importlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff.backward import accumulate
from ..autodiff.modes import inferring, recording
from ..autodiff.tape import BASE, Counted, versioned
from ..core import tree
from ..core.bind import NUMPY, Box, floor, modes
from ..errors import TraceError
from .binding import MISS, Interpreted
from .capture import Captured, capture
from .insight import Insight
from .live import Live, pullback

log = logging.getLogger("adjoint.compiler")


def compile(
    func: Callable | None = None, *, backend: str = "native", cache_size: int = 32
):
    """Make one native program of a function of tensors, its state found by itself.

    The first call runs as it is written, so that state which is made on the way exists; the
    next one is captured. Another program is made for other shapes, dtypes and static values.

    >>> @compile
    ... def f(x):
    ...     return (x * x).sum()
    >>> f(tensor([1., 2.])), f(tensor([3., 4.]))
    (tensor(5.), tensor(25.))
    """
    if func is None:
        return functools.partial(compile, backend=backend, cache_size=cache_size)
    return Compiled(func, backend, cache_size)


class Compiled(Insight):
    """A function that runs as a program: first eagerly, to make what state it makes."""

    def __init__(self, func, backend, cache_size):
        functools.update_wrapper(self, func)
        self.func, self.backend, self.cache_size = func, backend, cache_size
        self.programs: OrderedDict = OrderedDict()
        self.moving: set = set()  # options that change from call to call
        self.pinned: set = set()  # those that the function branches on
        self.warm = False
        self.last = _miss

    def __reduce__(self):
        """A copy of it, or what another process gets, makes programs of its own."""
        return Compiled, (self.func, self.backend, self.cache_size)

    def __call__(self, *args, **kwargs):
        y = MISS if kwargs else self.last(*args)
        return self._call(args, kwargs) if y is MISS else y

    def _call(self, args, kwargs):
        """Find the program for these arguments, or make it, and run it."""
        leaves, shape = tree.flatten((args, kwargs))
        outside = any(isinstance(x, Box) and x.level is not BASE for x in leaves)
        if not self.warm or outside or floor.get() is not NUMPY:
            self.warm = self.warm or floor.get() is NUMPY
            return self.func(*args, **kwargs)
        step, leaves = self._found(leaves, shape)
        if step.captured.bespoke and recording.get():
            return self.func(*args, **kwargs)  # its graph is the one to walk back
        flat = not kwargs and all(isinstance(x, Box) for x in args)
        usual = flat and recording.get() and not inferring.get()
        self.last = step.quick if usual else _miss
        return step(leaves)

    def _found(self, leaves, shape):
        """The program for these arguments, which is not run, and the arguments as tensors."""
        leaves = [BASE.wrap(x) if isinstance(x, np.ndarray) else x for x in leaves]
        kinds = tuple(map(_kind, leaves))
        key = shape, kinds, recording.get(), inferring.get(), modes.value
        step = self.programs.get(key)
        if step is None or not step.fits():
            step = self._make(key, leaves, shape, step)
        self.programs.move_to_end(key)
        return step, leaves

    def _make(self, key, leaves, shape, before):
        name = getattr(self.func, "__name__", "f")
        captured = self._captured(leaves, shape, name, before)
        step = Step(captured, self.backend)
        if step.native is not None:
            word = "loaded" if step.native.cached else "compiled"
            log.info("%s %s: %s", word, name, self._why(key, before))
        self.programs[key] = step
        while len(self.programs) > self.cache_size:
            self.programs.popitem(last=False)
        return step

    def _captured(self, leaves, shape, name, before):
        """What the function does; numbers that changed since are inputs where that can be."""
        if before is not None:
            self.moving |= before.run.stirred - self.pinned
        try:
            return capture(self.func, leaves, shape, name, frozenset(self.moving))
        except TraceError:
            if not self.moving:
                raise
        self.pinned |= self.moving  # something branches on them
        self.moving = set()
        return capture(self.func, leaves, shape, name)

    def _why(self, key, before) -> str:
        """Why a program was made."""
        if before is not None:
            return "what it works on was changed"
        if not self.programs:
            return "first"
        return _difference(next(reversed(self.programs)), key)


def _miss(*args):
    return MISS


def _kind(x):
    """What of an argument makes another program."""
    if isinstance(x, Box):
        return x.shape, x.value.dtype, x.requires_grad
    return type(x), x


def _difference(old, new) -> str:
    if old[0] != new[0]:
        return "other containers or numbers of arguments"
    for i, (a, b) in enumerate(zip(old[1], new[1], strict=True)):
        if a != b:
            return f"argument {i + 1} is {b}, was {a}"
    return "another mode"


class Step:
    """A captured program with the state it is bound to."""

    def __init__(self, captured: Captured, backend: str):
        self.captured, self.backend = captured, backend
        self.reverse: dict = {}
        outputs = [g for g in captured.gradients if g.output is not None]
        self.placed = [g.tensor for g in outputs]
        self.cleared = [g.tensor for g in captured.gradients if g.output is None]
        self.written = [
            s.tensor
            for s in captured.states
            if s.written is not None and s.tensor is not None
        ]
        self.wrap = _assembled(captured, BASE.wrap)
        self.assemble = _assembled(captured, lambda y: y)
        self.quick = _miss
        code = _native() if backend == "native" else None
        if code is None:
            self.native, self.run = None, Interpreted(captured)
            return
        self.native = code.Native(captured)
        self.run = code.Bound(self.native, self.wrap)
        for x in self.written:
            Counted.by(versioned(x), self.run.calls)
        rare = self.cleared or captured.absent or captured.live
        rare = rare or any(isinstance(x, int) for x in self.placed)
        if self.run.call is not None and not rare:
            self.quick = self.run.call

    def fits(self) -> bool:
        """Whether the world is still what was captured."""
        return self.run.fits()

    def __call__(self, leaves):
        if self.captured.live and recording.get():
            inputs = [x for x in leaves if isinstance(x, Box)]
            inputs += [s.source() for s in self.captured.states]
            if any(x.requires_grad for x in inputs):
                extras = self.run.extras()
                results: Any = Live.apply(self, extras, *inputs)
                return self.assemble(*results)
        given = [x for x in leaves if isinstance(x, Box)]
        return self.wrap(*self._run(given, self.run.extras()))

    def _run(self, given, extras):
        """The arrays of the results, after states and gradients have taken their new values."""
        results, gradients = self.run([x.value for x in given], extras)
        self.run.calls.value += 1
        for x, g in zip(self.placed, gradients, strict=True):
            if isinstance(x, int):
                accumulate(given[x], g, False, True)
            else:
                x._grad = BASE.wrap(g)
        for x in self.cleared:
            (given[x] if isinstance(x, int) else x)._grad = None
        if self.quick is not _miss:
            self.run.give([x._grad for x in self.placed])
        return results

    # ------------------------------------------------------------ as one operation

    def outputs(self, inputs, extras):
        """The results as tensors; the first inputs are the arguments."""
        given = inputs[: self.captured.arguments]
        return [BASE.wrap(y) for y in self._run(given, extras)]

    def overwritten(self) -> set:
        """Numbers of the inputs whose memory the program writes."""
        c = self.captured
        return {
            c.arguments + i for i, s in enumerate(c.states) if s.written is not None
        }

    def pullback(self, wanted) -> Compiled:
        """The compiled function of the reverse, for these inputs."""
        if wanted not in self.reverse:
            f = pullback(self.captured, wanted)
            self.reverse[wanted] = Compiled(f, self.backend, 32)
            self.reverse[wanted].warm = True
        return self.reverse[wanted]


@functools.cache
def _native():
    """The module that makes machine code, imported when it is first needed; None without LLVM."""
    try:
        return importlib.import_module(".native.program", __package__)
    except ImportError:
        log.warning("llvmlite is not installed: compiled functions run on NumPy")
        return None


def _assembled(captured, wrap):
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
