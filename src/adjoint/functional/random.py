"""Random tensors, samplers, in-place fills and dropout, all drawn from a `Generator`."""

from __future__ import annotations

import math
from contextlib import contextmanager
from numbers import Number

import numpy as np

from ..autodiff.batch import mapping
from ..autodiff.inplace import assign
from ..autodiff.tape import BASE
from ..core import dtype as dt
from ..core.bind import Box, dtype_of, floor
from ..core.generator import Generator, default_generator
from ..core.philox import blocks_for
from ..core.primitive import op
from ..core.shape import broadcast, whole
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from .complexes import complex
from .creation import need_cpu
from .face import SCALARS, function, give, method, need_tensor, np_dtype, only_method
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

# ---------------------------------------------------------------- the stream


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


def _take(generator, blocks):
    g = default_generator if generator is None else generator
    if not isinstance(g, Generator):
        raise ArgumentTypeError(
            f"generator must be a Generator, got {type(g).__name__}"
        )
    return floor.get().take(g, blocks)


def _maps():
    """The vmaps around this draw, none of which forbids it."""
    levels = mapping.get()
    if any(level.randomness == "error" for level in levels):
        raise ArgumentError(
            "vmap: called random operation while in randomness error mode",
            hint='vmap(..., randomness="different") draws for each example anew, '
            '"same" once for all',
        )
    return [level for level in levels if level.randomness == "different"]


def _draw(prim, shape, generator, bits, **params):
    """Numbers of a shape; inside `vmap(randomness="different")`, of each example."""
    levels = _maps()
    full = (*(level.size for level in levels), *shape)
    count = math.prod(full)
    state = _take(
        generator, blocks_for(count + count % 2, bits)
    )  # normals come in twos
    out = BASE.wrap(prim(state, shape=full, **params))
    for level in levels:
        out = level.batched(out, 0)
    return out


def _sample(prim, *xs, generator, blocks=1, **params):
    """A draw whose law depends on tensors; each example of a vmap has its own state."""
    levels = _maps()
    many = [level.size for level in levels]
    start = _take(generator, blocks * math.prod(many))
    steps = np.zeros((*many, 2), np.int64)
    steps[..., 1] = blocks * np.arange(math.prod(many)).reshape(many)
    state = BASE.wrap(op.add(start, steps) if many else start)
    for level in levels:
        state = level.batched(state, 0)
    held = [x.detach() if isinstance(x, Box) else x for x in xs]
    out = prim(state, *held, **params)
    for x in xs:
        if isinstance(x, Box) and x.requires_grad and dtype_of(out).kind in "fV":
            out = op.held(out, x)
    return out


def _floating(name, d):
    if d.kind not in "fV":
        raise DtypeError(f"{name}: not implemented for {dt.dtype(d)}")
    return d


def _uniform(shape, d, generator):
    d = _floating("uniform", d)
    bits = 64 if d == np.float64 else 32
    return _draw(op.random_uniform, shape, generator, bits, dtype=d)


def _normal(shape, d, generator):
    d = _floating("normal", d)
    bits = 64 if d == np.float64 else 32
    return _draw(op.random_normal, shape, generator, bits, dtype=d)


def _parts(make, shape, d, generator, scale):
    """Complex numbers of two real draws."""
    real = dt.to_real(d)
    x, y = (make(shape, real, generator) for _ in range(2))
    return complex(x * scale, y * scale) if scale != 1 else complex(x, y)


def _rand(shape, d, generator):
    if d.kind == "c":
        return _parts(_uniform, shape, d, generator, 1)
    return _uniform(shape, d, generator)


def _randn(shape, d, generator):
    if d.kind == "c":  # variance one in all
        return _parts(_normal, shape, d, generator, math.sqrt(0.5))
    return _normal(shape, d, generator)


def _finish(x, out, requires_grad):
    if out is not None:
        return give(x, out)
    return x.requires_grad_() if requires_grad else x


# ---------------------------------------------------------------- tensors of a shape


def _shape(size, given):
    return sizes(size if given is None else (given,))


@function
def rand(
    *size,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
    **named,
):
    """Numbers evenly from [0, 1).

    >>> x = rand(2, 3)
    >>> x.shape, (x < 1).all().item()
    (adjoint.Size([2, 3]), True)
    """
    need_cpu(device)
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return _finish(_rand(_shape(size, _named(named)), d, generator), out, requires_grad)


@function
def randn(
    *size,
    generator=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
    **named,
):
    """Numbers of the standard normal law.

    >>> randn(2, 3).shape
    adjoint.Size([2, 3])
    """
    need_cpu(device)
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return _finish(
        _randn(_shape(size, _named(named)), d, generator), out, requires_grad
    )


