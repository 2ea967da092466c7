"""compile: the face. Programs by signature, the state they work on, and calling them."""

from __future__ import annotations

import functools
import gc
import importlib
import inspect
import logging
import sys
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..autodiff.modes import inferring, recording
from ..autodiff.tape import BASE
from ..autodiff.versions import Counted, versioned
from ..core import tree
from ..core.bind import NUMPY, Box, floor, modes, moved
from ..core.dtype import get_default_dtype
from ..core.lasting import lasting
from ..errors import ArgumentTypeError, TraceError
from .amounts import read_bytes
from .batches import Batches, need_batch
from .binding import MISS, Interpreted
from .building import PATIENCE, Building
from .capture import capture
from .captured import Captured, inputs_of
from .ending import Unfit, Unready, traits
from .insight import Insight
from .live import Live, pullback, reached
from .probe import CHECKS, looked_at, need_check, probed
from .results import assembled, kept
from .signature import difference, key_of, twice
from .surroundings import put

log = logging.getLogger("adjoint.compiler")


def compile(
    func: Callable | None = None,
    *,
    backend: str = "native",
    cache_size: int = 32,
    background: bool = False,
    check: str | None = None,
    batch: bool | int = False,
    memory: int | str | None = None,
):
    """Make one native program of a function of tensors, its state found by itself.

    The first call runs as it is written, so that state which is made on the way exists; the
    next one is captured. Another program is made for other shapes, dtypes and static values.
    What was there before, such as an argument, state, its `.grad` or a view, is returned itself,
    as the function does.

    With `background`, calls are interpreted while a program that takes long is built: they do
    not wait, but two runs may differ in the last bits.

    With `batch`, one program works for every number of examples, which are the first dim of
    the first tensor and of all that are as long: up to the number given, or, with True, up to
    the next power of two. Without, each number of examples has a program of its own.

    With `memory`, bytes such as "512MB", a program takes no more than that together with its
    state, arguments and results: values of the way forward are computed a second time on the
    way back instead of being kept, those first that cost the least time for what they free.
    `memory()` tells which. If that is not enough, the error tells how little can be. Where
    operations run one by one, with `check` or by NumPy, it has no effect, and a warning says so.

    With `check="nan"` it runs slowly, operation by operation, and the first that makes NaN
    raises a NotFiniteError with its line and what it was given, in gradients too; with
    `check="inf"` the first that makes Inf does so as well.

    >>> @compile
    ... def f(x):
    ...     return (x * x).sum()
    >>> f(tensor([1., 2.])), f(tensor([3., 4.]))
    (tensor(5.), tensor(25.))
    """
    need_check(check)
    need_batch(batch)
    most = read_bytes(memory, "memory")
    if most is not None and (check or backend) != "native":
        log.warning(
            "memory=%r has no effect with %s: it runs operation by operation",
            memory,
            f"check={check!r}" if check else f"backend={backend!r}",
        )
    settings = Settings(check or backend, cache_size, background, batch, most)
    return settings.of if func is None else settings.of(func)


class Settings(NamedTuple):
    """What is asked of a compiled function."""

    backend: str = "native"
    cache_size: int = 32
    background: bool = False
    batch: bool | int = False
    memory: int | None = None  # bytes

    def of(self, func):
        """The function, compiled so; of a module, one on the same parts."""
        _need_function(func)
        made = Compiled(func, self)
        return as_module(func, made) if hasattr(func, "named_parameters") else made


def _need_function(func):
    """What is compiled must be called once for a result."""
    if not callable(func):
        raise ArgumentTypeError(
            f"compile: expected a function or a module, got {type(func).__name__}"
        )
    for kind in ("generator", "coroutine", "asyncgen"):
        if getattr(inspect, f"is{kind}function")(func):
            raise ArgumentTypeError(
                f"compile: {func.__name__} is a generator or async function, which stops "
                "and goes on between its values",
                hint="compile the function that it calls for each of them",
            )


VAIN = 8  # programs that ran but once, after which a call runs as it is written


