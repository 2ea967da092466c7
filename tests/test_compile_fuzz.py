"""Random programs, eager against compiled: operations, views, writes in place, training steps.

Each seed makes a program, which is run on the same numbers both ways, several times. More of
them: `ADJOINT_FUZZ=5000 pytest tests/test_compile_fuzz.py`, or `make fuzz`.
"""

import itertools
import os
import warnings
from contextlib import contextmanager

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, optim
from adjoint.errors import AdjointError, GradError
from programs import Program

try:
    from adjoint.compiler.native import sharing
except ImportError:  # there are no threads without LLVM
    sharing = None
COUNT = int(os.environ.get("ADJOINT_FUZZ", "60"))  # of each kind
CHUNK = 20
RECORDS = [
    prim
    for prim in ad.op
    if not prim.calls_back
    and "random" not in prim.name
    and prim.samples is not None
    and prim.samples(np.random.default_rng(0))
]
NEAR = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 2e-4, "complex64": 2e-4}
EPS = {"float32": 2e-7, "float64": 4e-16}


def as_array(x):
    """The numbers, in a dtype that NumPy compares."""
    x = x.detach().numpy()
    return x.astype(np.float32) if x.dtype.kind == "V" else x


def nearness(dtypes):
    """How near to each other results are that went through these dtypes."""
    return max(NEAR.get(str(d).split(".")[-1], 1e-9) for d in dtypes)


def apart(got, want, through):
    """Where two lists of tensors differ by more than rounding: (number, |a - b|, where)."""
    assert len(got) == len(want)
    near = nearness([*(x.dtype for x in want), *through])
    for n, (a, b) in enumerate(zip(got, want, strict=True)):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), n
        a, b = as_array(a), as_array(b)
        if a.dtype.kind in "biu":
            bad = a != b
        else:
            bad = ~np.isclose(a, b, rtol=near, atol=near, equal_nan=True)
        if bad.any():
            yield n, a, b, bad


def agree(got, want, seed, again=None, through=()):
    """The same but for rounding; `again(k)` is eager of inputs that are rounded otherwise.

    `through`: dtypes that values have on the way, besides those of the results.

    Where those are as far from each other, or one is not a number there, the program is one
    that has no such digits.
    """
    noise: list = []
    for n, a, b, bad in apart(got, want, through):
        if again is not None:
            noise = noise or [again(k) for k in range(6)]
            others = np.stack([as_array(ys[n]) for ys in noise])
            with np.errstate(all="ignore"):
                if a.dtype.kind in "biu":
                    bad &= (others == b).all(0)
                else:
                    spread = abs(others - b).max(0)
                    bad &= abs(a - b) > 50 * spread
        assert not bad.any(), f"seed {seed}, value {n}: {a[bad][:3]} for {b[bad][:3]}"


def shaken(x, k):
    """The same numbers, but for their last bits; k None: the same."""
    if k is None or str(x.dtype).split(".")[-1] not in EPS:
        return x
    rng = np.random.default_rng(k)
    eps = EPS[str(x.dtype).split(".")[-1]] * (1 + 20 * (k % 2))
    return x * ad.tensor(1 + eps * rng.choice([-1, 1], x.shape), dtype=x.dtype)


def in_place(seed, wild=False):
    """Values, views of them and writes: results and what became of the arguments."""
    made = Program(seed, wild)
    inputs = [made.tensor() for _ in range(int(made.pick(1, 2, 3)))]
    outside = [made.tensor()]
    with ad.no_grad():
        try:
            made.drawn([*inputs, *outside], int(made.pick(2, 5, 9, 14)))
        except AdjointError:
            return  # numbers that are drawn anew are divisors, and one is zero

    def run(wrap, shake=None):
        ad.manual_seed(seed)
        state = [shaken(x, shake).clone() for x in outside]
        f, rows = wrap(lambda *xs: made(*xs, *state)), []
        for k in range(3):
            xs = [shaken(x, shake) * (1 + k / 4) for x in inputs]
            ys = f(*xs)
            rows += [x.clone() for x in (*ys, *xs, *state)]
        return rows

    with ad.no_grad():
        try:
            want = run(lambda f: f)
        except AdjointError:
            return  # a probability of a later call is not a number
        agree(run(compile), want, seed, lambda k: run(lambda f: f, k))


def all_kinds(seed):
    """The same of every kind of operation, dtype and transform, with random numbers."""
    in_place(seed, wild=True)


