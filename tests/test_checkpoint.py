"""checkpoint and saved-tensor hooks; where it can, each test runs with PyTorch as well."""

import functools
import weakref

import numpy as np
import pytest

import adjoint as ad
from adjoint.func import grad, hessian, jacrev, jvp, linearize, vmap


@pytest.fixture(params=["adjoint", "torch"])
def T(request):
    return pytest.importorskip(request.param)


@pytest.fixture
def checkpoint(T):
    if T is ad:
        return ad.checkpoint
    utils = pytest.importorskip("torch.utils.checkpoint")
    return lambda f, *args, **kwargs: utils.checkpoint(
        f, *args, use_reentrant=False, **kwargs
    )


def leaf(T, *data):
    data = data[0] if len(data) == 1 else list(data)
    return T.tensor(data, dtype=T.float64, requires_grad=True)


def nums(x):
    return None if x is None else x.detach().numpy().tolist()


def body(x, w):
    return ((x * w).exp() * x.sigmoid()).tanh()


def test_same_values_and_gradients(T, checkpoint):
    x, w = leaf(T, 0.3, 0.7), leaf(T, 1.5)
    y = checkpoint(body, x, w)
    y.sum().backward()
    a, b = leaf(T, 0.3, 0.7), leaf(T, 1.5)
    z = body(a, b)
    z.sum().backward()
    assert nums(y) == nums(z)
    assert nums(x.grad) == nums(a.grad) and nums(w.grad) == nums(b.grad)


def test_the_function_runs_again_once(T, checkpoint):
    calls = []

    def f(x):
        calls.append(T.is_grad_enabled())
        return (x.exp() * x.sin()).sum()

    x = leaf(T, 1.0, 2.0)
    y = checkpoint(f, x)
    assert calls == [True]
    y.backward()
    assert calls == [True, True]
    with T.no_grad():
        checkpoint(f, x)
    assert calls == [True, True, False]


def test_values_in_closures_get_gradients(T, checkpoint):
    w, x = leaf(T, 2.0), leaf(T, 3.0)
    checkpoint(lambda x: (w * x).exp() * 0.01, x).backward()
    assert nums(w.grad) == pytest.approx(0.03 * np.exp(6))
    y = checkpoint(lambda: w.exp())
    y.backward()
    assert nums(w.grad) == pytest.approx(0.03 * np.exp(6) + np.exp(2))


def test_autograd_grad_retain_and_second_backward(T, checkpoint):
    x = leaf(T, 0.5)
    y = checkpoint(lambda x: x.exp().sin(), x)
    first = nums(T.autograd.grad(y, x, retain_graph=True)[0])
    assert nums(T.autograd.grad(y, x)[0]) == first
    with pytest.raises(RuntimeError, match="second time"):
        T.autograd.grad(y, x)


def test_second_derivatives(T, checkpoint):
    x = leaf(T, 0.5)
    y = checkpoint(lambda x: x.exp().sin(), x)
    (g,) = T.autograd.grad(y, x, create_graph=True)
    (gg,) = T.autograd.grad(g, x)
    e = np.exp(0.5)
    assert nums(gg) == pytest.approx(e * np.cos(e) - e * e * np.sin(e))


def test_keyword_arguments_and_trees(T, checkpoint):
    x, w = leaf(T, 0.5), leaf(T, 2.0)

    def f(pair, scale=1, *, extra):
        return {"y": (pair[0] * pair[1]).exp() * scale * extra["w"]}

    y = checkpoint(f, (x, w), scale=3, extra={"w": w})["y"]
    y.backward()
    e = np.exp(1.0)
    assert nums(x.grad) == pytest.approx(12 * e)
    assert nums(w.grad) == pytest.approx(3 * e + 3 * e)


def test_nesting(T, checkpoint):
    calls = []

    def inner(x):
        calls.append("inner")
        return x.exp().tanh()

    def outer(x):
        calls.append("outer")
        return checkpoint(inner, x.sin()).exp()

    x, z = leaf(T, 0.3, 0.4), leaf(T, 0.3, 0.4)
    checkpoint(outer, x).sum().backward()
    z.sin().exp().tanh().exp().sum().backward()
    np.testing.assert_allclose(nums(x.grad), nums(z.grad))
    assert calls.count("outer") == 2


def test_three_levels(T, checkpoint):
    def deep(n, x):
        y = (x * 1.1).sin().exp()
        return y if n == 0 else checkpoint(deep, n - 1, y).tanh()

    x, z = leaf(T, 0.3, 0.4), leaf(T, 0.3, 0.4)
    checkpoint(deep, 3, x).sum().backward()

    def plain(n, x):
        y = (x * 1.1).sin().exp()
        return y if n == 0 else plain(n - 1, y).tanh()

    plain(3, z).sum().backward()
    np.testing.assert_allclose(nums(x.grad), nums(z.grad))


