"""Draws from laws whose parameters are tensors."""

from __future__ import annotations

import math
from numbers import Number

import numpy as np

from ..autodiff.tape import BASE
from ..core import dtype as dt
from ..core.bind import Box, dtype_of
from ..core.device import need_cpu
from ..core.philox import blocks_for
from ..core.primitive import op
from ..core.shape import broadcast, whole
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ops.index import LAWS, lawful
from .drawing import delivered, draw_randn, need_floating, sample
from .face import SCALARS, function, give, method, need_tensor, np_dtype
from .filling import check_std, trials
from .shapes import sizes


@method
def bernoulli(input, p=None, *, generator=None, out=None):
    """1 with the probability that `input` says (or `p`), else 0; its gradient is zero.

    >>> bernoulli(tensor([0., 1.]))
    tensor([0., 1.])
    """
    x = need_tensor(input, "bernoulli")
    d = need_floating("bernoulli", dtype_of(x))
    chance = x if p is None else p
    y = op.cast(trials(chance, tuple(x.shape), generator), dtype=d)
    y = op.held(y, x) if p is None and x.requires_grad else y
    return give(y, out)


@method
def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Indices drawn by the weights in `input`, or in each of its rows.

    >>> multinomial(tensor([[0., 1.], [1., 0.]]), 3, replacement=True)
    tensor([[1, 1, 1],
            [0, 0, 0]])
    """
    x = need_tensor(input, "multinomial")
    need_floating("multinomial", dtype_of(x))
    if x.ndim not in (1, 2):
        raise ShapeError(f"multinomial: prob_dist must be 1 or 2 dim, got {x.ndim}")
    num_samples = whole(num_samples, "multinomial: num_samples")
    if num_samples <= 0:
        raise ArgumentError(f"multinomial: cannot sample n_sample <= 0: {num_samples}")
    n = x.shape[-1]
    if not replacement and num_samples > n:
        raise ArgumentError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
            f"{num_samples} > {n}"
        )
    x = _weights(x)
    count = math.prod(x.shape[:-1]) * (num_samples if replacement else n)
    y = sample(
        op.random_categories,
        x,
        generator=generator,
        blocks=blocks_for(count, 64),
        count=num_samples,
        replace=bool(replacement),
    )
    return give(y, out)


def _weights(x):
    """The weights of multinomial, which are finite, not negative, and not all zero."""
    if not _known(x):
        wide = op.cast(x.detach(), dtype=np.dtype(np.float64))
        good = op.logical_and(op.ge(wide, np.array(0.0)), op.lt(wide, np.array(np.inf)))
        wide = lawful(wide, good, "multinomial")
        if not wide.shape[-1]:
            return wide
        total = op.sum(wide, dim=(wide.ndim - 1,), keepdim=True)
        return lawful(wide, op.gt(total, np.array(0.0)), "nothing")
    p = x.numpy_of()
    if not (np.isfinite(p).all() and (p >= 0).all()):
        raise ArgumentError(LAWS["multinomial"])
    if p.size and not (p.astype(np.float64).sum(-1) > 0).all():
        raise ArgumentError(LAWS["nothing"])
    return x


def _known(x) -> bool:
    """Whether a tensor has its numbers now."""
    return x.level is BASE and isinstance(x.value, np.ndarray)


@function
def normal(
    mean,
    std=1.0,
    size=None,
    *,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """Numbers of normal laws with the given means and standard deviations.

    As in PyTorch no gradient flows to them (it is zero): `mean + std * randn_like(mean)`
    is the sample that can be differentiated.

    >>> normal(tensor([1., 2.]), 0.)
    tensor([1., 2.])
    """
    need_cpu(device)
    laws = [x for x in (mean, std) if isinstance(x, Box)]
    if not all(isinstance(x, (Box, *SCALARS)) for x in (mean, std)):
        raise ArgumentTypeError("normal(): mean and std must be Tensors or numbers")
    if isinstance(std, Number):
        check_std(std, "normal")
    elif _known(std) and not (std.numpy_of() >= 0).all():
        raise ArgumentError(LAWS["normal"], hint=f"the least is {std.numpy_of().min()}")
    if laws and size is None:
        shape = broadcast(*(tuple(x.shape) for x in laws), name="normal")
        d = np_dtype(dtype) or dtype_of(laws[0])
    elif size is None:
        raise ArgumentTypeError("normal(): of two numbers it needs a size")
    else:
        shape, d = sizes((size,)), np_dtype(dtype) or dt.get_default_dtype().np
    mu, sigma = (x.detach() if isinstance(x, Box) else x for x in (mean, std))
    if isinstance(sigma, Box) and not _known(sigma):
        none = np.zeros((), dtype_of(sigma))
        sigma = lawful(sigma, op.ge(sigma, none), "normal")
    y = draw_randn(shape, d, generator) * sigma + mu
    for x in laws:
        y = op.held(y, x) if x.requires_grad else y
    return delivered(y, out, requires_grad)


@function
def poisson(input, generator=None):
    """Poisson counts of the rates in `input`; the gradient is zero.

    >>> poisson(zeros(3))
    tensor([0., 0., 0.])
    """
    x = need_tensor(input, "poisson")
    need_floating("poisson", dtype_of(x))
    if _known(x) and (x.value < 0).any():
        raise ArgumentError(LAWS["poisson"], hint=f"the least is {x.value.min()}")
    blocks = max(math.prod(x.shape), 1)
    return sample(op.random_poisson, x, generator=generator, blocks=blocks)


@function
def binomial(count, prob, generator=None):
    """Successes among `count` trials of probability `prob`.

    >>> binomial(tensor([4., 4.]), tensor([0., 1.]))
    tensor([0., 4.])
    """
    n, p = need_tensor(count, "binomial"), need_tensor(prob, "binomial", "prob")
    need_floating("binomial", dtype_of(n))
    shape = broadcast(tuple(n.shape), tuple(p.shape), name="binomial")
    blocks = max(math.prod(shape), 1)
    return sample(op.random_binomial, n, p, generator=generator, blocks=blocks)
