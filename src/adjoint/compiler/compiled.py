"""Compiled: which program a call is for, and what is done where there is none."""

from __future__ import annotations

import functools
import gc
import sys
import types
import weakref
from collections import OrderedDict
from contextlib import contextmanager, suppress
from itertools import chain

from ..autodiff.casting import lower_dtype
from ..autodiff.checkpoint import begins, begins_again
from ..autodiff.modes import inferring, recording
from ..autodiff.tape import BASE
from ..core.bind import NUMPY, Box, floor, modes
from ..core.dtype import get_default_dtype
from . import log
from .alone import alone
from .binding import MISS
from .building import PATIENCE, Building
from .capture.capture import capture
from .capture.captured import inputs_of
from .capture.unfit import Unfit, Unready
from .insight import Insight
from .late import batches, probe
from .settings import CHECKS, Settings
from .signature import (
    difference,
    key_of,
    leaves_of,
    same_statics,
    samples,
    tensor_of,
    twice,
    unkeyed,
)
from .step import Step, miss, native_code

EARLIER = 3  # programs for the same arguments that are kept, for the world may be theirs again
VAIN = 8  # programs that ran but once, after which a call runs as it is written
_VAIN = (
    "what it reads was changed before each of the last calls: now {}; hold it in a tensor, or "
    "give it as one"
)
_THRASHES = (
    "%s has had more programs than are kept (cache_size=%d), and most ran but once: now %s; "
    "numbers that change can be tensors, and batch= takes examples of any number"
)