def test_random_numbers_are_drawn_again(T, checkpoint):
    x = leaf(T, *([1.0] * 50))
    masks = []

    def f(x):
        masks.append(T.dropout(T.ones(50), 0.5, True))
        return (x * masks[-1]).exp()

    y = checkpoint(f, x)
    state = T.get_rng_state()
    y.sum().backward()
    assert nums(masks[0]) == nums(masks[1])
    assert nums(state) == nums(T.get_rng_state())
    want = np.where(np.array(nums(masks[0])) > 0, 2 * np.exp(2.0), 0)
    np.testing.assert_allclose(nums(x.grad), want, rtol=1e-6)


def test_views_as_inputs(T, checkpoint):
    x = leaf(T, [[0.1, 0.2], [0.3, 0.4]])
    y = (x * 1).t()[0]
    checkpoint(lambda v: (v.tanh() * v.exp()).sum(), y).backward()
    v = np.array([0.1, 0.3])
    want = (1 - np.tanh(v) ** 2 + np.tanh(v)) * np.exp(v)
    np.testing.assert_allclose(np.array(nums(x.grad))[:, 0], want)


def test_in_place_inside(T, checkpoint):
    def f(x):
        y = x * 2
        y[0] = x[1].exp()
        y.mul_(x)
        return y.sum()

    x, z = leaf(T, 0.3, 0.4), leaf(T, 0.3, 0.4)
    checkpoint(f, x).backward()
    f(z).backward()
    np.testing.assert_allclose(nums(x.grad), nums(z.grad))


def test_a_function_that_changes_is_caught(T, checkpoint):
    sizes = [2, 3]

    def f(x):
        return (x * T.ones(sizes.pop(0), dtype=T.float64)).exp().sum()

    x = leaf(T, 1.0)
    y = checkpoint(f, x)
    with pytest.raises(RuntimeError, match="metadata"):
        y.backward()


def exp_doubled(x):
    y = x.exp()
    y.mul_(2)
    return y.sin()


def sigmoid_through_a_view(x):
    y = x.sigmoid()
    y[:2].add_(1)
    return y * y


def softmax_assigned(x):
    y = x.softmax(0)
    y[0] = 3.0
    return y * y


def sorted_scaled(x):
    y, _ = x.sort()
    z = y.exp()
    z *= 2
    return (z * y).sin()


def eigenvectors_shifted(x):
    values, vectors = ad.linalg.eigh(x.diag() + 1)
    vectors += 1
    return values * vectors.sum(0)


@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize(
    "f",
    [
        exp_doubled,
        sigmoid_through_a_view,
        softmax_assigned,
        sorted_scaled,
        eigenvectors_shifted,
    ],
)
def test_a_saved_result_that_the_part_overwrites(f, early_stop):
    x = leaf(ad, 0.5, -0.3, 0.8)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        f(x).sum().backward()
    y = ad.checkpoint(f, x, early_stop=early_stop)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    assert x.grad is None


def test_what_the_part_reads_and_others_overwrite():
    x, factor = leaf(ad, 0.5, 0.7), ad.tensor([1.0, 2.0], dtype=ad.float64)
    y = ad.checkpoint(lambda x: (x + factor).sigmoid(), x)
    factor.zero_()  # sigmoid reads its result alone: without checkpoint no harm
    with pytest.raises(RuntimeError, match="was overwritten in between"):
        y.sum().backward()


def test_a_part_with_a_memory():
    x, calls = leaf(ad, 0.5, 0.7), ad.tensor(0.0, dtype=ad.float64)

    def f(x):
        calls.add_(1)  # of no consequence for the gradient
        return x.exp()

    ad.checkpoint(f, x).sum().backward()
    assert nums(x.grad) == pytest.approx(np.exp([0.5, 0.7]))
    y = ad.checkpoint(lambda x: f(x) * calls, x)
    with pytest.raises(RuntimeError, match="does not do the same each time"):
        y.sum().backward()
    y = ad.checkpoint(lambda x: f(x) * calls, x, determinism_check="none")
    y.sum().backward()


