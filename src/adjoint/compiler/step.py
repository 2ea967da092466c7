"""Step: a program as a call runs it, with what Python sets before and after."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable

from ..autodiff.tape import BASE
from ..autodiff.versions import Counted, versioned
from ..core import tree
from ..core.bind import moved
from ..core.lasting import lasting
from . import log
from .binding import MISS, Interpreted
from .capture.captured import Captured
from .capture.ending import traits
from .capture.surroundings import put
from .late import probe
from .live import Live
from .results import assembled, kept
from .settings import CHECKS


def miss(*args):
    """The quick way of what has none."""
    return MISS


class Step:
    """A captured program with the state it is bound to; `reverse` compiles its way back."""

    def __init__(
        self,
        captured: Captured,
        backend: str,
        reverse: Callable,
        native=None,
        building=None,
        run=None,
    ):
        self.captured, self.backend = captured, backend
        self.building = building  # of the native program, if this only stands in for it
        self.wrap = assembled(captured, BASE.wrap)
        self.assemble = assembled(captured, lambda y: y)
        self.live = Live(captured, reverse, self.assemble) if captured.live else None
        self.quick = miss
        self.run = self._bound(native) if run is None else run
        self.native = self.run.native
        for s in captured.states:
            if s.written is not None and s.tensor is not None:
                Counted.by(versioned(s.tensor), self.run.calls)
        if self.run.call is not None and not captured.is_walked:
            self.quick = self.run.call

    def _bound(self, native):
        """What runs the program: machine code, if there is any, or NumPy."""
        code = native_code() if self.backend == "native" else None
        if code is not None:
            answer = self.assemble if self.live is None else self.live.answer
            return code.Bound(native or code.Native(self.captured), answer)
        check = self.backend in CHECKS
        slow = probe.probed(self.captured.graph, self.backend) if check else None
        return Interpreted(self.captured, slow)

    def made(self) -> str:
        """What was done for it."""
        if self.native is None:
            return "captured"
        return "loaded" if self.native.cached else "compiled"

    def fits(self) -> bool:
        """Whether the world is still what was captured."""
        return self.run.fits()

    def may_fit_again(self) -> bool:
        """Whether it may be again, if it is not."""
        return self.run.may_fit_again()

    def suits(self, given) -> bool:
        """Whether the program does for these arguments what the function does."""
        if self.captured.is_walked:
            return False
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
        handed = given if self.captured.hands_on else ()
        extras = self.run.extras()
        if self.live is None:
            return self.wrap(*self._run(given, extras), *handed)
        inputs = [*given, *self.captured.sources()]
        kept = self.live.kept(inputs)
        made = list(map(BASE.wrap, self._run(given, extras)))
        family = getattr(self.run, "family", None)
        self.live.record(made, inputs, kept, extras, family)
        return self.assemble(*made, *handed)

    def _run(self, given, extras):
        """The arrays of the results, after all that the program sets has its new value."""
        c = self.captured
        try:
            made = self.run([x.value for x in given], extras)
        except BaseException:
            self.run.undraw(extras)
            raise
        self.run.calls.value += 1
        self._set(given, made)
        if self.quick is not miss:
            self.run.give([g.tensor._grad for g in c.gradients])
        if self.run.calls.value == 1:
            self.run.settle()
        return [made[i] for i in range(c.count)]

    def _set(self, given, made) -> None:
        """What is no memory of a state has its new value from now on."""
        c = self.captured
        for i in c.rewritten:
            versioned(given[i]).n += 1
        for g in c.gradients:
            y = None if g.output is None else BASE.wrap(made[g.output])
            _of(g.tensor, given)._grad = y
        for m in c.moved:
            x = _of(m.tensor, given)
            x.value, x.plain = made[m.output], True
            moved.value += 1
        for m in c.marks:
            _of(m.tensor, given).requires_grad_(m.required)
        had = c.sources() if c.rotates else ()
        for s in c.slots:
            leaves = [kept(leaf, made, had) for leaf in s.leaves]
            put(s.mapping, s.key, tree.unflatten(s.shape, leaves))
        for f, args in c.after:
            f(*(kept(x, made) for x in args))


def _of(tensor, given):
    """A tensor, or the argument of this number."""
    return given[tensor] if isinstance(tensor, int) else tensor


@functools.cache
def native_code():
    """The module that makes machine code, imported when it is first needed; None without LLVM."""
    try:
        code = importlib.import_module(".native.bound", __package__)
        lasting()
        return code
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "llvmlite":
            raise
        missing = isinstance(error, ModuleNotFoundError)
        why = "llvmlite is not installed" if missing else error
        log.warning("%s: compiled functions run on NumPy", why)
        return None