def _named(named):
    """`size` where it is given by name."""
    size = named.pop("size", None)
    if named:
        raise ArgumentTypeError(f"unexpected argument {next(iter(named))!r}")
    return size


def _integers(shape, low, high, generator):
    low, high = (v.item() if isinstance(v, Box) else v for v in (low, high))
    if low >= high:
        raise ArgumentError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    return _draw(
        op.random_integers, shape, generator, 64, low=int(low), count=int(high - low)
    )


@function
def randint(
    low,
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
    x = _integers(sizes((size,)), low, high, generator)
    d = np_dtype(dtype)
    return _finish(x if d is None else op.cast(x, dtype=d), out, requires_grad)


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
    x = _sample(
        op.random_permutation, n=n, generator=generator, blocks=blocks_for(n, 64)
    )
    x = x if isinstance(x, Box) else BASE.wrap(x)
    d = np_dtype(dtype)
    return _finish(x if d is None else op.cast(x, dtype=d), out, requires_grad)


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
    return _finish(_rand(shape, d, generator), None, requires_grad)


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
    return _finish(_randn(shape, d, generator), None, requires_grad)


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
    x = op.cast(_integers(shape, low, high, generator), dtype=d)
    return _finish(x, None, requires_grad)


# ---------------------------------------------------------------- filling in place


def _filler(f):
    """A method that writes f(self, ..) into self, whatever was there."""

    def method(self, *args, **kwargs):
        if "from" in kwargs:
            kwargs["low"] = kwargs.pop("from")
        if "to" in kwargs:
            kwargs["high"] = kwargs.pop("to")
        return assign(self, f(self, *args, **kwargs), f.__name__)

    method.__name__ = method.__qualname__ = f.__name__
    method.__doc__ = f.__doc__
    return only_method(method)


def _cells(x, name):
    """The shape to draw and the dtype to draw in."""
    d = dtype_of(x)
    if d.kind not in "fVc":
        raise DtypeError(f"{name}: not implemented for {dt.dtype(d)}")
    return tuple(x.shape), d


@_filler
def uniform_(self, low=0, high=1, *, generator=None):
    """Fill with numbers evenly from [from, to).

    >>> x = zeros(100).uniform_(2, 3)
    >>> (x >= 2).all().item()
    True
    """
    if low > high:
        raise ArgumentError(
            "uniform_ expects to return a [from, to) range, but found "
            f"from={low} > to={high}"
        )
    return _rand(*_cells(self, "uniform_"), generator) * (high - low) + low


@_filler
def normal_(self, mean=0, std=1, *, generator=None):
    """Fill with numbers of a normal law.

    >>> zeros(2).normal_(5., 0.)
    tensor([5., 5.])
    """
    _check_std(std, "normal_")
    return _randn(*_cells(self, "normal_"), generator) * std + mean


def _check_std(std, name):
    if not std >= 0:
        raise ArgumentError(f"{name} expects std >= 0.0, but found std {std}")


@_filler
def log_normal_(self, mean=1, std=2, *, generator=None):
    """Fill with exp of numbers of a normal law.

    >>> (zeros(9).log_normal_() > 0).all().item()
    True
    """
    _check_std(std, "log_normal_")
    return op.exp(_normal(*_cells(self, "log_normal_"), generator) * std + mean)


@_filler
def exponential_(self, lambd=1, *, generator=None):
    """Fill with waiting times at rate `lambd`: -log(1 - u) / lambd.

    >>> (zeros(9).exponential_() >= 0).all().item()
    True
    """
    if not lambd > 0:
        raise ArgumentError(
            f"exponential_ expects lambda > 0.0, but found lambda={lambd}"
        )
    u = _uniform(*_cells(self, "exponential_"), generator)
    return op.log1p(-u) * (-1 / lambd)


@_filler
def cauchy_(self, median=0, sigma=1, *, generator=None):
    """Fill with numbers of a Cauchy law: median + sigma tan(pi (u - 1/2)).

    >>> zeros(3).cauchy_().shape
    adjoint.Size([3])
    """
    if not sigma > 0:
        raise ArgumentError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    u = _uniform(*_cells(self, "cauchy_"), generator)
    return op.tan((u - 0.5) * math.pi) * sigma + median


@_filler
def geometric_(self, p, *, generator=None):
    """Fill with how many trials of probability p it takes: ceil(log(1 - u) / log(1 - p)).

    >>> (zeros(9).geometric_(0.5) >= 1).all().item()
    True
    """
    if not 0 < p < 1:
        raise ArgumentError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    u = _uniform(tuple(self.shape), np.dtype("float64"), generator)
    tries = op.ceil(op.log1p(-u) * (1 / math.log1p(-p)))
    return op.cast(op.maximum(tries, np.float64(1)), dtype=dtype_of(self))


@_filler
def random_(self, low=0, high=None, *, generator=None):
    """Fill with integers low <= n < high; by default, up to what the dtype holds exactly.

    >>> (zeros(9).random_(5) < 5).all().item()
    True
    """
    d = dtype_of(self)
    if high is None:
        low, high = (0, low) if low else (0, _above(d))
    return op.cast(_integers(tuple(self.shape), low, high, generator), dtype=d)


def _above(d) -> int:
    """One more than the last of the integers that dtype `d` holds without gaps."""
    if d.kind in "iu":
        return int(np.iinfo(d).max) + (d.itemsize < 8)
    bits = {"float64": 53, "float16": 11, "bfloat16": 8, "bool": 1}
    return 2 ** bits.get(d.name, 24) + (d.kind != "b")


@_filler
def bernoulli_(self, p=0.5, *, generator=None):
    """Fill with 1, of probability p (a number or a tensor), and 0.

    >>> zeros(2).bernoulli_(1.)
    tensor([1., 1.])
    """
    hits = _trials(p, tuple(self.shape), generator)
    return op.cast(hits, dtype=dtype_of(self))


def _trials(p, shape, generator):
    """Booleans that are true with probability p."""
    if not isinstance(p, Box):
        _check_chances(p, p)
        p = np.array(p, dt.get_default_dtype().np)
    elif isinstance(p.value, np.ndarray) and p.value.size:  # there are numbers to check
        _check_chances(p.value.min(), p.value.max())
    d = dtype_of(p) if dtype_of(p) == np.float64 else np.dtype("float32")
    p = op.cast(p.detach() if isinstance(p, Box) else p, dtype=d)
    return op.lt(_uniform(shape, d, generator), p)


def _check_chances(low, high):
    if not 0 <= low <= high <= 1:
        raise ArgumentError(
            f"bernoulli: probabilities must be in [0, 1], got {low} to {high}"
        )


# ---------------------------------------------------------------- samplers


@method
def bernoulli(input, p=None, *, generator=None, out=None):
    """1 with the probability that `input` says (or `p`), else 0; its gradient is zero.

    >>> bernoulli(tensor([0., 1.]))
    tensor([0., 1.])
    """
    x = need_tensor(input, "bernoulli")
    d = _floating("bernoulli", dtype_of(x))
    chance = x if p is None else p
    y = op.cast(_trials(chance, tuple(x.shape), generator), dtype=d)
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
    _floating("multinomial", dtype_of(x))
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
    if x.level is BASE:
        _check_weights(x)
    count = math.prod(x.shape[:-1]) * (num_samples if replacement else n)
    y = _sample(
        op.random_categories,
        x,
        generator=generator,
        blocks=blocks_for(count, 64),
        count=num_samples,
        replace=bool(replacement),
    )
    return give(y, out)


def _check_weights(x):
    p = x.numpy_of() if isinstance(x.value, np.ndarray) else None
    if p is None:
        return
    if not (np.isfinite(p).all() and (p >= 0).all()):
        raise ArgumentError(
            "multinomial: probability tensor contains either `inf`, `nan` or element < 0"
        )
    if p.size and not (p.astype(np.float64).sum(-1) > 0).all():
        raise ArgumentError(
            "invalid multinomial distribution (sum of probabilities <= 0)"
        )


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
        _check_std(std, "normal")
    elif std.level is BASE and isinstance(std.value, np.ndarray):
        _check_std(std.numpy_of().min(initial=0), "normal")
    if laws and size is None:
        shape = broadcast(*(tuple(x.shape) for x in laws), name="normal")
        d = np_dtype(dtype) or dtype_of(laws[0])
    elif size is None:
        raise ArgumentTypeError("normal(): of two numbers it needs a size")
    else:
        shape, d = sizes((size,)), np_dtype(dtype) or dt.get_default_dtype().np
    mu, sigma = (x.detach() if isinstance(x, Box) else x for x in (mean, std))
    y = _randn(shape, d, generator) * sigma + mu
    for x in laws:
        y = op.held(y, x) if x.requires_grad else y
    return _finish(y, out, requires_grad)


@function
def poisson(input, generator=None):
    """Poisson counts of the rates in `input`; the gradient is zero.

    >>> poisson(zeros(3))
    tensor([0., 0., 0.])
    """
    x = need_tensor(input, "poisson")
    _floating("poisson", dtype_of(x))
    if x.level is BASE and isinstance(x.value, np.ndarray) and (x.value < 0).any():
        raise ArgumentError(
            "invalid Poisson rate, expected rate to be non-negative",
            hint=f"the smallest is {x.value.min()}",
        )
    return _sample(op.random_poisson, x, generator=generator)


@function
def binomial(count, prob, generator=None):
    """Successes among `count` trials of probability `prob`.

    >>> binomial(tensor([4., 4.]), tensor([0., 1.]))
    tensor([0., 4.])
    """
    n, p = need_tensor(count, "binomial"), need_tensor(prob, "binomial", "prob")
    _floating("binomial", dtype_of(n))
    return _sample(op.random_binomial, n, p, generator=generator)


# ---------------------------------------------------------------- dropout


def _check_p(p):
    if not 0 <= p <= 1:
        raise ArgumentError(
            f"dropout probability has to be between 0 and 1, but got {p}"
        )


def _mask(x, p, shape):
    """1 with probability 1 - p, else 0, in the dtype of `x`."""
    d = np.dtype("float64") if dtype_of(x) == np.float64 else np.dtype("float32")
    kept = op.lt(_uniform(shape, d, None), np.array(1 - p, d))
    return op.cast(kept, dtype=dtype_of(x))


def _deliver(x, y, inplace, name):
    return assign(x, y, name) if inplace else y


def _dropped(x, p, shape):
    if p == 1:
        return x * op.zeros_like(x)
    return x * (_mask(x, p, shape) * (1 / (1 - p)))


def _checked(input, name, p, drawing):
    x = need_tensor(input, name)
    _check_p(p)
    if drawing and dtype_of(x).kind not in "fVc":
        raise DtypeError(f"{name}: not implemented for {dt.dtype(dtype_of(x))}")
    return x


@function
def dropout(input, p=0.5, training=True, inplace=False):
    """Zeros for a random part p of the elements; the others grow by 1 / (1 - p).

    >>> dropout(ones(3), 0.5, training=False)
    tensor([1., 1., 1.])
    >>> dropout(ones(3), 1.)
    tensor([0., 0., 0.])
    """
    x = _checked(input, "dropout", p, training and p)
    if not training or p == 0:
        return x
    return _deliver(x, _dropped(x, p, tuple(x.shape)), inplace, "dropout_")


def _by_channel(name, unbatched):
    def f(input, p=0.5, training=True, inplace=False):
        x = _checked(input, name, p, training and p)
        if unbatched is not None and x.ndim not in (unbatched, unbatched + 1):
            raise ShapeError(
                f"{name}: expected a {unbatched}-D or {unbatched + 1}-D input, got {x.ndim}-D"
            )
        if not training or p == 0:
            return x
        lead = 1 if x.ndim == unbatched else 2
        shape = (*x.shape[:lead], *(1,) * (x.ndim - lead))
        return _deliver(x, _dropped(x, p, shape), inplace, name + "_")

    f.__name__ = f.__qualname__ = name
    f.__doc__ = (
        f"Dropout of whole channels.\n\n>>> {name}(ones({', '.join('1' * (unbatched or 3))}), "
        "training=False).sum()\ntensor(1.)"
    )
    return function(f)


feature_dropout = _by_channel("feature_dropout", None)
dropout1d = _by_channel("dropout1d", 2)
dropout2d = _by_channel("dropout2d", 3)
dropout3d = _by_channel("dropout3d", 4)

_SATURATED = -1.7580993408473766  # what selu tends to: -scale * alpha


def _alpha(x, p, shape):
    """Dropped elements take selu's saturation; mean and variance stay 0 and 1."""
    if p == 1:
        return x * op.zeros_like(x)
    mask = _mask(x, p, shape)
    a = 1 / math.sqrt((1 - p) * (1 + p * _SATURATED**2))
    b = -a * _SATURATED * p
    return x * (mask * a) + ((1 - mask) * (a * _SATURATED) + b)


@function
def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps the mean and variance of selu's outputs.

    >>> alpha_dropout(ones(2), training=False)
    tensor([1., 1.])
    """
    x = _checked(input, "alpha_dropout", p, training and p)
    if not training or p == 0:
        return x
    return _deliver(x, _alpha(x, p, tuple(x.shape)), inplace, "alpha_dropout_")


@function
def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """`alpha_dropout` of whole channels.

    >>> feature_alpha_dropout(ones(1, 2, 3), training=False).sum()
    tensor(6.)
    """
    x = _checked(input, "feature_alpha_dropout", p, training and p)
    if not training or p == 0:
        return x
    shape = (*x.shape[:2], *(1,) * (x.ndim - 2))
    return _deliver(x, _alpha(x, p, shape), inplace, "feature_alpha_dropout_")