class Compiled(Insight):
    """A function that runs as a program: first eagerly, to make what state it makes."""

    def __init__(self, func, settings: Settings, owner=None):
        functools.update_wrapper(self, func)
        self.written, self.owner = func, owner  # the object whose method it is, weakly
        self.settings, self.backend = settings, settings.backend
        self.methods: dict = {}  # id of an object -> its own compiled method
        self.programs: OrderedDict = OrderedDict()
        self.moving: set = set()  # options that change from call to call
        self.pinned: set = set()  # those that the function branches on
        self.unfit: set = set()  # keys of calls for which there is no program
        self.wasted: dict = {}  # how many programs in a row have run but once
        self.batches = Batches(settings.batch) if settings.batch else None
        self.warm = self.backend in CHECKS  # gradients are looked at in programs alone
        self.last = _miss

    @property
    def func(self):
        """The function as it was written."""
        return self.written if self.owner is None else self._method(self.owner())

    def _method(self, x):
        return types.MethodType(self.written, x)

    def __get__(self, x, kind=None):
        """As a method: each object has programs of its own, for as long as it is there."""
        if x is None:
            return self
        key = id(x)
        own = self.methods.get(key)
        if own is None:
            ref = weakref.ref(x, lambda _: self.methods.pop(key, None))
            own = self.methods[key] = Compiled(self.written, self.settings, ref)
        return Method(own, x)

    def __reduce__(self):
        """A copy of it, or what another process gets, makes programs of its own."""
        name = getattr(self.written, "__qualname__", "")
        module = sys.modules.get(getattr(self.written, "__module__", None) or "")
        if module is not None and vars(module).get(name) is self:
            return name
        return Compiled, (self.written, self.settings)

    def __call__(self, *args, **kwargs):
        y = MISS if kwargs else self.last(*args)
        return self._call(args, kwargs) if y is MISS else y

    def _call(self, args, kwargs):
        """Find the program for these arguments, or make it, and run it."""
        leaves, shape = tree.flatten((args, kwargs))
        outside = any(isinstance(x, Box) and x.level is not BASE for x in leaves)
        if not self.warm or outside or floor.get() is not NUMPY:
            self.warm = self.warm or floor.get() is NUMPY
            return self._as_written(args, kwargs)
        step, leaves = self._found(leaves, shape)
        given = inputs_of(leaves)
        if step is None or not step.suits(given):
            return self._as_written(args, kwargs)
        flat = not kwargs and all(isinstance(x, Box) for x in args)
        usual = flat and recording.get() and not inferring.get()
        self.last = step.quick if usual else _miss
        return step(given)

    def _as_written(self, args, kwargs):
        if self.backend not in CHECKS or floor.get() is not NUMPY:
            return self.func(*args, **kwargs)
        return looked_at(self.backend, self.func, args, kwargs)

    def _found(self, leaves, shape):
        """The program for these arguments, which is not run, and the arguments as tensors.

        There is none where the function has to run as it is written.
        """
        leaves = [BASE.wrap(x) if isinstance(x, np.ndarray) else x for x in leaves]
        kinds = tuple(map(key_of, leaves))
        state = recording.get(), inferring.get(), modes.value, get_default_dtype()
        key = shape, kinds, twice(leaves), *state
        if self._is_unfit(key):
            return None, leaves
        step = _replaced(self.programs.get(key))
        if step is None or not step.fits():
            with _no_sweeping():
                step = self._made(key, leaves, shape, step)
        if step is not None:
            self.programs[key] = step
            self.programs.move_to_end(key)
        return step, leaves

    def _in_vain(self, key, before) -> bool:
        """Whether programs for these arguments have run but once, time and again."""
        if before is not None:
            again = before.run.calls.value > 1
            self.wasted[key] = 0 if again else self.wasted.get(key, 0) + 1
        return self.wasted.get(key, 0) >= VAIN

    def _is_unfit(self, key) -> bool:
        """Whether such a call runs as it is written, which is said once if it has no hash."""
        try:
            return key in self.unfit
        except TypeError as error:
            if not self.unfit:
                self.unfit.add(None)
                hint = "pass tuples and frozensets for lists and sets"
                log.warning("%s runs as it is written: %s; %s", self, error, hint)
            return True

    def _made(self, key, leaves, shape, before):
        """A new program; None where this call, or every such call, runs as it is written."""
        name = getattr(self.func, "__name__", "f")
        if self._in_vain(key, before):
            log.warning(
                "%s runs as it is written: what it reads was changed before each of the "
                "last calls; hold it in a tensor, or make it an argument",
                name,
            )
            self.unfit.add(key)
            return None
        try:
            captured = self._captured(leaves, shape, name, before)
        except Unready:
            return None
        except Unfit as error:
            log.warning("%s runs as it is written: %s", name, error)
            self.unfit.add(key)
            return None
        step = self._of_batch(captured, leaves, shape, key)
        if step is None:
            step = self._built(captured)
            if step.native is not None:
                word = "loaded" if step.native.cached else "compiled"
                log.info("%s %s: %s", word, name, self._why(key, before))
        self.programs.pop(key, None)
        while len(self.programs) >= max(self.settings.cache_size, 1):
            self.programs.popitem(last=False)
        return step

    def _of_batch(self, captured, leaves, shape, key):
        """What runs it in a program for any number of examples, if there is one."""
        if self.batches is None or self.backend in CHECKS:
            return None
        name = captured.graph.name

        def again(leaves):
            return self._captured(leaves, shape, name, None)

        def run(captured):
            return Step(captured, self.backend).run

        member = self.batches.member(captured, leaves, key, again, run)
        return member and Step(captured, self.backend, run=member)

    def _built(self, captured):
        """The program; with `background` one that is interpreted if it takes long to build."""
        code = (
            _native() if self.settings.background and self.backend == "native" else None
        )
        if code is None:
            return Step(captured, self.backend)
        building = Building(functools.partial(code.Native, captured))
        if building.done(PATIENCE):
            return Step(captured, self.backend, building.result())
        return Step(captured, "numpy", building=building)

    def wait(self) -> None:
        """Wait until the programs are there that are built in the background.

        >>> f = compile(lambda x: x * 2, background=True)
        >>> f(tensor(1.)), f(tensor(2.))
        (tensor(2.), tensor(4.))
        >>> f.wait()
        """
        for step in self.programs.values():
            if step.building is not None:
                step.building.result()

    def _captured(self, leaves, shape, name, before):
        """What the function does, and what memory that may take."""
        captured = self._traced(leaves, shape, name, before)
        captured.memory = self.settings.memory
        return captured

    def _traced(self, leaves, shape, name, before):
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
        return difference(next(reversed(self.programs)), key)