MAKES = [
    lambda x, y: x.exp(),
    lambda x, y: x.sigmoid(),
    lambda x, y: x.softmax(0),
    lambda x, y: x.cumsum(0),
    lambda x, y: x.sort()[0],
    lambda x, y: x[:],
    lambda x, y: x * y,
    lambda x, y: x / (y * y + 1),
]
WRITES = [
    lambda x, y: x.mul_(1.5),
    lambda x, y: x.add_(y),
    lambda x, y: x.mul_(y),
    lambda x, y: x.sigmoid_(),
    lambda x, y: x.__setitem__(0, y[1]),
    lambda x, y: x[:2].mul_(y[:2] * 0.5),
    lambda x, y: x.copy_(y),
]


def go_on(made, r, steps, writable=0):
    """Random operations and writes on what was made; `writable` is the first to be written."""
    for _ in range(steps):
        a, b = (int(i) for i in r.integers(len(made), size=2))
        if r.random() < 0.6:
            made.append(MAKES[r.integers(len(MAKES))](made[a], made[b]))
        elif a >= writable:
            WRITES[r.integers(len(WRITES))](made[a], made[b])


def program(x, seed, checkpoint):
    """A number made of x, by way of a checkpointed part that reads and writes what it likes."""
    r = np.random.default_rng(seed)
    made = [x * 1.0, ad.tensor([0.3, 0.9, -0.4], dtype=ad.float64), x + 0.1]
    go_on(made, r, 4)
    outside, writes_outside = list(made), r.random() < 0.3
    again = int(r.integers(1 << 30))

    def part(z):
        own = [*outside, z, z.exp()]
        go_on(
            own, np.random.default_rng(again), 6, 0 if writes_outside else len(outside)
        )
        return own[-1]

    made.append(checkpoint(part, made[r.integers(len(made))]))
    go_on(made, r, 4)
    return sum((y * (i + 1)).sum() for i, y in enumerate(made))


def slopes(seed, start):
    """The gradient by central differences, without a checkpoint."""
    with ad.no_grad():
        ends = [
            [
                program(start + h * e, seed, lambda f, z: f(z)).item()
                for h in (1e-5, -1e-5)
            ]
            for e in ad.eye(3, dtype=ad.float64)
        ]
    return [(up - down) / 2e-5 for up, down in ends]


@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize("block", range(10))
def test_the_gradient_is_right_or_there_is_an_error(block, early_stop):
    right = 0
    for seed in range(block * 30, block * 30 + 30):
        start = ad.tensor([0.5, -0.3, 0.8], dtype=ad.float64)
        want = slopes(seed, start)
        if not np.isfinite(want).all() or np.abs(want).max() > 1e4:
            continue
        x = start.clone().requires_grad_()
        try:
            program(
                x, seed, lambda f, z: ad.checkpoint(f, z, early_stop=early_stop)
            ).backward()
        except RuntimeError as error:
            assert "modified by an inplace" in str(error) or "checkpoint" in str(error)
            continue
        np.testing.assert_allclose(nums(x.grad), want, rtol=1e-4, atol=1e-5)
        right += 1
    assert right


def test_sequential(T):
    utils = ad if T is ad else pytest.importorskip("torch.utils.checkpoint")
    x, z = leaf(T, 0.3), leaf(T, 0.3)
    fs = [T.sin, T.exp, T.tanh, T.sigmoid, T.cos]
    for n in (1, 2, 3, 5):
        y = utils.checkpoint_sequential(fs, n, x, use_reentrant=False)
        y.backward()
        w = z
        for f in fs:
            w = f(w)
        w.backward()
        assert nums(x.grad) == pytest.approx(nums(z.grad))


def test_what_is_between_is_not_kept():
    ghosts = []

    def f(x):
        for _ in range(5):
            x = x * x.exp()
            ghosts.append(weakref.ref(x))
        return x

    x = leaf(ad, 0.1, 0.2)
    y = ad.checkpoint(f, x)
    assert [g() is None for g in ghosts] == [True] * 4 + [False]
    ghosts.clear()
    z = f(x)
    assert any(g() is not None for g in ghosts[:4])
    (gy,) = ad.autograd.grad(y.sum(), x)
    (gz,) = ad.autograd.grad(z.sum(), x)
    assert nums(gy) == nums(gz)


def test_results_that_operations_save_are_dropped_too():
    kept = []

    def f(x):
        y = x.exp()
        kept.append(weakref.ref(y.numpy(force=True)))
        return y.exp()

    y = ad.checkpoint(f, leaf(ad, 0.1, 0.2))
    assert kept[0]() is None
    y.sum().backward()


