"""Native code for what is more than maps and products: the numbers and errors of eager."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")
import adjoint as ad
from adjoint import compile, nn, optim
from adjoint.compiler.binding import MISS
from adjoint.core import tree
from adjoint.errors import ArgumentError, DimError
from adjoint.nn import functional as F

TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 3e-6, "float64": 1e-12}


def same(got, want, tolerance=None):
    got, want = tree.flatten(got)[0], tree.flatten(want)[0]
    assert len(got) == len(want)
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        a, b = a.detach().numpy(), b.detach().numpy()
        assert a.shape == b.shape, i
        assert a.dtype == b.dtype, i
        near = tolerance or TOLERANCE.get(a.dtype.name, 0)
        a, b = (x.astype(float) if x.dtype.kind == "V" else x for x in (a, b))
        np.testing.assert_allclose(a, b, rtol=near, atol=near, err_msg=str(i))


def callbacks(f):
    """The operations of a compiled function's last program that NumPy does."""
    part = next(reversed(f.programs.values())).native.part
    return [
        o.prim.name for k in part.schedule.kernels if k.kind == "call" for o in k.roots
    ]


def check(f, *xs, native=True, tolerance=None):
    """f compiled gives what f gives, without callbacks."""
    g = compile(f)
    want = f(*xs)
    g(*xs)
    same(g(*xs), want, tolerance)
    if native:
        assert callbacks(g) == []
    return g


def grads(f, *xs):
    """f's value and the gradients of its moving inputs, as a function of them."""

    def h(*xs):
        y = f(*xs)
        total = sum((v * v).sum() for v in tree.flatten(y)[0] if v.is_floating_point())
        return y, ad.autograd.grad(total, [x for x in xs if x.requires_grad])

    return h


def moving(x, dtype="float64"):
    return ad.tensor(np.asarray(x), dtype=getattr(ad, dtype), requires_grad=True)


# ---------------------------------------------------------------- random numbers


@pytest.mark.parametrize(
    "shape", [(), (0,), (1,), (3,), (16,), (33,), (5, 7), (2, 3, 8)]
)
def test_draws_are_the_numbers_of_eager(shape):
    def f(x):
        return (
            ad.rand(shape) + x,
            ad.randn(shape),
            ad.rand(shape, dtype=ad.float64),
            ad.randn(shape, dtype=ad.float64),
            ad.randint(-3, 12, shape),
            ad.rand((2, *shape))[1],
            ad.rand(shape, dtype=ad.float16),
            ad.randn(shape, dtype=ad.bfloat16),
        )

    g, x = compile(f), ad.ones(shape)
    ad.manual_seed(5)
    want = [f(x) for _ in range(4)]
    ad.manual_seed(5)
    same([g(x) for _ in range(4)], want)
    assert callbacks(g) == []


def test_dropout_and_its_gradient_have_the_mask_of_eager():
    w = np.random.default_rng(0).normal(size=(9, 9))

    def f(x):
        y = F.dropout(x @ ad.tensor(w), 0.4)
        return F.dropout(y.relu(), 0.2, training=True).sum(1)

    x = moving(np.random.default_rng(1).normal(size=(5, 9)))
    h = grads(f)
    g = compile(h)
    ad.manual_seed(1)
    want = [h(x) for _ in range(3)]
    ad.manual_seed(1)
    same([g(x) for _ in range(3)], want)
    assert callbacks(g) == []


# ---------------------------------------------------------------- positions


def test_indexing_reads_what_eager_reads():
    rng = np.random.default_rng(0)
    x = moving(rng.normal(size=(6, 5, 35)))
    i = ad.tensor(rng.integers(-6, 6, (4, 3)))
    j = ad.tensor(rng.integers(-5, 5, (3,)))

    def f(x, i, j):
        return (
            x[i],
            x[:, j],
            x[i, j],
            x[i, :, 3],
            x[:, j, 2:7],
            x.index_select(1, j % 5),
            x.take_along_dim(i[:1, :1].reshape(1, 1, 1).abs() % 5, 2),
            ad.gather(x, 2, (i.abs() % 5)[:, :, None].expand(4, 3, 9)),
            x[0][j % 5],
            F.embedding(i.abs() % 6, x[:, 0]),
        )

    check(grads(f), x, i, j)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int16", "uint8", "bool"])
