"""Compiled convolutions and pooling: the numbers of eager, over shapes and options."""

import itertools

import numpy as np
import pytest

pytest.importorskip("llvmlite")
import adjoint as ad
from adjoint import compile, nn, op, optim

# size, kernel, stride, padding, dilation, channels in and out of each group, groups
GRID = [
    ((17,), (3,), (1,), ((1, 1),), (1,), (2, 3), 1),
    ((40,), (4,), (3,), ((2, 0),), (2,), (1, 1), 5),
    ((9, 33), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), (3, 10), 1),
    ((8, 8), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), (6, 16), 1),
    ((11, 13), (3, 2), (2, 3), ((1, 0), (0, 2)), (2, 1), (2, 3), 3),
    ((7, 7), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), (9, 20), 1),
    ((7, 7), (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1), (3, 2), 2),
    ((5, 50), (2, 7), (1, 2), ((1, 2), (3, 3)), (3, 1), (1, 2), 4),
    ((6, 6), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), (1, 1), 1),
    ((3, 3), (1, 2), (1, 1), ((4, 5), (4, 3)), (1, 1), (2, 2), 1),
    ((4, 5, 6), (2, 3, 2), (1, 2, 1), ((0, 1), (1, 1), (0, 0)), (2, 1, 1), (2, 3), 2),
    ((2, 2), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), (600, 9), 1),
    ((7, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), (130, 35), 2),
    ((9, 9), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), (34, 65), 1),
]


def case(size, kernel, stride, padding, dilation, channels, groups, n=3):
    """(x, w, params) in float64."""
    rng = np.random.default_rng(0)
    c, o = channels
    x = ad.tensor(rng.normal(size=(n, c * groups, *size)))
    w = ad.tensor(rng.normal(size=(o * groups, c, *kernel)))
    params = {"stride": stride, "padding": padding, "dilation": dilation}
    return x, w, {**params, "groups": groups}


def same(got, want, tolerance=1e-10):
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        a, b = a.detach().numpy(), b.detach().numpy()
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def pulled(f, xs):
    """f of the inputs, and its gradients for them, each element with a weight of its own."""
    xs = [x.detach().requires_grad_() for x in xs]
    y = f(*xs)
    weights = ad.arange(y.numel(), dtype=y.dtype).reshape(y.shape).cos()
    return [y, *ad.autograd.grad((y * weights).sum(), xs)]


def regions(step):
    """The kinds of the kernels of a compiled function."""
    return {r.kind for r in step.explain().regions}


def check(f, xs, tolerance=1e-10):
    """The same compiled, values and gradients, without a call of NumPy."""

    def both(*xs):
        return pulled(f, xs)

    step = compile(both)
    want = both(*xs)
    step(*xs)
    same(step(*xs), want, tolerance)
    assert "call" not in regions(step)


@pytest.mark.parametrize("options", GRID)
def test_a_convolution_and_its_gradients(options):
    x, w, params = case(*options)
    check(lambda x, w: op.conv(x, w, **params), [x, w])


@pytest.mark.parametrize("n", [1, 2, 40])
def test_any_number_of_images(n):
    x, w, params = case(*GRID[2], n=n)
    check(lambda x, w: op.conv(x, w, **params), [x, w])


