"""Groups of kernels by blocks of rows: what blocks add up is the same for any number of threads."""

import functools
import itertools

import numpy as np
import pytest

import adjoint as ad

pytest.importorskip("llvmlite")
slices = pytest.importorskip("adjoint.compiler.native.slices")


@pytest.fixture(autouse=True)
def threads():
    before = ad.get_num_threads()
    yield
    ad.set_num_threads(before)


def network(sizes, seed=0):
    """Weights and biases in float64."""
    rng = np.random.default_rng(seed)
    for n, m in itertools.pairwise(sizes):
        yield ad.tensor(rng.normal(size=(m, n)) / n**0.5)
        yield ad.tensor(rng.normal(size=m) / 10)


def forward(params, x):
    """All layers' values."""
    found = []
    for w, b in zip(params[::2], params[1::2], strict=True):
        found.append(ad.tanh((found[-1] if found else x) @ w.T + b))
    return found


def residual(params, points):
    """The mean square of u_t + u u_x - u_xx / 10, by nested gradients."""

    def u(p):
        return forward(params, p)[-1][:, 0]

    def along(p):
        return ad.func.grad(lambda q: u(q).sum())(p)

    g = along(points)
    second = ad.func.grad(lambda q: along(q)[:, 0].sum())(points)[:, 0]
    return ((g[:, 1] + u(points) * g[:, 0] - 0.1 * second) ** 2).mean()


def leaves(tree):
    if isinstance(tree, ad.Tensor):
        return [tree.numpy().copy()]
    return [x for t in tree for x in leaves(t)]


def agree(f, *args, blocks=True):
    """Eager and compiled numbers, the same bits with one thread, two and four."""
    step = ad.compile(f)
    found = []
    for n in (1, 2, 4):
        ad.set_num_threads(n)
        step(*args)
        for _ in range(2):
            found.append(leaves(step(*args)))
    for x, *ys in zip(leaves(f(*args)), *found, strict=True):
        np.testing.assert_allclose(ys[0], x, rtol=1e-9, atol=1e-11 * np.abs(x).max())
        assert all(y.tobytes() == ys[0].tobytes() for y in ys)
    regions = [r for r in step.explain(*args).regions if r.kind == "together"]
    assert bool(regions) == blocks
    return regions


def points(n, d=2):
    return ad.tensor(np.random.default_rng(n).normal(size=(n, d)))


@pytest.mark.parametrize("n", [1000, 515])
def test_gradients_of_weights_add_up_block_by_block(n):
    params = [*network((2, 32, 32, 32, 1))]
    f = ad.func.grad(
        lambda *p: residual(p, points(n)), argnums=tuple(range(len(params)))
    )
    (region,) = agree(f, *params)
    assert 8 <= region.chunks <= 16
    assert "sum" in region.operations and region.flop > 1e7


@pytest.mark.parametrize("room", [20_000, 10])
def test_few_places_for_sums(monkeypatch, room):
    """Several blocks add up in one place, or all of them."""
    monkeypatch.setattr(slices, "ROOM", room)
    params = [*network((2, 24, 24, 1), seed=room)]
    f = ad.func.grad(
        lambda *p: (forward(p, points(1900))[-1] ** 2).mean(), argnums=(0, 1, 2, 3)
    )
    found = {(r.chunks, r.alone) for r in agree(f, *params)}
    alone = (1, "its blocks add up in one place")
    assert (alone in found) == (room == 10)
    assert all(chunks < 15 for chunks, _ in found)


def test_what_all_rows_add_up_to_is_not_read_before():
    """A product of all rows that rows read again, and a result as well."""
    params = [*network((2, *[32] * 7))]

    def f(*params):
        h = forward(params, points(4096))[-1]
        small = h * 0.02
        g = small.T @ small
        return ad.tanh(h @ g), g

    agree(f, *params)