def gradients(seed, wild=False):
    """Derivatives of values made by views and writes to them."""
    made = Program(seed, wild, data=False)
    w = made.tensor(requires_grad=True)
    inputs = [made.tensor() for _ in range(2)]
    made.drawn([w * 1, *inputs], int(made.pick(2, 5, 9)))

    def loss(w, *xs):
        ys = [y for y in made(w * 1, *xs) if y.numel()]
        ys = [y.abs() if y.is_complex() else y for y in ys]
        return sum(y.float().square().mean() for y in ys if y.dtype is not ad.bool)

    def run(wrap, shake=None):
        ad.manual_seed(seed)
        leaf = shaken(w.detach(), shake).clone().requires_grad_()

        def f(*xs):
            leaf.grad = None
            y = loss(leaf, *(x.clone() for x in xs))
            if isinstance(y, ad.Tensor) and y.requires_grad:
                y.backward()
            return y if leaf.grad is None else (y, leaf.grad * 1)

        f, rows = wrap(f), []
        for k in range(3):
            out = f(*(shaken(x, shake) * (1 + k / 4) for x in inputs))
            rows += [
                y if isinstance(y, ad.Tensor) else ad.tensor(float(y))
                for y in (out if isinstance(out, (tuple, list)) else [out])
            ]
        return rows

    try:
        want = run(lambda f: f)
    except AdjointError:
        return  # something that is needed was written to
    try:
        got = run(compile)
    except GradError as error:  # in a program loops and branches need what goes in
        if any(name in str(error) for name in ("branch", "scan", "loop")):
            return
        raise
    agree(got, want, seed, lambda k: run(lambda f: f, k), made.dtypes)


def gradients_of_all_kinds(seed):
    """The same through every kind of operation and transform."""
    gradients(seed, wild=True)


def training(seed):
    """Steps of an optimizer on a random model, with state of its own."""
    made = Program(seed)
    rng = made.rng
    kind = made.pick(optim.SGD, optim.Adam, optim.RMSprop, optim.AdamW, optim.Adagrad)
    sizes = [int(n) for n in rng.integers(1, 9, int(made.pick(2, 3, 4)))]
    # Small ones: next to 1 the derivative of a tanh is a few last bits, of which Adam makes steps.
    start = [made.tensor(s) * 0.3 for s in itertools.pairwise(sizes)]
    start += [made.tensor((n,)) for n in sizes[1:]]
    acts = [made.pick("tanh", "relu", "sigmoid", "sin") for _ in sizes[1:]]
    data = [made.tensor((n, sizes[0])) for n in (4, 4, 2, 4, 2)]
    clears, averages = made.pick(True, False), made.pick(True, False)
    drops = made.pick(0, 0, 0.3)

    def run(wrap, shake=None):
        ad.manual_seed(seed)
        ws = [shaken(x, shake).clone().requires_grad_() for x in start]
        mean = ad.zeros(sizes[-1], dtype=made.float)
        opt = kind(ws, lr=0.01)

        @wrap
        def step(x):
            opt.zero_grad(set_to_none=clears)
            n = len(sizes) - 1
            for w, b, act in zip(ws[:n], ws[n:], acts, strict=True):
                x = getattr(x @ w + b, act)()
                x = ad.nn.functional.dropout(x, drops) if drops else x
            if averages:
                mean.mul_(0.9).add_(x.detach().mean(0), alpha=0.1)
            loss = (x - mean).square().mean()
            loss.backward()
            opt.step()
            return loss

        losses = [step(x) for x in data]
        return [*losses, *ws, mean, *(w.grad for w in ws)]

    agree(run(compile), run(lambda f: f), seed, lambda k: run(lambda f: f, k))


def records(seed):
    """An operation of the registry between others."""
    made = Program(seed)
    prim = RECORDS[seed % len(RECORDS)]
    cases = prim.samples(made.rng)
    args, params = cases[made.rng.integers(len(cases))]
    xs = [ad.tensor(a) for a in args]

    def f(*xs):
        y = prim(*xs, **params)
        ys = y if isinstance(y, tuple) else (y,)
        return [z * 2 + 1 if z.is_floating_point() else z for z in ys]

    g = compile(f)
    with ad.no_grad():
        for _ in range(3):
            agree(g(*xs), f(*xs), seed)


@contextmanager
def cut():
    """However small a loop is, threads share it."""
    threads = ad.get_num_threads()
    with pytest.MonkeyPatch.context() as m:
        if sharing is not None:
            m.setattr(sharing, "LEAST", -1.0)
            m.setattr(sharing, "WORTH", -1.0)
            m.setattr(sharing, "GRAIN", 1.0)
        yield
    ad.set_num_threads(threads)


def threads(seed):
    """The same bits for one, two and four threads, and again."""
    made = Program(seed, wild=seed % 2 == 1)
    inputs = [made.tensor((int(made.pick(7, 33)), 8)), made.tensor(), made.tensor()]
    with ad.no_grad(), cut():
        made.drawn(inputs, int(made.pick(2, 5, 9)))
        f = compile(lambda *xs: made(*xs))
        f(*(x.clone() for x in inputs))
        seen = []
        for count in (1, 2, 4, 4):
            ad.set_num_threads(count)
            ad.manual_seed(seed)
            xs = [x.clone() for x in inputs]
            seen.append([as_array(y).tobytes() for y in (*f(*xs), *xs)])
    assert all(bits == seen[0] for bits in seen), f"seed {seed}"


KINDS = [
    in_place,
    all_kinds,
    gradients,
    gradients_of_all_kinds,
    training,
    records,
    threads,
]


@pytest.mark.parametrize("chunk", range(-(-COUNT // CHUNK)))
@pytest.mark.parametrize("kind", KINDS)
def test_random_programs(kind, chunk):
    each = {training: CHUNK // 10}.get(kind, CHUNK)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for seed in range(chunk * each, (chunk + 1) * each):
            kind(seed)