def test_positions_of_every_type(dtype):
    x = ad.tensor(np.arange(20).reshape(5, 4) % 7, dtype=getattr(ad, dtype))
    i = ad.tensor([3, -1, 0, 3])

    def f(x, i):
        put = x.index_put((i,), x[:4])
        return x[i], x[i, i % 4], put, put.index_add(0, i % 2, x[:4]), x[:, i.int()]

    check(f, x, i, native=dtype != "bool")


def test_sums_at_positions_run_in_the_order_of_eager():
    rng = np.random.default_rng(2)
    x = moving(rng.normal(size=(40, 7)), "float32")
    i = ad.tensor(rng.integers(0, 5, 40))
    k = ad.tensor(rng.integers(0, 4, (40, 7)))

    def f(x, i, k):
        return (
            ad.zeros(5, 7).index_add(0, i, x),
            ad.zeros(4, 7).scatter_add(0, k, x),
            ad.zeros(40, 4).scatter_add(1, k, x),
            ad.zeros(40, 4).scatter(1, k[:, :1], x[:, :1]),
            ad.ones(4, 7).scatter_reduce(0, k, x, "prod"),
            ad.zeros(4, 7).scatter_reduce(0, k, x, "amax"),
            ad.zeros(4, 7).scatter_reduce(0, k, x, "mean"),
            ad.zeros(5, 7).index_put((i,), x, accumulate=True),
        )

    check(f, x, i, k, tolerance=1e-7)
    check(grads(f), x, i, k, tolerance=1e-4)


def test_one_hot_search_and_frames():
    x = moving(np.random.default_rng(3).normal(size=(3, 21)))
    i = ad.tensor([[0, 2, 1], [2, 2, 0]])

    def f(x, i):
        rows = ad.sort(x.detach(), 1).values
        return (
            F.one_hot(i, 4),
            ad.searchsorted(rows, x.detach()),
            ad.bucketize(x.detach(), rows[0], right=True),
            x.unfold(1, 4, 3),
            x.unfold(0, 2, 1).sum(-1),
            ad.as_strided(x, (4, 5), (6, 2), 1),
            x.diag_embed(1).sum(0),
        )

    check(grads(f), x, i, native=False)


def test_search_puts_nan_last():
    rows = ad.tensor([-np.inf, 0.0, 1.0, 1.0, np.inf, np.nan])
    x = ad.tensor([np.nan, 1.0, -np.inf, np.inf, 0.5, -0.0, 2.0])
    check(lambda r, x: [ad.searchsorted(r, x, right=b) for b in (False, True)], rows, x)


@pytest.mark.parametrize("bad", [5, -6, 10**12])
@pytest.mark.parametrize("kind", ["rows", "elements", "put", "add", "gather"])
def test_positions_outside_are_the_error_of_eager_and_leave_state_alone(bad, kind):
    w = nn.Parameter(ad.ones(5, 3))
    count = ad.zeros(2)
    opt = optim.SGD([w], lr=0.1)
    read = {
        "rows": lambda i: w[i],
        "elements": lambda i: w[i, i % 3],
        "put": lambda i: w.index_put((i,), ad.ones(3)),
        "add": lambda i: ad.zeros(5, 3).index_add(0, i, w[:2]),
        "gather": lambda i: w.gather(0, i[:, None]),
    }[kind]

    def step(i):
        count.add_(1)
        opt.zero_grad()
        loss = (read(i) ** 2).sum()
        loss.backward()
        opt.step()
        return loss

    f = compile(step)
    for _ in range(3):
        f(ad.tensor([0, 4]))
    before = w.detach().clone(), count.clone()
    for _ in range(2):
        with pytest.raises(DimError) as caught:
            f(ad.tensor([1, bad]))
        with pytest.raises(DimError) as wanted:
            read(ad.tensor([1, bad]))
        assert str(caught.value).splitlines()[0] == str(wanted.value).splitlines()[0]
        same([w, count], before)
    f(ad.tensor([0, 1]))
    assert count[0].item() == before[1][0].item() + 1