@contextmanager
def _no_sweeping():
    """Without the search for garbage, which looks at all that is being made again and again."""
    sweeps = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if sweeps:
            gc.collect(
                0
            )  # of this alone: Python's own next search may be of everything
            gc.enable()


def _replaced(step):
    """The native program instead of its stand-in, once it is there."""
    if step is None or step.building is None or not step.building.done(0):
        return step
    if not step.fits():
        return step
    native = step.building.result()
    log.info("compiled %s in the background", step.captured.graph)
    return Step(step.captured, "native", native)


def _miss(*args):
    return MISS


class Step:
    """A captured program with the state it is bound to."""

    def __init__(
        self, captured: Captured, backend: str, native=None, building=None, run=None
    ):
        self.captured, self.backend = captured, backend
        self.building = building  # of the native program, if this only stands in for it
        self.reverse: dict = {}
        self.reached = reached(captured) if captured.live else []
        self.wrap = assembled(captured, BASE.wrap)
        self.assemble = assembled(captured, lambda y: y)
        self.quick = _miss
        code = _native() if backend == "native" else None
        if run is not None:
            self.native, self.run = run.native, run
        elif code is None:
            slow = probed(captured.graph, backend) if backend in CHECKS else None
            self.native, self.run = None, Interpreted(captured, slow)
        else:
            self.native = native or code.Native(captured)
            self.run = code.Bound(self.native, self.assemble)
        for s in captured.states:
            if s.written is not None and s.tensor is not None:
                Counted.by(versioned(s.tensor), self.run.calls)
        if run is None and self.native is not None and self.run.call is not None:
            self.quick = self.run.call

    def fits(self) -> bool:
        """Whether the world is still what was captured."""
        return self.run.fits()

    def suits(self, given) -> bool:
        """Whether the program does for these arguments what the function does."""
        if self.captured.bespoke and recording.get():
            return False  # the function's own graph is the one to walk back
        laid = self.captured.laid.items()
        if any(given[i].value.strides != strides for i, strides in laid):
            return False  # what is a view of it, and what a copy, is known for others
        if any(x is y for x in given for y in self.captured.alike):
            return False  # in the program they are two, each with its own derivatives
        asked = any(isinstance(g.tensor, int) for g in self.captured.gradients)
        if asked and any(any(traits(x)[1:]) for x in given):
            return False  # what arrives at an argument meets its hooks
        return not self.captured.writes or self.run.apart(given)

    def __call__(self, given):
        if self.captured.live and recording.get():
            inputs = [*given, *(s.source() for s in self.captured.states)]
            if any(x.requires_grad for x in inputs):
                extras = self.run.extras()
                results: Any = Live.apply(self, extras, *inputs)
                return self.assemble(*results, *self._handed(given))
        return self.wrap(*self._run(given, self.run.extras()), *self._handed(given))

    def _handed(self, given):
        """The arguments, if some of them are results."""
        return given if self.captured.hands_on else ()

    def _run(self, given, extras):
        """The arrays of the results, after all that the program sets has its new value."""
        c = self.captured
        made = self.run([x.value for x in given], extras)
        self.run.calls.value += 1
        for i in c.rewritten:
            versioned(given[i]).n += 1
        for g in c.gradients:
            x = given[g.tensor] if isinstance(g.tensor, int) else g.tensor
            x._grad = None if g.output is None else BASE.wrap(made[g.output])
        for m in c.moved:
            x = given[m.tensor] if isinstance(m.tensor, int) else m.tensor
            x.value, x.plain = made[m.output], True
            moved.value += 1
        for s in c.slots:
            leaves = [kept(leaf, made) for leaf in s.leaves]
            put(s.mapping, s.key, tree.unflatten(s.shape, leaves))
        for f, args in c.after:
            f(*(kept(x, made) for x in args))
        if self.quick is not _miss:
            self.run.give([g.tensor._grad for g in c.gradients])
        if self.run.calls.value == 1:
            self.run.settle()
        return [made[i] for i in range(c.count)]

    # ------------------------------------------------------------ as one operation

    def outputs(self, inputs, extras):
        """The results as tensors; the first inputs are the arguments."""
        given = list(inputs[: self.captured.arguments])
        return [BASE.wrap(y) for y in self._run(given, extras)]

    def overwritten(self) -> set:
        """Numbers of the inputs whose memory the program writes."""
        c = self.captured
        states = enumerate(c.states, c.arguments)
        return {*c.rewritten, *(i for i, s in states if s.written is not None)}

    def pullback(self, wanted) -> Compiled:
        """The compiled function of the reverse, for these inputs: one for all sizes of a batch."""
        family = getattr(self.run, "family", None)
        known = self.reverse if family is None else family.reverse
        if wanted not in known:
            found = (lambda _: self.captured) if family is None else family.captured_for
            settings = Settings(
                self.backend,
                batch=family is not None and family.most,
                memory=self.captured.memory,
            )
            known[wanted] = Compiled(pullback(found, wanted), settings)
            known[wanted].warm = True
        return known[wanted]


