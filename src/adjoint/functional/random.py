"""The generator that all draws take from, and random tensors of a shape."""

from __future__ import annotations

from contextlib import contextmanager

from ..autodiff.tape import BASE
from ..core import dtype as dt
from ..core.bind import Box, dtype_of, floor
from ..core.device import need_cpu
from ..core.generator import Generator, default_generator
from ..core.philox import blocks_for
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError
from .drawing import delivered, draw_integers, draw_rand, draw_randn, sample
from .face import function, need_tensor, np_dtype
from .shapes import sizes

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


@function
def manual_seed(seed) -> Generator:
    """Start the default stream of random numbers at `seed`.

    >>> a = manual_seed(0) and rand(2)
    >>> b = manual_seed(0) and rand(2)
    >>> (a == b).all().item()
    True
    """
    return default_generator.manual_seed(seed)


@function
def seed() -> int:
    """Start the default stream at a seed from the operating system, and return it.

    >>> seed() == initial_seed()
    True
    """
    return default_generator.seed()


@function
def initial_seed() -> int:
    """The seed of the default stream.

    >>> manual_seed(5).initial_seed(), initial_seed()
    (5, 5)
    """
    return default_generator.initial_seed()


@function
def get_rng_state():
    """Where the default stream is, as a tensor of bytes.

    >>> get_rng_state().shape
    adjoint.Size([16])
    """
    return default_generator.get_state()


@function
def set_rng_state(new_state) -> None:
    """Continue the default stream from what `get_rng_state` gave.

    >>> state = get_rng_state()
    >>> x = rand(2)
    >>> set_rng_state(state)
    >>> (x == rand(2)).all().item()
    True
    """
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices=None, enabled=True):
    """The block draws as it likes; afterwards the default stream is where it was.

    >>> from adjoint import random
    >>> with random.fork_rng():
    ...     x = rand(2)
    >>> (x == rand(2)).all().item()
    True
    """
    position = floor.get().position(default_generator)
    try:
        yield
    finally:
        if enabled:
            floor.get().go_to(default_generator, position)


@function
def rand(
    *shape,
    size=None,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Numbers evenly from [0, 1).

    >>> x = rand(2, 3)
    >>> x.shape, (x < 1).all().item()
    (adjoint.Size([2, 3]), True)
    """
    need_cpu(device)
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return delivered(draw_rand(sizes(shape, size), d, generator), out, requires_grad)


@function
def randn(
    *shape,
    size=None,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Numbers of the standard normal law.

    >>> randn(2, 3).shape
    adjoint.Size([2, 3])
    """
    need_cpu(device)
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return delivered(draw_randn(sizes(shape, size), d, generator), out, requires_grad)


@function
def randint(
    low=0,
    high=None,
    size=None,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Integers low <= n < high, all equally likely; randint(high, size) starts at 0.

    >>> x = randint(3, 5, (100,))
    >>> x.min(), x.max()
    (tensor(3), tensor(4))
    """
    need_cpu(device)
    if size is None and isinstance(high, (tuple, list)):
        high, size = None, high
    if high is None:
        low, high = 0, low
    if size is None:
        raise ArgumentTypeError("randint() missing argument 'size'")
    x = draw_integers(sizes((size,)), low, high, generator)
    d = np_dtype(dtype)
    return delivered(x if d is None else op.cast(x, dtype=d), out, requires_grad)


@function
def randperm(
    n,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """The numbers 0 .. n-1 in random order.

    >>> randperm(4).sort()[0]
    tensor([0, 1, 2, 3])
    """
    need_cpu(device)
    n = n.__index__()
    if n < 0:
        raise ArgumentError(f"randperm: n must be non-negative, got {n}")
    x = sample(
        op.random_permutation, n=n, generator=generator, blocks=blocks_for(n, 64)
    )
    x = x if isinstance(x, Box) else BASE.wrap(x)
    d = np_dtype(dtype)
    return delivered(x if d is None else op.cast(x, dtype=d), out, requires_grad)


def _like_of(x, name, dtype, device):
    need_cpu(device)
    x = need_tensor(x, name)
    return tuple(x.shape), np_dtype(dtype) or dtype_of(x)


@function
def rand_like(
    input,
    *,
    generator=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
):
    """`rand` in the shape and dtype of `input`.

    >>> rand_like(zeros(2, 3)).shape
    adjoint.Size([2, 3])
    """
    shape, d = _like_of(input, "rand_like", dtype, device)
    return delivered(draw_rand(shape, d, generator), None, requires_grad)


@function
def randn_like(
    input,
    *,
    generator=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
):
    """`randn` in the shape and dtype of `input`.

    >>> randn_like(zeros(2, 3)).shape
    adjoint.Size([2, 3])
    """
    shape, d = _like_of(input, "randn_like", dtype, device)
    return delivered(draw_randn(shape, d, generator), None, requires_grad)


@function
def randint_like(
    input,
    low=0,
    high=None,
    *,
    generator=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
):
    """`randint` in the shape and dtype of `input`.

    >>> randint_like(zeros(2), 3, 4)
    tensor([3., 3.])
    """
    shape, d = _like_of(input, "randint_like", dtype, device)
    low, high = (0, low) if high is None else (low, high)
    x = op.cast(draw_integers(shape, low, high, generator), dtype=d)
    return delivered(x, None, requires_grad)