def test_an_error_of_numpy_leaves_state_alone():
    count = ad.zeros(3)

    @compile
    def f(x):
        count.add_(1)
        return ad.linalg.cholesky(x)

    for _ in range(3):
        f(ad.eye(2))
    for _ in range(2):
        with pytest.raises(ad.linalg.LinAlgError):
            f(-ad.eye(2))
    assert count.tolist() == [3.0] * 3


# ---------------------------------------------------------------- special functions

ODD = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1e-300,
    1e10,
    -1e10,
    2.0,
    8.0,
    -4.0,
    0.5,
    -0.5,
]
SPREAD = {
    "erfinv": (-1, 1),
    "special.ndtri": (0, 1),
    "special.bessel_j0": (-30, 60),
    "special.bessel_j1": (-30, 60),
    "special.bessel_y0": (0, 60),
    "special.bessel_y1": (0, 60),
    "special.modified_bessel_k0": (0, 30),
    "special.modified_bessel_k1": (0, 30),
    "special.scaled_modified_bessel_k0": (0, 30),
    "special.scaled_modified_bessel_k1": (0, 30),
    "special.spherical_bessel_j0": (-20, 20),
    "special.airy_ai": (-20, 20),
    "digamma": (-20, 20),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_functions(dtype):
    """Everywhere, and where they end."""
    rng = np.random.default_rng(0)
    drawn = [np.concatenate([rng.uniform(*s, 60), ODD]) for s in SPREAD.values()]
    xs = [ad.tensor(x.astype(dtype)) for x in drawn]

    def f(*xs):
        out = []
        for name, x in zip(SPREAD, xs, strict=True):
            g = ad
            for part in name.split("."):
                g = getattr(g, part)
            out.append(g(x))
        return out

    check(f, *xs, tolerance=1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_functions_of_two(dtype):
    rng = np.random.default_rng(1)
    shapes = np.concatenate([10 ** rng.uniform(-2, 5, 90), [0, 0, 1, np.inf, 2, -1]])
    ends = np.concatenate([10 ** rng.uniform(-2, 5, 90), [0, 1, 0, 2, np.inf, 1]])
    given = shapes, ends, rng.uniform(-20, 30, 96)
    a, x, q = (ad.tensor(v.astype(dtype)) for v in given)

    def f(a, x, q):
        zeta = ad.special.zeta(1 + a.clamp(0, 30), q)
        orders = [ad.polygamma(n, q) for n in (0, 1, 2, 5)]
        return [ad.special.gammainc(a, x), ad.special.gammaincc(a, x), zeta, *orders]

    g, near = compile(f), 1e-11 if dtype == "float64" else 1e-5
    g(a, x, q)
    for got, want in zip(g(a, x, q), f(a, x, q), strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), near)
    assert callbacks(g) == []


def test_gradients_of_special_functions():
    x = moving(np.linspace(0.1, 0.9, 24))

    def f(x):
        return (
            ad.erfinv(x), ad.special.ndtri(x), ad.digamma(x), ad.lgamma(x).exp(),
            ad.special.gammainc(x.detach() + 1, x), ad.special.bessel_j1(x * 9),
            ad.special.airy_ai(-x), ad.polygamma(1, x),
        )  # fmt: skip

    check(grads(f), x, tolerance=1e-9)


# ---------------------------------------------------------------- reductions and runs

WILD = [1.0, -2.0, np.nan, 3.0, np.inf, -np.inf, 0.0, -0.0, 3.0]


def reductions(x):
    out = []
    for d in (0, 1, -1, (0, 2), (0, 1, 2)):
        out += [x.sum(d), x.amax(d), x.amin(d), ad.any(x, d), ad.all(x, d)]
        out += [ad.count_nonzero(x, d)]
        if x.is_floating_point():
            out += [
                x.mean(d),
                ad.logsumexp(x, d),
                x.norm(3, d),
                x.norm(float("inf"), d),
            ]
            out += [x.std(d), x.var(d, correction=0), x.norm(2, d), x.norm(0, d)]
    for d in (0, 1, 2):
        out += [x.prod(d), x.argmax(d), x.argmin(d, keepdim=True)]
        out += [x.cumsum(d), x.cumprod(d), *x.max(d), *x.min(d)]
        out += [*ad.cummax(x, d), *ad.cummin(x, d)]
    return [*out, x.argmax(), x.prod(), x.max(), x.any()]


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 1, 33), (1, 19, 2)])
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int64", "int8", "uint8", "bool"]
)
def test_reductions_and_runs(shape, dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, shape) if dtype[0] != "f" else rng.normal(size=shape)
    x = ad.tensor(x.astype(dtype))
    check(reductions, x, tolerance=1e-5 if dtype == "float32" else None)


