"""checkpoint: keep the inputs of a part of a program, and compute the rest again in backward.

The part runs once with its graph, but what its operations save is thrown away by saved-tensor
hooks. The first that backward asks for makes the part run again, keeping what it saves.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import numpy as np

from ..core import tree
from ..core.bind import Box, at_bottom, depth, floor, nested
from ..core.generator import default_generator
from ..core.primitive import spec_of
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    GradError,
    need_callable,
    show_site,
)
from .casting import as_it_was, chosen
from .hooks import saved_tensors_hooks
from .keeping import Packed, alias
from .modes import Hooks, enable_grad, packing_of, recording
from .node import Leaf
from .versions import versioned


class CheckpointError(GradError):
    """The part did not do the same when it ran again."""


class _Enough(Exception):
    """All that backward can ask for has been computed."""


_running: ContextVar[_Part | None] = ContextVar("running", default=None)


def begins(f) -> None:
    """Tell the parts that run here that f is called for the first time, and does something else.

    When they run again that call is a first one again: `f.look()` has its next one ask.
    """
    for part in _around():
        part.begun.add(f)


def begins_again(f) -> bool:
    """Whether this call of f stands for its first one, in a part that runs again."""
    found = any(f in part.due for part in _around())
    if found:
        begins(f)  # in parts inside of that one, which run for the first time
        for part in _around():
            part.due.discard(f)
    return found


def _around():
    """The parts that run here, the innermost first."""
    part = _running.get()
    while part is not None:
        yield part
        part = part.outer


class _Held:
    """An input of the part: itself, or what the hooks around the part made of it."""

    def __init__(self, x):
        outer = packing_of(x.level)
        self.x = Packed(outer, x) if outer else x
        self.version = 0 if x.version is None else x.version.n
        self.needs = x.requires_grad

    def fresh(self, depth):
        """The input again: of this depth, as a leaf of the second run.

        What is of a level further out passes the derivatives of that one.
        """
        x = self.x.restore() if type(self.x) is Packed else self.x
        if self.x is x and x.version is not None and x.version.n != self.version:
            raise GradError(
                "checkpoint: an input has been modified by an inplace operation since "
                "the checkpointed function ran",
                hint="clone() it before",
            )
        inner = x.level.depth >= depth
        x = alias(x, None if inner or not self.needs else x.node)
        if inner and self.needs:
            x.node = Leaf(x)
        return x


def _digest(x):
    """A number by which two arrays can be told apart, at the cost of reading them once.

    Words are summed in 64 columns: memory is read as fast as it goes.
    """
    x = at_bottom(x)
    if not isinstance(x, np.ndarray):
        return None  # a traced value: its program writes nothing
    data = np.ascontiguousarray(x).reshape(-1).view(np.uint8)
    end = len(data) // 512 * 512
    columns = np.add.reduce(data[:end].view(np.uint64).reshape(-1, 64), axis=0)
    return hash((columns.tobytes(), data[end:].tobytes()))


def _overwritten(x, version) -> GradError:
    return GradError(
        "checkpoint: one of the variables needed for gradient computation has been modified "
        f"by an inplace operation: a tensor of shape {tuple(x.shape)}, overwritten in "
        f"{show_site(version.site)}",
        hint="clone() it before",
    )


class _Part:
    """One checkpointed call: how to run it again, and what its operations would have saved."""

    def __init__(self, function, args, kwargs, rng, context, early_stop, digest):
        leaves, self.shape = tree.flatten((args, kwargs))
        self.function, self.context, self.early_stop = function, context, early_stop
        self.leaves = [_Held(x) if isinstance(x, Box) else x for x in leaves]
        self.position = floor.get().position(default_generator) if rng else None
        self.saved: list = []  # what the first run tells of the tensors it would save
        self.values, self.digest, self.mode = {}, digest, chosen.get()
        self.depth, self.within = depth(), floor.get().within
        self.outer, self.begun, self.due = _running.get(), set(), set()

    def hooks(self, pack, unpack):
        """These hooks for the part: what transforms inside of it save, they read inside.

        What levels around the body of a loop save is read when the body is finished, and could
        not run again: they keep it.
        """
        out = saved_tensors_hooks(pack, unpack)
        out.value = Hooks(pack, unpack, self.depth, self.within)
        return out

    @contextmanager
    def running(self, again: bool):
        """The part runs: what it calls first is noted, or is due to be called so again."""
        token = _running.set(self)
        if again:
            self.due = set(self.begun)
            for f in self.due:
                f.look()
        try:
            yield
        finally:
            self.due = set()
            _running.reset(token)

    def drop(self, x):
        """Pack hook of the first run: a number stands for the tensor."""
        self.saved.append((spec_of(x), self.digest(x)))
        return len(self.saved) - 1

    def recall(self, i):
        """Unpack hook: the tensor that was number `i`, of a second run."""
        if i not in self.values:
            self._run_again()
        if i not in self.values:
            raise CheckpointError(
                f"checkpoint: a different number of tensors was saved during the original "
                f"forward ({len(self.saved)}) and recomputation"
            )
        x, version, n = self.values.pop(i)
        if version.n != n:
            raise _overwritten(x, version)
        return x

    def _run_again(self):
        self.values, self.seen = {}, 0
        args, kwargs = tree.unflatten(
            self.shape,
            [x.fresh(self.depth) if isinstance(x, _Held) else x for x in self.leaves],
        )
        hooks, place = self.hooks(self._keep, _as_it_is), nested(self.depth)
        try:
            with (
                self._as_it_was(),
                place,
                hooks,
                self.running(again=True),
                self.context,
            ):
                self.function(*args, **kwargs)
        except _Enough:
            pass

    def _keep(self, x):
        """Pack hook of the second run."""
        i, self.seen = self.seen, self.seen + 1
        if i >= len(self.saved):
            raise CheckpointError(
                "checkpoint: the function saved more tensors when it ran again than the "
                f"{len(self.saved)} of the first time"
            )
        self._compare(i, x)
        version = versioned(x)
        self.values[i] = x.level.wrap(x.value), version, version.n
        if self.early_stop and self.seen == len(self.saved):
            raise _Enough
        return x  # where levels nest, an outer one walks this graph too

    def _compare(self, i, x):
        """What is computed again must be what was computed first, bit for bit."""
        spec, digest = self.saved[i]
        if spec_of(x) != spec:
            raise CheckpointError(
                "checkpoint: Recomputed values have different metadata than during the "
                f"forward pass: tensor {i} was {spec}, is now {spec_of(x)}",
                hint="the function must do the same each time it is called",
            )
        if self.digest(x) != digest:
            raise CheckpointError(
                "checkpoint: Recomputed values differ from those of the forward pass: tensor "
                f"{i}, {spec}. Something that the function reads was overwritten in between, "
                "or it does not do the same each time",
                hint="clone() what is overwritten; determinism_check='none' does not look",
            )

    @contextmanager
    def _as_it_was(self):
        """The modes, and the random stream where it was, as when the part ran first."""
        with enable_grad(), as_it_was(self.mode), self._at_position():
            yield

    @contextmanager
    def _at_position(self):
        if self.position is None:
            yield
            return
        streams = floor.get()
        now = streams.position(default_generator)
        streams.go_to(default_generator, self.position)
        try:
            yield
        finally:
            streams.go_to(default_generator, now)


def _as_it_is(x):
    return x


def _no_digest(x):
    return None


def checkpoint(
    function,
    *args,
    use_reentrant=None,
    context_fn=None,
    determinism_check="default",
    debug=False,
    early_stop=True,
    preserve_rng_state=True,
    **kwargs,
):
    """function(*args, **kwargs), whose intermediate values are not kept but computed again.

    >>> x = tensor([1., 2.], requires_grad=True)
    >>> y = checkpoint(lambda x: (x * x).exp().sum(), x)
    >>> y.backward()
    >>> x.grad
    tensor([  5.4366, 218.3926])
    """
    if determinism_check not in ("default", "none"):
        raise ArgumentError(
            f"checkpoint: determinism_check must be default or none, got {determinism_check!r}"
        )
    for f in (function, context_fn or function):
        need_callable(f, "checkpoint")
    first, again = context_fn() if context_fn else (nullcontext(), nullcontext())
    if not recording.get():
        with first:
            return function(*args, **kwargs)
    digest = _no_digest if determinism_check == "none" else _digest
    part = _Part(function, args, kwargs, preserve_rng_state, again, early_stop, digest)
    with part.hooks(part.drop, part.recall), part.running(again=False), first:
        return function(*args, **kwargs)


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """The functions one after another, in `segments` checkpointed parts; the last is kept.

    >>> x = tensor(1., requires_grad=True)
    >>> f = lambda x: x * 2
    >>> checkpoint_sequential([f, f, f, f], 2, x)
    tensor(16., grad_fn=<MulBackward0>)
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ArgumentError(f"checkpoint_sequential: unexpected {sorted(kwargs)}")
    if hasattr(functions, "children"):
        functions = functions.children()
    elif not isinstance(functions, Iterable):
        raise ArgumentTypeError("checkpoint_sequential: expected a list of functions")
    functions = list(functions)
    for f in functions:
        need_callable(f, "checkpoint_sequential")
    if not isinstance(segments, int) or not 1 <= segments <= max(len(functions), 1):
        raise ArgumentError(
            f"checkpoint_sequential: {segments} segments of {len(functions)} functions"
        )
    size = len(functions) // segments
    for start in range(0, size * (segments - 1), size):
        part = _chain(functions[start : start + size])
        input = checkpoint(part, input, preserve_rng_state=preserve)
    return _chain(functions[size * (segments - 1) :])(input)


def _chain(functions):
    def run(x):
        for f in functions:
            x = f(x)
        return x

    return run