class Method:
    """A compiled method of an object, which it keeps."""

    def __init__(self, compiled, owner):
        self.compiled, self.__self__ = compiled, owner

    def __call__(self, *args, **kwargs):
        return self.compiled(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self.compiled, name)


def as_module(module, compiled):
    """A module on the same parts whose call is compiled."""

    def call(self, *args, **kwargs):
        return compiled(*args, **kwargs)

    def again(self):
        return _compiled_again, (module, compiled.settings)

    shown = {k: getattr(compiled, k) for k in dir(Insight) if not k.startswith("_")}
    programs = {k: property(lambda _, k=k: getattr(compiled, k)) for k in _SHOWN}
    kind = type(module)
    names = {**shown, **programs, "__call__": call, "__reduce__": again}
    out = object.__new__(type(kind.__name__, (kind,), names))
    object.__setattr__(out, "__dict__", module.__dict__)
    return out


def _compiled_again(module, settings):
    return as_module(module, Compiled(module, settings))


_SHOWN = ("programs", "warm", "last", "settings", "backend", "wait")


@functools.cache
def _native():
    """The module that makes machine code, imported when it is first needed; None without LLVM."""
    try:
        code = importlib.import_module(".native.bound", __package__)
        lasting()
        return code
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "llvmlite":
            raise
        log.warning("llvmlite is not installed: compiled functions run on NumPy")
        return None