def test_what_else_is_reduced_over_rows():
    params = [*network((2, *[32] * 7))]

    def f(*params):
        h = forward(params, points(2048))
        return h[-1].sum(0), h[-1].amax(0), h[-2].mean(0), h[-3].amin(0), h[-3].sum(0)

    agree(f, *params)


@pytest.mark.parametrize("keepdim", [False, True])
def test_sums_of_columns_that_rows_read_again(keepdim):
    params = [*network((2, *[32] * 7))]

    def f(*params):
        h = forward(params, points(2048))
        total = h[-1].sum(0, keepdim=keepdim)
        return total, h[-1] - total / 2048, (h[-2] * 2).sum(0, keepdim=keepdim)

    agree(f, *params)


LOSSES = {
    "mse": lambda y, t: ad.nn.functional.mse_loss(y, t),
    "l1": lambda y, t: ad.nn.functional.l1_loss(y, t, reduction="sum"),
    "bce": lambda y, t: ad.nn.functional.binary_cross_entropy_with_logits(y, t > 0),
    "squeezed": lambda y, t: ((y - t)[:, 0] ** 2).mean().sqrt(),
    "largest": lambda y, t: (y - t).abs().amax(),
    "weighed": lambda y, t: ((y - t) ** 2 * (t > 0)).sum() / (t > 0).sum(),
}


@pytest.mark.parametrize("n", [1024, 515, 1026, 4097])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_network_and_its_loss_in_one_pass_over_rows(loss, n):
    """Forward, the loss of all rows, backward: nothing lies between but a block of rows."""
    params = [*network((3, 16, 5, 20, 1), seed=n)]
    x, t = points(n, 3), points(n, 1)
    names = tuple(range(len(params)))

    def f(*p):
        return LOSSES[loss](forward(p, x)[-1], t)

    regions = agree(ad.func.value_and_grad(f, argnums=names), *params)
    if loss in ("mse", "l1", "bce"):
        (region,) = regions
        assert region.flop > 6 * n * (3 * 16 + 16 * 5 + 5 * 20)


@pytest.mark.parametrize("classes", [1, 10])
def test_classes_in_one_pass_over_rows(classes):
    params = [*network((20, 40, classes))]
    x, names = points(2000, 20), (0, 1, 2, 3)
    t = ad.tensor(np.arange(2000) % classes)

    def f(*p):
        return ad.nn.functional.cross_entropy(forward(p, x)[-1], t, label_smoothing=0.1)

    agree(ad.func.value_and_grad(f, argnums=names), *params)


def test_what_is_made_of_the_sum_of_all_rows_comes_after():
    """Numbers made of what all rows add up to, which other rows do not wait for."""
    params = [*network((3, 16, 16, 16, 16, 1))]
    x, t = points(1500, 3), points(1500, 1)

    def f(*p):
        y = forward(p, x)[-1]
        loss = ((y - t) ** 2).mean()
        return loss, loss.sqrt() * 2, y.amax() - y.amin(), (y - t).sum(0), y * 2

    agree(f, *params)


def test_rows_that_wait_for_the_sum_of_all_rows():
    """Deviations from the mean of a batch: what reads the mean is not of its group."""
    params = [*network((3, 16, 16, 16, 16, 1))]
    x = points(1500, 3)

    def f(*p):
        y = forward(p, x)[-1]
        far = y - y.mean()
        return (far**2).mean().sqrt(), far / (1 + (far**2).mean())

    agree(ad.func.grad(lambda *p: f(*p)[0], argnums=(0, 1, 8)), *params)
    agree(f, *params)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [3, 40])