class Compiled(Insight):
    """A function that runs as a program: first eagerly, to make what state it makes."""

    def __init__(self, func, settings: Settings, owner=None):
        functools.update_wrapper(self, func)
        self.__name__ = _name_of(func)
        self.written, self.owner = func, owner  # the object whose method it is, weakly
        self.settings, self.backend = settings, settings.backend
        self.methods: dict = {}  # id of an object -> its own compiled method
        self.programs: OrderedDict = OrderedDict()
        self.earlier: dict = {}  # keys -> programs that did not fit, the latest last
        self.moving: set = set()  # options that change from call to call
        self.pinned: set = set()  # those that the function branches on
        self.unfit: dict = {}  # keys of calls for which there is no program -> why
        self.wasted: dict = {}  # how many programs in a row have run but once
        self.dropped = 0  # programs that ran but once before they had to make room
        self.batches = batches.Batches(settings.batch) if settings.batch else None
        self.warm = self.backend in CHECKS  # gradients are looked at in programs alone
        self.met: tuple = (None, None)  # what the first call was given
        self.last = miss

    def __repr__(self):
        return f"<compiled {self.__name__}>"

    @property
    def func(self):
        """The function as it was written."""
        return self.written if self.owner is None else self._method(self.owner())

    def _method(self, x):
        return types.MethodType(self.written, x)

    def __get__(self, x, kind=None):
        """As a method: each object has programs of its own, for as long as it is there.

        One that nobody can refer to weakly, as some with slots, is an argument like others.
        """
        if x is None:
            return self
        if not type(x).__weakrefoffset__:
            return types.MethodType(self, x)
        key = id(x)
        own = self.methods.get(key)
        if own is None:
            ref = weakref.ref(x, lambda _: self.methods.pop(key, None))
            own = self.methods[key] = Compiled(self.written, self.settings, ref)
        return Method(own, x)

    def __reduce__(self):
        """A copy of it, or what another process gets, makes programs of its own."""
        name = getattr(self.written, "__qualname__", "")
        place = sys.modules.get(getattr(self.written, "__module__", None) or "")
        for part in name.split("."):
            place = getattr(place, part, None)
        return name if place is self else (Compiled, (self.written, self.settings))

    def __call__(self, *args, **kwargs):
        y = MISS if kwargs else self.last(*args)
        return self._call(args, kwargs) if y is MISS else y

    def _call(self, args, kwargs):
        """Find the program for these arguments, or make it, and run it."""
        leaves, shape = leaves_of(args, kwargs)
        outside = any(isinstance(x, Box) and x.level is not BASE for x in leaves)
        if floor.get() is NUMPY and not self.warm:
            return self._first(args, kwargs, leaves, shape)
        if outside or floor.get() is not NUMPY or begins_again(self):
            return self._as_written(args, kwargs)
        y = self._at_once(leaves, shape)
        if y is not MISS:
            return y
        step = self._found(leaves, shape)
        given = inputs_of(leaves)
        if step is None or not step.suits(given):
            return self._as_written(args, kwargs)
        flat = not kwargs and all(isinstance(x, Box) for x in args)
        self.last = step.quick if flat else miss
        return step(given)

    def _at_once(self, leaves, shape):
        """What a program answers that looks itself whether it fits; MISS if none does.

        The one that was used last is asked first; that of the last call has been.
        """
        tensors = [x for x in leaves if isinstance(x, Box)]
        for key, step in reversed(tuple(self.programs.items())):
            if step.quick is miss or step.quick is self.last or key[0] != shape:
                continue
            if same_statics(leaves, key[1]) and (y := step.quick(*tensors)) is not MISS:
                with suppress(KeyError):  # another thread has let go of it
                    self.programs.move_to_end(key)
                return y
        return MISS

    def _first(self, args, kwargs, leaves, shape):
        """The first call makes what state there is to make; threads that come too wait for it."""
        with alone():
            if self.warm:
                return self._call(args, kwargs)
            self.warm, self.met = True, (samples(leaves), shape)
            begins(self)
            return self._as_written(args, kwargs)

    def look(self) -> None:
        """Have the next call look for its program, or whether it has none."""
        self.last = miss

    def _as_written(self, args, kwargs):
        """The function itself, which is given tensors for arrays as its programs are."""
        args = tuple(map(tensor_of, args))
        kwargs = {k: tensor_of(x) for k, x in kwargs.items()}
        if self.backend not in CHECKS or floor.get() is not NUMPY:
            return self.func(*args, **kwargs)
        return probe.looked_at(self.backend, self.func, args, kwargs)

    def _found(self, leaves, shape):
        """The program for these arguments, which is not run.

        There is none where the function has to run as it is written.
        """
        kinds = tuple(map(key_of, leaves))
        state = (
            recording.get(),
            inferring.get(),
            modes.value,
            get_default_dtype(),
            lower_dtype(),
        )
        key = shape, kinds, twice(leaves), *state
        if self._is_unfit(key):
            return None
        step = _replaced(self.programs.get(key))
        if step is None or not step.fits():
            step = self._anew(key, leaves, shape)
        if step is not None:
            self.programs[key] = step
            self.programs.move_to_end(key)
        return step

    def _anew(self, key, leaves, shape):
        """A new program, unless another thread has made it meanwhile, or makes one for long."""
        with alone() as mine, _no_sweeping():
            step = _replaced(self.programs.get(key))
            if not mine or self._is_unfit(key):
                return None
            if step is not None and step.fits():
                return step
            return self._again(key, step) or self._made(key, leaves, shape, step)

    def _again(self, key, before):
        """An earlier program that fits again: as in each cycle of steps that sum gradients up."""
        for step in self.earlier.get(key, ()):
            if step.fits():
                self.earlier[key].remove(step)
                self._put_by(key, before)
                return _replaced(step)
        return None

    def _put_by(self, key, step) -> None:
        """Keep a program that does not fit, if it may fit again."""
        most = min(EARLIER, max(self.settings.cache_size, 1) - 1)
        if most and step is not None and step.may_fit_again():
            self.earlier[key] = [*self.earlier.get(key, ()), step][-most:]

    def _in_vain(self, key, before) -> bool:
        """Whether programs for these arguments have run but once, time and again."""
        if before is not None:
            again = before.run.calls.value > 1
            self.wasted[key] = 0 if again else self.wasted.get(key, 0) + 1
        return self.wasted.get(key, 0) >= VAIN

    def _not_yet(self, key, what) -> None:
        """The next call may have a program; no longer if the last ones all have made state."""
        self.wasted[key] = self.wasted.get(key, 0) + 1
        if self.wasted[key] >= VAIN:
            self._leave(
                key,
                f"each of the last calls has made {what} anew; make it once, before the calls",
            )

    def _is_unfit(self, key) -> bool:
        """Whether such a call runs as it is written, which is said once if it has no hash."""
        try:
            return key in self.unfit
        except TypeError:
            if not self.unfit:
                self._leave(None, unkeyed(key[1]))
            return True

    def _made(self, key, leaves, shape, before):
        """A new program; None where this call, or every such call, runs as it is written."""
        name = self.__name__
        if self._in_vain(key, before):
            return self._leave(key, _VAIN.format(self._why(key, before)))
        try:
            captured = self._captured(leaves, shape, name, before)
        except Unready as error:
            return self._not_yet(key, error)
        except Unfit as error:
            return self._leave(key, str(error))
        step = self._of_batch(captured, leaves, shape, key)
        if step is None:
            step = self._built(captured)
            log.info("%s %s: %s", step.made(), name, self._why(key, before))
        self._put_by(key, self.programs.pop(key, None))
        while self.programs and self._count() >= max(self.settings.cache_size, 1):
            self._drop(self._why(key, before))
        return step

    def _count(self) -> int:
        """How many programs are kept."""
        return len(self.programs) + sum(map(len, self.earlier.values()))

    def _drop(self, why: str) -> None:
        """Let go of the program that was not used for longest, to make another.

        That calls hardly ever find theirs again is said once: each waits for a build.
        """
        key, step = self.programs.popitem(last=False)
        self.earlier.pop(key, None)
        if step.run.calls.value > 1:
            return
        self.dropped += 1
        if self.dropped == VAIN:
            log.warning(_THRASHES, self.__name__, self.settings.cache_size, why)

    def _leave(self, key, why: str) -> None:
        """Have such calls run as they are written from now on."""
        log.warning("%s runs as it is written: %s", self.__name__, why)
        self.unfit[key] = why

    def _of_batch(self, captured, leaves, shape, key):
        """What runs it in a program for any number of examples, if there is one."""
        if self.batches is None or self.backend in CHECKS:
            return None
        name = captured.graph.name

        def again(leaves):
            return self._captured(leaves, shape, name, None)

        def run(captured):
            return _step(captured, self.backend).run

        member = self.batches.member(captured, leaves, key, again, run)
        return member and _step(captured, self.backend, run=member)

    def _built(self, captured):
        """The program; with `background` one that is interpreted if it takes long to build."""
        later = self.settings.background and self.backend == "native"
        code = native_code() if later else None
        if code is None:
            return _step(captured, self.backend)
        building = Building(functools.partial(code.Native, captured))
        if building.done(PATIENCE):
            return _step(captured, self.backend, native=building.result())
        return _step(captured, "numpy", building=building)

    def wait(self) -> None:
        """Wait until the programs are there that are built in the background.

        >>> f = compile(lambda x: x * 2, background=True)
        >>> f(tensor(1.)), f(tensor(2.))
        (tensor(2.), tensor(4.))
        >>> f.wait()
        """
        for step in [*self.programs.values(), *chain(*self.earlier.values())]:
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
        except Exception:  # what a user raises who wants a float, too
            if not self.moving:
                raise
        captured = capture(self.func, leaves, shape, name)
        self.pinned |= self.moving  # something needs them as numbers of Python
        self.moving = set()
        return captured

    def _why(self, key, before) -> str:
        """Why a program was made."""
        if before is not None:
            return before.run.why or "what it works on was changed"
        if not self.programs:
            return "first"
        return difference(next(reversed(self.programs)), key)