def test_reductions_and_runs_of_wild_numbers():
    rng = np.random.default_rng(1)
    x = ad.tensor(rng.choice(WILD, (3, 4, 9)))
    check(reductions, x)


def test_gradients_of_reductions_and_runs():
    rng = np.random.default_rng(2)

    def f(x):
        return [
            y
            for d in (0, 1, 2)
            for y in (
                x.prod(d),
                x.std(d),
                x.var(d),
                ad.logsumexp(x, d),
                x.cumsum(d),
                x.cumprod(d),
                ad.logcumsumexp(x, d),
                x.norm(3, d),
                x.amax(d),
                x.max(d).values,
                ad.cummax(x, d).values,
            )
        ]

    check(grads(f), moving(rng.normal(size=(3, 4, 5))), tolerance=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_several_loops_compute_is_the_same_in_all(dtype):
    """The largest is found again by comparing, whether or not a product is rounded before."""
    rng = np.random.default_rng(3)
    w, c = (ad.tensor(rng.normal(size=n).astype(dtype)) for n in ((7, 5, 6), (1,)))
    ways = [  # of w c and w
        lambda z, w: z + 1,
        lambda z, w: 1 - z,
        lambda z, w: z - 0.3,
        lambda z, w: (z - w).flip(0),
        lambda z, w: (w + z.permute(2, 0, 1).permute(1, 2, 0)) * 3 - 1,
    ]

    def f(w):
        out = []
        for way in ways:
            z = w * c
            out += [way(z, w).amax(0).square(), z.square()]
        return out

    check(grads(f), w.requires_grad_(), tolerance=1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_taken_from_itself_leaves_nothing(dtype):
    rng = np.random.default_rng(4)
    x, c = (ad.tensor(rng.normal(size=n).astype(dtype)) for n in ((9, 33), (33,)))

    def f(x):
        z = x * c
        out = [z - z.detach(), z - z.amax(1, keepdim=True), z.amin(0) - z, z - x * c]
        return [(y == 0).sum() for y in out]

    check(f, x)


def test_reductions_of_nothing_and_of_one():
    def f(x, y):
        return [
            x.sum(0), x.sum(), x.prod(0), x.any(0), x.all(), x.mean(0), x.cumsum(0),
            x.logsumexp(0), y.sum(), y.mean(), y.amax(), y.any(), y.all(), y.argmax(),
            y.prod(), ad.count_nonzero(y), y.cumsum(0), y.std(correction=0),
        ]  # fmt: skip

    check(f, ad.zeros(0, 3), ad.tensor(2.0), native=False)


# ---------------------------------------------------------------- in loops


def test_loops_of_all_formats():
    rng = np.random.default_rng(0)
    z = ad.tensor(np.exp(1j * np.arange(6.0)))
    h = ad.tensor(rng.normal(size=(7, 3)), dtype=ad.bfloat16)

    def f(z, h):
        c, ys = ad.scan(lambda c, x: (c * x, c + x), z[0], z)
        both = ad.scan(lambda c, x: (c * x, x), z[:2], z)
        turned = ad.cond(z.real.sum() > 0, lambda a: a * 1j, lambda a: a - 1, z)
        return c, ys, both, turned, ad.scan(lambda c, x: (c / 2 + x.exp(), c), h[0], h)

    check(f, z, h, tolerance=1e-12)


@pytest.mark.parametrize("bad", [9, -10])
def test_a_position_outside_ends_a_loop(bad):
    w = moving(np.random.default_rng(0).normal(size=(9, 4)))

    def f(w, i):
        def step(c, k):
            return c + (w[k] * c).sum() / 100, w[k] + c

        c, ys = ad.scan(step, ad.ones((), dtype=ad.float64), i)
        return c, ys, ad.autograd.grad(c + ys.sum(), [w])

    i = ad.tensor([3, -1, 8, 0, 0])
    g = check(f, w, i)
    with pytest.raises(DimError, match=f"index {bad} is out of bounds"):
        g(w, ad.where(i == 8, bad, i))
    same(g(w, i), f(w, i))


# ---------------------------------------------------------------- order, windows, sizes


def ordered(x):
    out = []
    for d in (0, 1, 2):
        out += [*x.sort(d), *x.sort(d, descending=True, stable=True), x.argsort(d)]
        out += [*x.topk(2, d), *x.topk(1, d, largest=False), *x.kthvalue(2, d)]
        out += [*x.median(d), x.msort()]
        if x.is_floating_point():
            out += [*ad.nanmedian(x, d), ad.quantile(x.double(), 0.3, d)]
    return [*out, x.median(), ad.isin(x, x[0, 0])]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "uint8", "bool"])
