"""Which loops share rows: sums beside sums, losses with their gradients."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.nn import functional as F


def numbers(*shape):
    return ad.tensor(np.random.default_rng(0).normal(size=shape).astype("f4"))


def regions(f, *args):
    """How many regions the compiled function has, after its results were looked at."""
    step, want = ad.compile(f), f(*args)
    for _ in range(2):
        for a, b in zip(step(*args), want, strict=True):
            np.testing.assert_allclose(a.detach(), b.detach(), rtol=2e-4, atol=2e-5)
    return len(step.explain().regions)


def pulled(f):
    """The function with its gradients, given what comes from above."""

    def g(above, *xs):
        xs = [x.detach().requires_grad_() for x in xs]
        y = f(*xs)
        return (y, *ad.autograd.grad(y, xs, above))

    return g


def test_layer_norm_is_one_loop():
    """The shift's gradient sums the columns of what the scale's reads as well."""
    x, w, b, g = numbers(512, 256), numbers(256), numbers(256), numbers(512, 256)
    f = pulled(lambda x, w, b: F.layer_norm(x, (256,), w, b))
    assert regions(f, g, x, w, b) == 1


def test_sums_over_the_same_dims_are_one_loop():
    def f(x, y):
        sums = x.sum((0, 2)), (x * y).mean((0, 2)), y.amax((0, 2)), (x * 2).sum((0, 2))
        return (*sums, x.sum((0, 2), keepdim=True))

    x, y = numbers(64, 40, 50), numbers(64, 40, 50)
    assert regions(f, x, y) == 1
    assert regions(f, x[:, :, :1], y[:, :, :1]) == 1
    assert regions(lambda x, y: (x.sum(1), (x * y).sum(1), y.amax(1)), x, y) == 1


def test_a_sum_that_needs_another_is_a_loop_of_its_own():
    x = numbers(64, 40, 50)
    f = lambda x: ((m := x.mean((0, 2), keepdim=True)), ((x - m) ** 2).sum((0, 2)))  # noqa: E731
    assert regions(f, x) == 2


@pytest.mark.parametrize("shape", [(300, 1024), (4096, 600), (128, 2048)], ids=str)
def test_long_columns_are_summed_as_rows_come(shape):
    pytest.importorskip("llvmlite")
    x = numbers(*shape)
    f = ad.compile(lambda x: (x.sum(0), x.amax(0), (x * x).mean(0)))
    f(x)
    exact = x.numpy().astype("f8")
    for a, b in zip(
        f(x), (exact.sum(0), exact.max(0), (exact**2).mean(0)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)
    assert "rows" in str(f.explain())


def test_batch_norm():
    x, w, b, g = numbers(32, 24, 9, 9), numbers(24), numbers(24), numbers(32, 24, 9, 9)
    f = pulled(lambda x, w, b: F.batch_norm(x, None, None, w, b, True))
    assert regions(f, g, x, w, b) <= 7


def test_group_norm():
    x, w, b, g = numbers(16, 24, 9, 9), numbers(24), numbers(24), numbers(16, 24, 9, 9)
    f = pulled(lambda x, w, b: F.group_norm(x, 4, w, b))
    assert regions(f, g, x, w, b) <= 2


class TestLosses:
    """A loss picks of scores, not of logarithms, and is one loop with its gradient."""

    options = [
        {},
        {"reduction": "sum"},
        {"reduction": "none"},
        {"label_smoothing": 0.1},
        {"ignore_index": 3},
    ]

    def classes(self, n=300, of=40):
        t = np.random.default_rng(1).integers(0, of, n)
        t[::7] = -100
        return ad.tensor(t)

    @pytest.mark.parametrize("options", options, ids=str)
    def test_loss_and_gradient(self, options):
        options = dict(options)
        t = self.classes()
        if "ignore_index" in options:
            t = ad.where(t < 0, 3, t)

        def f(x):
            x = x.detach().requires_grad_()
            loss = F.cross_entropy(x, t, **options)
            return (loss, *ad.autograd.grad(loss.sum(), [x]))

        assert regions(f, numbers(300, 40)) <= (
            3 if "label_smoothing" not in options else 4
        )

    def test_no_logarithms_of_all_classes(self):
        t = self.classes(64, 500)
        step = ad.compile(lambda x: F.cross_entropy(x, t))
        step(numbers(64, 500))
        assert step.memory(numbers(64, 500)).inside < 64 * 500

    @pytest.mark.parametrize("rows", [(300,), (3, 100)], ids=str)
    def test_scores_that_are_computed(self, rows):
        t = self.classes()

        def f(x, b):
            x, b = x.detach().requires_grad_(), b.detach().requires_grad_()
            loss = F.cross_entropy((2 * (x + b).tanh()).reshape(-1, 40), t)
            return (loss, *ad.autograd.grad(loss, [x, b]))

        assert regions(f, numbers(*rows, 40), numbers(40)) <= 5

    def test_scores_of_one_row_for_all(self):
        t = self.classes()
        f = lambda b: (F.cross_entropy(b.expand(300, 40).exp(), t),)  # noqa: E731
        assert regions(f, numbers(40)) <= 4

    def test_a_class_out_of_range_is_told(self):
        step = ad.compile(lambda x, t: F.cross_entropy(x, t))
        x, t = numbers(300, 40), self.classes()
        step(x, t)
        step(x, t)
        t[5] = 40
        with pytest.raises(IndexError, match="40"):
            step(x, t)

    def test_elements_by_number(self):
        i = ad.tensor(np.random.default_rng(1).integers(0, 40, (300, 1)))
        x = numbers(300, 40)
        regions(
            lambda x: (
                x.exp().mul(2).gather(1, i),
                x.sin().gather(1, i.expand(300, 3)),
            ),
            x,
        )