@pytest.mark.parametrize("options", [*itertools.product([1, 2, 3], [0, 2], [1, 2])])
def test_strides_paddings_and_dilations(options):
    stride, padding, dilation = options
    two = (stride, stride), ((padding, padding),) * 2, (dilation, dilation)
    x, w, params = case((11, 20), (3, 3), *two, (2, 3), 1 + padding // 2)
    check(lambda x, w: op.conv(x, w, **params), [x, w])


def test_float32():
    x, w, params = case(*GRID[2])
    check(lambda x, w: op.conv(x, w, **params), [x.float(), w.float()], 2e-4)


def test_second_derivatives():
    x, w, params = case(*GRID[4])

    def f(x, w):
        x, w = (t.detach().requires_grad_() for t in (x, w))
        y = op.conv(x, w, **params)
        (gx,) = ad.autograd.grad((y**3).sum(), x, create_graph=True)
        return ad.autograd.grad((gx**2).sum(), [x, w])

    step = compile(f)
    step(x, w)
    same(step(x, w), f(x, w), 1e-9)


def test_infinities_stay_where_they_are():
    x, w, params = case((4, 18), (1, 3), (1, 1), ((0, 0),) * 2, (1, 1), (1, 1), 1)
    x[0, 0, 1, 17] = float("inf")
    step = compile(lambda x, w: op.conv(x, w, **params))
    step(x, w)
    same([step(x, w)], [op.conv(x, w, **params)])


SMALL_TILES = [
    ((32, 32), ((1, 1), (1, 1)), (16, 16), 1, 2),
    ((9, 11), ((1, 1), (1, 1)), (17, 19), 1, 5),
    ((30, 45), ((0, 0), (2, 2)), (16, 16), 2, 1),
    ((7, 100), ((0, 0), (0, 0)), (16, 24), 1, 1),
    ((40, 6), ((2, 0), (1, 2)), (40, 20), 1, 3),
    ((3, 3), ((1, 1), (1, 1)), (70, 33), 1, 20),
    ((14, 13), ((1, 1), (1, 1)), (130, 70), 1, 7),
]


def tiled(size, padding, channels, groups, n):
    """A convolution in float32 that is done in small tiles: (x, w, params)."""
    ones = (1, 1)
    x, w, params = case(size, (3, 3), ones, padding, ones, channels, groups, n)
    return x.float(), w.float(), params


@pytest.mark.parametrize("options", SMALL_TILES)
def test_small_tiles(options):
    """As near to the numbers of float64 as plain sums are."""
    x, w, params = tiled(*options)

    def f(x, w):
        return pulled(lambda x, w: op.conv(x, w, **params), (x, w))

    step = compile(f)
    step(x, w)
    for y, want in zip(step(x, w), f(x.double(), w.double()), strict=True):
        size = want.abs().max().item()
        np.testing.assert_allclose(y.detach(), want.detach(), atol=2e-6 * size, rtol=0)


@pytest.mark.parametrize("odd", [float("inf"), float("nan"), -3e38])
def test_small_tiles_keep_what_is_not_finite_where_it_is(odd):
    x, w, params = tiled(*SMALL_TILES[1])
    x[3, 2, 4, 5] = odd
    x[3, 5, 8, 10] = odd

    def f(x, w):
        return pulled(lambda x, w: op.conv(x, w, **params), (x, w))

    step = compile(f)
    step(x, w)
    want = f(x, w)
    assert not np.isfinite(want[0].detach()).all()
    assert np.isfinite(want[0].detach()[[0, 1, 2, 4]]).all()
    assert np.isfinite(want[2][:, 0]).all()
    same(step(x, w), want, 5e-5)


def test_transposed():
    rng = np.random.default_rng(0)
    x, w = (
        ad.tensor(rng.normal(size=(2, 4, 5, 6))),
        ad.tensor(rng.normal(size=(4, 3, 3, 2))),
    )

    def f(x, w):
        return nn.functional.conv_transpose2d(
            x, w, stride=2, padding=1, output_padding=1
        )

    check(f, [x, w])


# ------------------------------------------------------------ whole steps


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.one, self.two = nn.Linear(256, 60), nn.Linear(60, 10)

    def forward(self, x):
        pool = nn.functional.max_pool2d
        x = pool(self.conv1(x).relu(), 2)
        x = pool(self.conv2(x).relu(), 2)
        return self.two(self.one(x.flatten(1)).relu())


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.last = nn.Linear(8, 10)

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        y = (self.norm2(self.conv2(y)) + x).relu()
        return self.last(y.mean((2, 3)))


def training(make, shape, wrap):
    ad.manual_seed(0)
    net = make().double()
    opt = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

    def step(x, t):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x), t)
        loss.backward()
        opt.step()
        return loss

    step = wrap(step)
    rng = np.random.default_rng(0)
    x, t = ad.tensor(rng.normal(size=shape)), ad.tensor(rng.integers(0, 10, shape[0]))
    losses = [step(x, t) for _ in range(4)]
    return [*losses, *net.state_dict().values()], step