def test_order(dtype):
    rng = np.random.default_rng(0)
    for shape in ((3, 4, 5), (2, 2, 29)):
        x = (
            rng.integers(0, 6, shape)
            if dtype[0] not in "fb"
            else rng.normal(size=shape)
        )
        x = x > 0 if dtype == "bool" else x
        check(ordered, ad.tensor(x, dtype=getattr(ad, dtype)))


def test_order_of_wild_numbers_and_of_ties():
    rng = np.random.default_rng(1)
    check(ordered, ad.tensor(rng.choice(WILD, (3, 4, 9))))
    check(ordered, ad.tensor(rng.choice([0.0, 1.0], (3, 4, 9))))
    ends = np.iinfo(np.int64)
    check(ordered, ad.tensor(rng.choice([ends.max, ends.min, 0, 7], (3, 4, 9))))


@pytest.mark.parametrize("n", [9, 40, 3000])
def test_ties_in_the_best_are_the_first(n):
    x = np.random.default_rng(n).integers(0, 4, (5, n)).astype(float)
    for largest in (True, False):
        ranked = np.argsort(-x if largest else x, 1, kind="stable")[:, :3]
        assert (ad.tensor(x).topk(3, 1, largest).indices.numpy() == ranked).all()
    third = np.argsort(x, 1, kind="stable")[:, 2]
    assert (ad.tensor(x).kthvalue(3, 1).indices.numpy() == third).all()


def resized(x):
    out = [F.unfold(x, (3, 2), padding=(1, 0), stride=(2, 1), dilation=(1, 2))]
    out += [
        F.fold(
            out[0], x.shape[2:], (3, 2), padding=(1, 0), stride=(2, 1), dilation=(1, 2)
        )
    ]
    for size in ((4, 13), (12, 3)):
        out += [
            F.interpolate(x, size=size, mode=mode)
            for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
        ]
    out += [F.interpolate(x, scale_factor=1.7, mode="bilinear", align_corners=True)]
    for mode in ("reflect", "replicate", "circular", "constant"):
        out += [F.pad(x, (2, 1, 0, 2), mode=mode)]
    out += [F.adaptive_avg_pool2d(x, (3, 4)), F.adaptive_max_pool2d(x, (3, 4))]
    best, places = F.max_pool2d(x, 2, return_indices=True)
    out += [
        best,
        F.max_unpool2d(best, places, 2, output_size=x.shape[2:]),
        F.avg_pool2d(x, 3, 2, 1),
    ]
    return [*out, F.lp_pool2d(x.abs() + 1, 3, 2), F.pixel_shuffle(x[:, :, :4, :4], 2)]