def _name_of(func) -> str:
    """What a function is called; of a partial, what it calls; of an object, its class."""
    while isinstance(func, functools.partial):
        func = func.func
    return getattr(func, "__name__", type(func).__name__)


def _step(captured, backend, **ways) -> Step:
    """A program for calls, whose reverse is a compiled function as well."""
    return Step(captured, backend, functools.partial(_reverse, backend), **ways)


def _reverse(backend, f, memory, batch) -> Compiled:
    """The derivative of a program, compiled: nothing has to run before it is captured."""
    made = Compiled(f, Settings(backend, batch=batch, memory=memory))
    made.warm = True
    return made


@contextmanager
def _no_sweeping():
    """Without the search for garbage, which looks at all that is being made again and again."""
    sweeps = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if sweeps:
            gc.collect(0)  # else Python's own next search may be of everything
            gc.enable()


def _replaced(step):
    """The native program instead of its stand-in, once it is there."""
    if step is None or step.building is None or not step.building.done(0):
        return step
    if not step.fits():
        return step
    native = step.building.result()
    log.info("compiled %s in the background", step.captured.graph)
    return _step(step.captured, "native", native=native)


class Method:
    """A compiled method of an object, which it keeps."""

    def __init__(self, compiled, owner):
        self.compiled, self.__self__ = compiled, owner
        self.__wrapped__ = types.MethodType(compiled.written, owner)

    def __call__(self, *args, **kwargs):
        return self.compiled(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self.compiled, name)

    def __reduce__(self):
        """A copy of it is the method of a copy of the object."""
        return getattr, (self.__self__, self.compiled.written.__name__)