@pytest.mark.parametrize(
    ("make", "shape"), [(LeNet, (4, 1, 28, 28)), (Residual, (3, 8, 9, 9))]
)
def test_a_training_step(make, shape):
    got, step = training(make, shape, compile)
    want, _ = training(make, shape, lambda f: f)
    same(got, want)
    assert "call" not in regions(step)


# ------------------------------------------------------------ pooling

POOLS = [
    (nn.functional.max_pool2d, {"kernel_size": 2}),
    (nn.functional.max_pool2d, {"kernel_size": 3, "stride": 2, "padding": 1}),
    (nn.functional.max_pool2d, {"kernel_size": (2, 3), "stride": 1, "dilation": 2}),
    (nn.functional.max_pool2d, {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    (nn.functional.avg_pool2d, {"kernel_size": 2}),
    (nn.functional.avg_pool2d, {"kernel_size": 3, "stride": 2, "padding": 1}),
    (nn.functional.avg_pool2d, {"kernel_size": 3, "ceil_mode": True}),
    (nn.functional.adaptive_avg_pool2d, {"output_size": 1}),
    (nn.functional.adaptive_avg_pool2d, {"output_size": (3, 4)}),
]


@pytest.mark.parametrize(("pool", "options"), POOLS)
def test_pooling(pool, options):
    x = ad.tensor(np.random.default_rng(0).normal(size=(2, 3, 9, 20)))
    check(lambda x: pool(x, **options), [x])


def test_the_first_of_equals_wins_and_nan_is_largest():
    x = ad.tensor(np.random.default_rng(0).integers(0, 3, (2, 2, 9, 20)) * 1.0)
    x[0, 0, 3:5, 4:7] = float("nan")
    x[1, 1] = float("-inf")

    def f(x):
        options = {"padding": 1, "stride": 2, "return_indices": True}
        return nn.functional.max_pool2d(x, 3, **options)

    step = compile(f)
    step(x)
    same(step(x), f(x))
    assert "call" not in regions(step)


def test_whole_numbers_are_pooled():
    x = ad.tensor(np.random.default_rng(0).integers(-9, -3, (2, 2, 9, 20)))

    def f(x):
        return nn.functional.max_pool2d(x, 3, padding=1, return_indices=True)

    step = compile(f)
    step(x)
    same(step(x), f(x))


def test_inside_a_loop():
    x, w, params = case((9, 9), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), (2, 2), 1)

    def f(x, w):
        def body(_, x):
            y = op.conv(x, w, **params).tanh()
            return y + nn.functional.max_pool2d(y, 3, stride=1, padding=1)

        return ad.fori_loop(0, 3, body, x)

    step = compile(f)
    step(x, w)
    same([step(x, w)], [f(x, w)])


def test_like_convolutions_are_one_function():
    """Blocks of a network have convolutions of one form, in chains of images and alone."""
    nn, optim = ad.nn, ad.optim

    def lines(blocks, width):
        ad.manual_seed(0)
        layers = [nn.Conv2d(width, width, 3, padding=1) for _ in range(blocks)]
        net = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), *layers)
        opt = optim.SGD(net.parameters(), lr=0.1)

        @ad.compile
        def step(x):
            opt.zero_grad()
            (net(x) ** 2).mean().backward()
            opt.step()

        x = ad.ones(4, 1, 12, 12)
        step(x)
        step(x)
        return len(step.llvm().split("\n"))

    for width in (4, 16):
        few, many = lines(2, width), lines(5, width)
        assert many < 1.35 * few