def test_windows_and_sizes():
    x = moving(np.random.default_rng(3).normal(size=(2, 4, 7, 9)))
    check(grads(resized), x, tolerance=1e-10)


def test_draws_of_categories():
    p = ad.tensor(np.random.default_rng(0).uniform(size=(3, 7)) * [1, 0, 1, 1, 0, 2, 1])

    def f(p):
        return (
            ad.multinomial(p, 9, replacement=True),
            ad.multinomial(p, 4),
            ad.multinomial(p[0], 2),
            ad.bernoulli(p / 2),
            ad.normal(p, 0.1),
            ad.randperm(100),
        )

    g = compile(f)
    ad.manual_seed(5)
    want = [f(p) for _ in range(4)]
    ad.manual_seed(5)
    same([g(p) for _ in range(4)], want)
    assert callbacks(g) == []


def test_distances():
    rng = np.random.default_rng(0)
    x, y = moving(rng.normal(size=(3, 5))), moving(rng.normal(size=(4, 5)))
    check(grads(lambda x, y: [ad.cdist(x, y), ad.cdist(x, y, p=1.0)]), x, y)


def test_products_of_whole_numbers_wrap_around():
    rng = np.random.default_rng(0)
    for dtype in ("int64", "int8", "uint8", "int32"):
        x, y = (
            ad.tensor(rng.integers(0, 99, s), dtype=getattr(ad, dtype))
            for s in ((3, 7), (7, 4))
        )
        check(lambda x, y: [x @ y, ad.einsum("ij,jk->ki", x, y), x[0] @ x[1]], x, y)


# ---------------------------------------------------------------- two-byte floats


def arithmetic(x, w):
    y = (x * 3 + 1).tanh() / (x.abs() + 0.5)
    return [
        y, y.sum(1), y.mean(0), y.amax(0), y.std(1), y.softmax(1), y.log_softmax(0),
        y @ w, y.exp().cumsum(1), y[:, 1:].float(), (y > 0.25), y.where(x > 0, x),
        y.argmax(1), y.t().contiguous(), ad.cat([x, y]), y[[0, -1]], y.norm(),
        ad.zeros(5, 21, dtype=x.dtype).index_add(0, ad.tensor([1, 1, 4]), y), y.prod(1),
        F.layer_norm(x, (21,)), F.gelu(x), y.double(), y.int(), y.logsumexp(1),
        *y.sort(1)[:1], y.flip(1), y.roll(2, 1), ad.cummax(y, 1).values, ad.tril(y),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_two_byte_floats_are_rounded_where_eager_rounds(dtype):
    rng = np.random.default_rng(0)
    x, w = (
        ad.tensor(rng.normal(size=s), dtype=getattr(ad, dtype))
        for s in ((3, 21), (21, 4))
    )
    check(arithmetic, x, w, native=False)
    exact = compile(
        lambda x: [(x * 3 + 1) * x - x / 7, (x + 1000) - 1000, x.abs().sqrt()]
    )
    for _ in range(2):
        got = exact(x)
    same(got, exact.func(x), tolerance=1e-30)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int64", "uint8"])
def test_frames_of_every_type(dtype):
    """What lies around an image is read as zeros, or as what is there."""
    x = ad.tensor(np.random.default_rng(0).integers(0, 9, (1, 2, 5, 21)).astype(float))
    x = x.to(getattr(ad, dtype))

    def f(x):
        padded = [F.pad(x, (1, 2, 1, 0), value=3), F.pad(x, (2, 1, -1, 0))]
        if x.is_floating_point():
            padded += [F.unfold(x, 3, padding=1), F.max_pool2d(x, 3, 2, 1)]
        return padded

    check(f, x)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_of_two_byte_floats(dtype):
    rng = np.random.default_rng(0)
    x, w = (moving(rng.normal(size=s), dtype) for s in ((5, 18), (18, 7)))
    f = grads(lambda x, w: [F.gelu(x) @ w, (x.softmax(1) * x).sum(0), x.var(1)])
    check(f, x, w, tolerance=0.06)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_casts_round_to_the_nearest_and_keep_nan(dtype):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 4096, dtype=np.uint32)
    wild = [
        *WILD,
        65504.0,
        65519.99,
        65520.0,
        1e-8,
        6e-8,
        5.9e-8,
        1 + 2**-8,
        1 + 3 * 2**-8,
    ]
    for x in (bits.view(np.float32), np.array(wild), rng.integers(-999, 999, 77)):
        f = compile(lambda x: x.to(getattr(ad, dtype)))
        with np.errstate(all="ignore"):
            x = ad.tensor(x)
            want = f(x)
            f(x)
            got, want = f(x).numpy(), want.numpy()
        equal = got.view(np.uint16) == want.view(np.uint16)
        both = np.isnan(got.astype(float)) & np.isnan(want.astype(float))
        assert (equal | both).all()


