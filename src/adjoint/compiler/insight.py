"""Insight: what a compiled function became, where its time goes, and what memory it takes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.bind import Box
from ..errors import AdjointError, ArgumentError
from ..ir.text import pretty, provenance
from .capture.captured import inputs_of
from .late import explained
from .signature import leaves_of

if TYPE_CHECKING:
    from .explained import Explanation
    from .memory import Memory


class Insight:
    """What a compiled function tells about itself, once it was called."""

    programs: OrderedDict
    met: tuple
    unfit: dict
    _found: Callable
    __name__: str

    def _step(self, *args, **kwargs):
        """The program of these arguments, or the one that was used last."""
        like, shape = self.met
        leaves = like() if like and not self.programs else None
        if args or kwargs:
            leaves, shape = leaves_of(args, kwargs)
            _need_numbers(leaves)
        if leaves is not None:
            step = self._found(leaves, shape)
            if step is not None:
                return step
        if not self.programs and self.unfit:
            why = next(reversed(self.unfit.values()))
            raise ArgumentError(
                f"there is no program: {self.__name__} runs as it is written: {why}"
            )
        if not self.programs:
            raise ArgumentError(
                "there is no program yet: the first call runs eagerly, the second is compiled",
                hint="call it first; or, where it makes no state on the way, as an optimizer "
                "does in its first step, give the arguments here",
            )
        return self.programs[next(reversed(self.programs))]

    def _native(self, *args, **kwargs):
        step = self._step(*args, **kwargs)
        if step.building is not None:
            return step.building.result()
        if step.native is None:
            raise ArgumentError(
                "this program runs on NumPy: there is no native code to show"
            )
        return step.native

    def program(self, *args, after=None, lines=False, **kwargs) -> str:
        """The captured program as straight-line text; `after` a pass: see `PASSES`.

        With `lines`, each operation with the place in the network and the line that wrote it,
        and after a pass with the values of the captured program that it was made of.

        >>> f = compile(lambda x: x * 2 + 1)
        >>> print(f.program(tensor(1.)))
        f(x1: float32[]):
          z1 = x1 * 2
          z2 = z1 + 1
          return z2
        >>> print(f.program(tensor(1.), after="all", lines=True).split("#")[1].split(":")[0])
         of z1
        """
        captured = self._step(*args, **kwargs).captured.graph
        if after == "memory":
            graph = self._native(*args, **kwargs).part.graph
        else:
            graph = captured if after is None else explained.after(captured, after)
        return str(pretty(graph, provenance(captured) if lines else None))

    def llvm(self, *args, **kwargs) -> str:
        """The program as LLVM was given it.

        >>> f = compile(lambda x: x * 2)
        >>> "define" in f.llvm(tensor(1.))
        True
        """
        return self._native(*args, **kwargs).text()

    def asm(self, *args, **kwargs) -> str:
        """The program as this processor runs it.

        >>> f = compile(lambda x: x * 2)
        >>> "ret" in f.asm(tensor(1.))
        True
        """
        return self._native(*args, **kwargs).assembly()

    def memory(self, *args, **kwargs) -> Memory:
        """What memory the program takes, when the most, for which values, of which lines.

        >>> f = compile(lambda x: (x * 2).sum())
        >>> f.memory(ones(1000)).arguments
        4000
        """
        return explained.memory(self._native(*args, **kwargs))

    def explain(self, *args, **kwargs) -> Explanation:
        """Its regions with their source, their work and their time.

        The time is measured on copies: no state changes. Without arguments it is that for
        arbitrary numbers; a loop that ends when they say so is then not measured.

        >>> f = compile(lambda x: (x * 2).sum())
        >>> (region,) = f.explain(ones(1000)).regions
        >>> region.operations, region.flop, region.bytes
        (('mul', 'sum'), 2000, 4004)
        """
        native = self._native(*args, **kwargs)
        measured = self._measured(args, kwargs)
        return explained.explanation(self.__name__, native, *measured)

    def profile(self, *args, to=None, **kwargs) -> dict:
        """One run as a Chrome trace, for chrome://tracing and Perfetto; `to` names a file.

        >>> f = compile(lambda x: x.exp().sum())
        >>> event = f.profile(ones(1000))["traceEvents"][0]
        >>> event["ph"], "exp, sum" in event["name"], event["dur"] > 0
        ('X', True, True)
        """
        return explained.trace(self.explain(*args, **kwargs), to)

    def _measured(self, args, kwargs) -> tuple[list[float], str]:
        """(seconds of each region, what is said of them), on copies of the states."""
        step = self._step(*args, **kwargs)
        if args or kwargs:
            leaves, _ = leaves_of(args, kwargs)
            return explained.clocked(
                step, [x.value.copy() for x in inputs_of(leaves)]
            ), ""
        if explained.open_ended(step.captured.graph):
            return [], "how long it takes depends on numbers: give the arguments"
        given = step.captured.graph.inputs[: step.captured.arguments]
        try:
            numbers = [explained.numbers(v.spec) for v in given]
            spent = explained.clocked(step, numbers)
        except (AdjointError, ArithmeticError, ValueError) as error:
            return [], f"it refuses arbitrary numbers ({error}): give the arguments"
        return spent, "measured on arbitrary numbers" if given else ""


def _need_numbers(leaves) -> None:
    """A program is shown for arguments that have memory of their own."""
    if any(isinstance(x, Box) and isinstance(x.value, Box) for x in leaves):
        raise ArgumentError(
            "these arguments have no numbers: they are values of a transform, or of a "
            "function that is being compiled",
            hint="look at the program outside, with tensors of the same shapes",
        )