def test_under_transforms():
    def f(x):
        return ad.checkpoint(lambda x: (x.exp() * x.sin()).sum(), x)

    def plain(x):
        return (x.exp() * x.sin()).sum()

    x = ad.tensor([[0.3, 0.4], [0.1, 0.9]], dtype=ad.float64)
    for transform in (
        lambda f: grad(f)(x),
        lambda f: grad(lambda x: grad(f)(x).sum())(x),
        lambda f: hessian(f)(x),
        lambda f: vmap(grad(f))(x),
        lambda f: grad(lambda x: vmap(f)(x).sum())(x),
        lambda f: jvp(grad(f), (x,), (x,))[1],
    ):
        np.testing.assert_allclose(nums(transform(f)), nums(transform(plain)))


INSIDE = {
    "grad": lambda ck, w: ck(lambda x: grad(lambda y: (y.sin() ** 2).sum())(x), w),
    "a gradient of what is around": lambda ck, w: ck(
        lambda x: grad(lambda y: ((y * x) ** 2).sum())(x.detach()), w
    ),
    "jacrev": lambda ck, w: ck(lambda x: jacrev(lambda y: y * y.sum())(x).sum(0), w),
    "hessian": lambda ck, w: ck(lambda x: hessian(lambda y: y.exp().prod())(x)[0], w),
    "jvp": lambda ck, w: ck(lambda x: jvp(lambda y: y**3, (x,), (x * x,))[1], w),
    "linearize": lambda ck, w: ck(lambda x: linearize(ad.tanh, x)[1](x), w),
    "rows": lambda ck, w: ck(lambda x: ad.map(grad(lambda y: y.sin() ** 2), x), w),
    "a loop": lambda ck, w: ck(
        lambda x: grad(lambda y: ad.fori_loop(0, 3, lambda i, c: c.sin() * x, y).sum())(
            x
        ),
        w,
    ),
    "a step": lambda ck, w: ad.fori_loop(
        0, 2, lambda i, c: ck(lambda x: grad(lambda y: (y.sin() * x).sum())(x), c), w
    ),
    "a part in a part": lambda ck, w: ck(
        lambda x: grad(lambda y: ck(lambda z: (z * x).sin() * z, y).sum())(x), w
    ),
    "an argument of a level further out": lambda ck, w: grad(
        lambda x: ck(lambda x, w: ((x * w) ** 2).sum(), x, w)
    )(w),
    "rows with an argument from outside": lambda ck, w: ad.map(
        lambda r: grad(lambda y: ck(lambda y, r: (y.var(0) + r) ** 2, y, r[1]).sum())(
            r
        ),
        ad.stack([w, w * w]),
    ).sum(0),
}
SEEN_BY = {
    "grad": lambda f, x: grad(lambda x: (f(x) ** 2).sum())(x),
    "backward": lambda f, x: backward(f, x),
    "hessian": lambda f, x: hessian(lambda x: f(x).sin().sum())(x),
    "vmap": lambda f, x: vmap(grad(lambda x: (f(x) ** 2).sum()))(ad.stack([x, -x])),
}


def backward(f, x):
    x = x.detach().requires_grad_()
    (f(x) ** 2).sum().backward()
    return x.grad


@pytest.mark.parametrize("how", SEEN_BY)
@pytest.mark.parametrize("name", INSIDE)
def test_derivatives_inside_are_differentiated(name, how):
    x = ad.tensor([0.3, -0.7, 1.1], dtype=ad.float64)
    f = functools.partial(INSIDE[name], lambda f, *args: f(*args))
    g = functools.partial(INSIDE[name], ad.checkpoint)
    want = SEEN_BY[how](f, x)
    np.testing.assert_allclose(nums(SEEN_BY[how](g, x)), nums(want), rtol=1e-9)
    compiled = ad.compile(lambda x: SEEN_BY[how](g, x), backend="numpy")
    for _ in range(2):
        got = compiled(x)
    np.testing.assert_allclose(nums(got), nums(want), rtol=1e-9)


def test_arguments_are_checked():
    with pytest.raises(RuntimeError, match="determinism_check"):
        ad.checkpoint(ad.exp, leaf(ad, 1.0), determinism_check="x")
    with pytest.raises(RuntimeError, match="segments"):
        ad.checkpoint_sequential([ad.exp], 2, leaf(ad, 1.0))


# ---------------------------------------------------------------- saved-tensor hooks


def test_hooks_see_inputs_and_results(T):
    seen = []
    hooks = T.autograd.graph.saved_tensors_hooks
    x = leaf(T, 2.0)
    with hooks(
        lambda t: seen.append(nums(t)) or nums(t), lambda v: T.tensor(v).double()
    ):
        y = x.exp() * 3
        z = y.sin()
    assert seen[0] == pytest.approx(np.exp(2)) and seen[-1] == nums(y)
    z.backward()
    assert nums(x.grad) == pytest.approx(np.cos(3 * np.exp(2)) * 3 * np.exp(2))