def test_a_column_for_all_rows(width, dtype):
    """Products with one column, of a few numbers and of many, whose rows end within a vector."""
    w = ad.tensor(np.random.default_rng(1).normal(size=(4, width)), dtype=dtype)
    v = ad.tensor(np.random.default_rng(2).normal(size=(1, width)), dtype=dtype)

    def f(x, w, v):
        h = ad.tanh(x @ w)
        for _ in range(4):
            h = ad.tanh(h * 1.1 + ad.tanh(x @ w))
        return (h @ v.T)[:, 0] * 2, (h @ v.T).sum()

    for n in (1024, 1037):
        args = points(n, 4).to(w.dtype), w, v
        step = ad.compile(f)
        found = [leaves(step(*args)) for _ in range(3)][-1]
        for got, wanted in zip(found, leaves(f(*args)), strict=True):
            tiny = 1e-12 if dtype == "float64" else 1e-5
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(got, wanted, rtol=tiny, atol=40 * tiny * scale)


def test_sums_of_one_column_are_sums_of_all():
    """(n, 1) summed over n is as quick as n numbers: in lanes, and with what else reads them."""
    x = points(5000, 1)
    step = ad.compile(
        lambda x: (ad.tanh(x).sum(0), (x * 2).mean(0, keepdim=True), x.exp())
    )
    found = [leaves(step(x)) for _ in range(3)][-1]
    y = x.numpy()
    wanted = np.tanh(y).sum(0), (2 * y).mean(0, keepdims=True), np.exp(y)
    for got, want in zip(found, wanted, strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    regions = [r for r in step.explain(x).regions if "sum" in r.operations]
    assert [r.kind for r in regions] == ["rows"]


def test_copies_are_multiplied_once():
    """The gradient of a sum begins with ones: what they are multiplied by is a row."""
    step = ad.compile(ad.func.grad(lambda x, w: ad.tanh(x @ w).sum()))
    x, w = points(64, 8), points(8, 4)
    for _ in range(2):
        step(x, w)
    text = step.program(x, w, after="simplify")
    assert "ones_like" not in text and " sum(" not in text

    outer = ad.compile(ad.func.grad(lambda x, w: (x @ w).sum()))
    for _ in range(2):
        found = outer(x, w)
    np.testing.assert_allclose(found.numpy(), np.tile(w.numpy().sum(1), (64, 1)))
    assert "64, 4" not in outer.program(x, w, after="simplify")


@pytest.mark.parametrize("n", [512, 529, 1025])
@pytest.mark.parametrize("width", [1, 3, 5])
def test_blocks_of_columns_that_begin_within_a_panel(n, width):
    """Products of all rows and one column: panels are wider than what blocks begin with."""
    params = [*network((5, 1, width, 17, 1), seed=n)]
    x, t = points(n, 5), points(n, 1)

    def f(*p):
        return ((forward(p, x)[-1] - t) ** 2).mean()

    agree(ad.func.value_and_grad(f, argnums=tuple(range(8))), *params)


def test_blocks_of_columns_of_what_was_there_before():
    """What is multiplied is not packed once for all blocks if each has other rows of it."""
    params = [*network((1, 7, 1))][:3]
    x, t = points(1000, 1), points(1000, 1)

    def scaled(scale, w, b, v):
        y = x * scale if scale else x
        return (1 - ((w @ y.T).T + b) @ v.T * ad.sign(t)).clamp(min=0).mean()

    def f(*p):
        for scale in (None, 0.5):
            here = functools.partial(scaled, scale)
            yield ad.func.value_and_grad(here, argnums=(0, 1, 2))(*p)

    agree(lambda *p: [*f(*p)], *params)


def test_what_is_made_of_two_sums_of_all_rows_comes_after_both():
    """The last operations of a loop wait for what a group is made before."""
    params = [*network((8, 31, 127, 1))]
    x, t = points(528, 8), points(528, 1)

    def f(*p):
        total = x.cumsum(0)
        hidden = x @ p[0].T
        y = ad.sin(ad.nn.functional.elu(hidden @ p[2].T) @ p[4].T + p[5])
        loss = ((ad.roll(y, 1, 1) - t) ** 2).mean().sqrt()
        return loss + ad.sin(total * 0.1).mean(), hidden.mean(1)

    agree(f, *params)