# ---------------------------------------------------------------- complex numbers


def of_complex(z, w):
    return [
        z + w[0], z - 2j, z * w[:3], z / (w[:3] + 3), -z, z.abs(), z.angle(), z.conj(),
        z.exp(), z.log(), z.sqrt(), z.sin(), z.cos(), z.tan(), z.sinh(), z.cosh(),
        z.tanh(), z.sigmoid(), z.rsqrt(), z.reciprocal(), z**2, z**-3, z**0, z.sgn(),
        z**0.5, z.sum(1), z.mean(), z.t() @ z, z @ w.t().conj(), z.cumsum(1), z.real,
        z.imag * 2, z[:, 3:5], z[[1, -1]], z.flip(0), ad.view_as_real(z), z.tril(),
        ad.view_as_complex(ad.stack([z.real, z.imag], -1)), ad.cat([z, w]), z == w[:3],
        z.isfinite(), z.norm(), z.std(), z.var(0), ad.where(z.real > 0, z, w[:3]), z != z,
        z.log2(), z.log10(), z.exp2(), z.pow(w[:3] / 4), z.diagonal(), z.roll(1, 1),
        ad.zeros_like(z), ad.ones_like(z), z.expand(2, 3, 19).sum(0), z.unfold(1, 4, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers(dtype):
    rng = np.random.default_rng(0)
    z, w = (
        ad.tensor((rng.normal(size=s) + 1j * rng.normal(size=s)).astype(dtype))
        for s in ((3, 19), (5, 19))
    )
    tolerance = 2e-5 if dtype == "complex64" else 1e-12
    check(of_complex, z, w, tolerance=tolerance)


def test_single_complex_numbers_keep_their_shape():
    z = ad.tensor(np.array(1 + 2j))
    check(lambda z: [z * 1j, z + 1, 2j - z, z.real * 1j, (z * z).exp() / (1 - 2j)], z)


def test_complex_numbers_written_through_views_of_others():
    z = ad.tensor(np.array([1 + 2j, 3 - 1j]))

    def f(z, x):
        pairs = ad.view_as_real(z * 2)
        ad.view_as_complex(pairs)[0] = z[1] * 1j
        y = ad.complex(x, x * 2)
        y.select(0, 0).fill_(0.5)
        return pairs, y, y * x, (x.to(ad.complex128) * 1j).real.sin(), y.real + x

    check(f, z, ad.tensor([0.3, 0.7], dtype=ad.float64), native=False)


def test_what_is_copied_from_a_view_is_what_it_shows_now():
    w = ad.tensor([0.5, -2.0, 1.0], requires_grad=True)

    def f(x):
        a, b = x * w, x[:2] * 2
        seen = a[:2]
        a.add_(1)
        b.copy_(seen)
        a.mul_(2)
        b[1:] = seen[:1]
        return b, ad.autograd.grad(b.sum(), w)[0]

    check(f, ad.tensor([0.3, -1.2, 2.0]), native=False)


def test_results_lie_where_what_was_read_before_lay():
    """Of one element, which is read at its place however it is counted."""
    x = ad.tensor([1.0, 2.0, 0.5])

    def f(x):
        least = x.floor().argmin(0, keepdim=True)
        return (x[2:] + 2).sin(), least, least.roll(0, 0), x.floor()

    check(f, x)


def test_a_single_mask_is_written_under():
    def f(x, y):
        x, y = x.clone(), y.clone()
        x[x > 0] = 7.0
        y[y.sum() > 0] = 1.5
        return x, y

    for k in (-1.0, 1.0):
        check(f, ad.tensor(k), ad.tensor([k, 0.5]))


def test_gradients_of_complex_numbers():
    rng = np.random.default_rng(1)
    z = ad.tensor(rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)))
    w = ad.tensor(rng.normal(size=(5, 2)) + 1j * rng.normal(size=(5, 2)))
    z, w = z.requires_grad_(), w.requires_grad_()

    def f(z, w):
        y = (z.exp() @ w).tanh() * (z.abs().sum() + z.conj()[0, 1])
        y = y + (z**3).sum() / (w.sqrt() + z[0, 0].log()).sum()
        return ad.autograd.grad(y.abs().sum(), [z, w])

    check(f, z, w, tolerance=1e-10)