def test_only_the_innermost_hooks_run(T):
    hooks = T.autograd.graph.saved_tensors_hooks
    x = leaf(T, 2.0)
    with hooks(lambda t: t * 100, lambda t: t), hooks(lambda t: t * 2, lambda t: t):
        y = x * x
    y.backward()
    assert nums(x.grad) == 8.0


def test_hooks_and_second_derivatives(T):
    hooks = T.autograd.graph.saved_tensors_hooks
    x = leaf(T, 2.0)
    with hooks(lambda t: t.detach().clone(), lambda t: t):
        y = x.exp() * x
    (g,) = T.autograd.grad(y, x, create_graph=True)
    (gg,) = T.autograd.grad(g, x)
    assert nums(gg) == pytest.approx(4 * np.exp(2.0))


def test_save_on_cpu(T):
    x = leaf(T, 2.0)
    with T.autograd.graph.save_on_cpu():
        y = (x * x).exp()
    y.backward()
    assert nums(x.grad) == pytest.approx(4 * np.exp(4))


def test_hooks_can_be_disabled(T):
    graph = T.autograd.graph
    with graph.disable_saved_tensors_hooks("no hooks here"):
        leaf(T, 1.0).exp().backward()
        with (
            pytest.raises(RuntimeError, match="no hooks here"),
            graph.saved_tensors_hooks(lambda t: t, lambda t: t),
        ):
            leaf(T, 1.0).exp()
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        leaf(T, 1.0).exp().backward()


def test_backward_through_hooks_frees_the_packed():
    x = leaf(ad, 2.0)
    ghosts = []

    def pack(t):
        copy = t.detach().clone()
        ghosts.append(weakref.ref(copy))
        return copy

    with ad.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = x.exp() * x
    y.backward()
    assert ghosts and not any(g() for g in ghosts)


# ---------------------------------------------------------------- compiled functions in a part


def norm_of_all(w):
    return w.norm() * w * w.exp().sum()


def in_parts(f, w):
    """f checkpointed, twice in one part, in a part in a part, and for constants beside."""
    twice = lambda w: f(w) + f(f(w).sin())  # noqa: E731
    nested = lambda w: ad.checkpoint(f, w * 2) * f(w.detach() + 1) * w  # noqa: E731
    return [ad.checkpoint(g, w).sum() for g in (f, twice, nested)]


@pytest.mark.parametrize("calls", [0, 1, 2])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_compiled_function_runs_in_the_same_way_again(calls, first):
    """Its first call is as it is written; so it is when the part of that call runs again."""
    w = ad.tensor([0.1, 0.7, 1.3], requires_grad=True)
    want = [ad.autograd.grad(y, w)[0] for y in in_parts(norm_of_all, w)]
    f = ad.compile(lambda w: norm_of_all(w))
    for _ in range(calls):
        f(w.detach())
    for _ in range(3):
        parts = in_parts(f, w)
        parts = parts[first:] + parts[:first]
        for k, y in enumerate(parts):
            f(w.detach())  # has its quick way ready, if it has one
            (g,) = ad.autograd.grad(y, w)
            close = pytest.approx(nums(want[(first + k) % 3]), rel=1e-4)
            assert nums(g) == close


def test_a_part_in_a_part_calls_a_compiled_function_first():
    f = ad.compile(lambda w: norm_of_all(w))
    w = ad.tensor([0.1, 0.7, 1.3], requires_grad=True)
    inner = lambda w: ad.checkpoint(f, w.sin()).exp()  # noqa: E731
    y = ad.checkpoint(lambda w: ad.checkpoint(inner, w * 2) * f(w), w).sum()
    f(w.detach())
    (g,) = ad.autograd.grad(y, w)
    h = lambda w: (norm_of_all((w * 2).sin()).exp() * norm_of_all(w)).sum()  # noqa: E731
    assert nums(g) == pytest.approx(nums(grad(h)(w.detach())), rel=1e-4)


def test_hooks_around_a_call_see_no_values_of_the_program():
    f, seen = ad.compile(norm_of_all), []
    w = ad.tensor([0.1, 0.7, 1.3], requires_grad=True)
    for _ in range(3):
        seen.append([])
        pack = lambda t: seen[-1].append(t.detach().numpy().copy()) or t  # noqa: E731
        with ad.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            f(w)
    assert len(seen[1]) == len(seen[2]) and all(seen)