def test_complex_state_and_fourier_transforms_at_the_edges():
    w = nn.Parameter(ad.tensor(np.exp(1j * np.arange(8.0))))
    opt = optim.SGD([w], lr=0.1)

    def step(x):
        opt.zero_grad()
        loss = (ad.fft.fft(x) * w - w**2).abs().sum()
        loss.backward()
        opt.step()
        return loss

    x = ad.tensor(np.random.default_rng(2).normal(size=8))
    start = w.detach().clone()
    want = [step(x).item() for _ in range(4)]
    with ad.no_grad():
        w.copy_(start)
    f = compile(step)
    np.testing.assert_allclose([f(x).item() for _ in range(4)], want, rtol=1e-12)


@pytest.mark.parametrize("divide", [ad.floor_divide, ad.remainder, ad.fmod])
@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
def test_whole_numbers_divided_by_zero_are_the_error_of_eager(divide, dtype):
    count = ad.zeros(2)

    def f(x, y):
        count.add_(1)
        return divide(x, y)

    x, y = (ad.tensor(a, dtype=getattr(ad, dtype)) for a in ([7, 100, 3], [2, 9, 3]))
    g = check(f, x, y)
    before = count.tolist()
    for _ in range(2):
        with pytest.raises(ArgumentError) as caught:
            g(x, ad.zeros_like(y))
        with pytest.raises(ArgumentError) as wanted:
            divide(x, ad.zeros_like(y))
        assert str(caught.value).splitlines()[0] == str(wanted.value).splitlines()[0]
        assert count.tolist() == before


def test_leaves_are_taken_the_quick_way():
    @ad.compile
    def f(x, y):
        z = (x * x * y).sum()
        return z.detach(), *ad.autograd.grad(z, (x, y))

    x, y = (ad.tensor([1.0, 2.0 + i], requires_grad=True) for i in range(2))
    for _ in range(2):
        f(x, y)
    z, gx, gy = f.last(x, y)  # no MISS
    assert z.item() == 13.0 and gx.tolist() == [2.0, 12.0] and gy.tolist() == [1.0, 4.0]
    assert f.last(x.detach(), y) is f.last(x * 1, y) is f.last(x) is MISS
    x.requires_grad_(False)
    assert f.last(x, y) is MISS
    with pytest.raises(ad.errors.GradError):
        f(x, y)


def test_answers_of_all_kinds():
    functions = [
        lambda x: x + 1,
        lambda x: (x + 1, x * 2),
        lambda x: [x + 1, {"a": x * 2}],
        lambda x: (x + 1, None, 3),
        lambda x: (x + 1,),
        lambda x: (),
    ]
    x = ad.tensor([1.0, 2.0])
    for f in functions:
        fast, want = ad.compile(f), f(x)
        made = [fast(x) for _ in range(4)]
        for y in made:
            assert type(y) is type(want) and repr(y) == repr(want)
        leaves = [y for y in tree.flatten(made)[0] if isinstance(y, ad.Tensor)]
        assert len({y.value.ctypes.data for y in leaves}) == len(leaves)
