"""PyTorch's rules of recording and of the reverse sweep.

Each test takes `T`, the library: it runs once with adjoint and, where it is installed, once
with PyTorch, so what is asserted here is what PyTorch does.
"""

import asyncio
import copy
import gc
import importlib
import pickle
import threading
import weakref

import numpy as np
import pytest

import adjoint as ad


@pytest.fixture(params=["adjoint", "torch"])
def T(request):
    return pytest.importorskip(request.param)


def leaf(T, *data, dtype="float64"):
    data = data[0] if len(data) == 1 else list(data)
    return T.tensor(data, dtype=getattr(T, dtype), requires_grad=True)


def nums(x):
    return None if x is None else x.detach().numpy().tolist()


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# ---------------------------------------------------------------- backward and grad


def test_gradients_accumulate(T):
    x = leaf(T, 1.0, 2.0)
    (x * x).sum().backward()
    first = x.grad
    (x * x).sum().backward()
    assert nums(x.grad) == [4.0, 8.0]
    assert x.grad is first, "accumulation is in place"


def test_the_first_gradient_is_not_the_memory_of_anything_else(T):
    x, y = leaf(T, 1.0), leaf(T, 2.0)
    seed = T.tensor(3.0, dtype=T.float64)
    (x + y).backward(seed)
    x.grad.add_(1)
    assert (nums(y.grad), nums(seed)) == (3.0, 3.0)


def test_unaffected_leaves_have_none(T):
    x, y = leaf(T, 1.0), leaf(T, 1.0)
    (x * 2).backward()
    assert y.grad is None
    with pytest.raises(RuntimeError, match=r"(?i)used"):
        T.autograd.grad(x * 2, y)
    assert T.autograd.grad(x * 2, [x, y], allow_unused=True)[1] is None
    gx, gy = T.autograd.grad(x * 2, [x, y], materialize_grads=True)
    assert (nums(gx), nums(gy)) == (2.0, 0.0)


def test_materialize_contradicts_not_allowing_unused(T):
    x = leaf(T, 1.0)
    with pytest.raises((RuntimeError, ValueError)):
        T.autograd.grad(x * 2, x, allow_unused=False, materialize_grads=True)


def test_only_scalars_have_an_implicit_seed(T):
    x = leaf(T, 1.0, 2.0)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x * 2).backward()
    (x * 2)[:1].backward()
    assert nums(x.grad) == [2.0, 0.0]


def test_a_seed_must_have_the_shape_of_its_output(T):
    x = leaf(T, 1.0, 2.0)
    with pytest.raises(RuntimeError, match="shape"):
        (x * 2).backward(T.ones(3, dtype=T.float64))


def test_what_does_not_require_grad_has_no_backward(T):
    with pytest.raises(RuntimeError, match="does not require grad"):
        T.tensor(1.0).backward()
    with pytest.raises(RuntimeError):
        T.autograd.grad(leaf(T, 1.0) * 2, T.tensor(1.0))


def test_backward_of_a_leaf_itself(T):
    x = leaf(T, 3.0)
    x.backward()
    assert nums(x.grad) == 1.0
    assert nums(T.autograd.grad(x, x)[0]) == 1.0


def test_second_backward_needs_retain_graph(T):
    x = leaf(T, 2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert nums(x.grad) == 8.0
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_grad_frees_the_graph_too(T):
    x = leaf(T, 2.0)
    y = x.exp()
    T.autograd.grad(y, x)
    with pytest.raises(RuntimeError, match="second time"):
        T.autograd.grad(y, x)


def test_a_sum_can_be_swept_twice_since_it_saves_nothing(T):
    x = leaf(T, 1.0, 2.0)
    y = x.sum() + 1
    y.backward()
    y.backward()
    assert nums(x.grad) == [2.0, 2.0]


def test_create_graph(T):
    x = leaf(T, 2.0)
    (g,) = T.autograd.grad(x**3, x, create_graph=True)
    assert g.requires_grad
    (gg,) = T.autograd.grad(g, x, create_graph=True)
    (ggg,) = T.autograd.grad(gg, x)
    assert (nums(g), nums(gg), nums(ggg)) == (12.0, 12.0, 6.0)
    assert not ggg.requires_grad


@pytest.mark.filterwarnings("ignore:Using backward")
def test_create_graph_in_backward_makes_grad_part_of_the_graph(T):
    x = leaf(T, 2.0)
    (x**3).backward(create_graph=True)
    g = x.grad
    assert g.requires_grad
    x.grad = None
    g.backward()
    assert nums(x.grad) == 12.0
    x.grad = None


def test_gradients_with_respect_to_results(T):
    x = leaf(T, 2.0)
    y = x * 3
    z = y * y
    assert [nums(g) for g in T.autograd.grad(z, [y, x])] == [12.0, 36.0]


def test_several_outputs_share_a_sweep(T):
    x = leaf(T, 2.0)
    y, z = x * 3, x * x
    (g,) = T.autograd.grad([y, z], x, grad_outputs=[None, T.tensor(10.0).double()])
    assert nums(g) == 43.0
    T.autograd.backward([x * 1, x * 2], [T.tensor(1.0).double()] * 2)
    assert nums(x.grad) == 3.0


def test_the_same_input_twice(T):
    x = leaf(T, 2.0)
    assert [nums(g) for g in T.autograd.grad(x * x, [x, x])] == [4.0, 4.0]


def test_inputs_limits_where_gradients_arrive(T):
    x, y = leaf(T, 2.0), leaf(T, 3.0)
    (x * y).backward(inputs=[x])
    assert (nums(x.grad), y.grad) == (3.0, None)
    with pytest.raises(RuntimeError, match="empty"):
        (x * y).backward(inputs=[])


def test_inputs_may_be_results(T):
    x = leaf(T, 2.0)
    y = x * 3
    y.retain_grad()
    (y * y).backward(inputs=[y])
    assert (nums(y.grad), x.grad) == (12.0, None)


def test_batched_gradients(T):
    x = leaf(T, 1.0, 2.0, 3.0)
    y = x * x
    (rows,) = T.autograd.grad(y, x, T.eye(3, dtype=T.float64), is_grads_batched=True)
    assert nums(rows) == np.diag([2.0, 4.0, 6.0]).tolist()


def test_batched_gradients_through_hooks(T):
    x = leaf(T, 1.0, 2.0)
    y = x * x
    y.register_hook(lambda g: g * 10)
    seeds = T.eye(2, dtype=T.float64)
    (rows,) = T.autograd.grad(y, x, seeds, is_grads_batched=True, create_graph=True)
    assert nums(rows) == [[20.0, 0.0], [0.0, 40.0]]
    (g,) = T.autograd.grad(rows.sum(), x)
    assert nums(g) == [20.0, 20.0]


def test_gradient_has_the_dtype_of_its_leaf(T):
    x = leaf(T, 1.0, dtype="float32")
    (x * T.tensor([1.0, 2.0], dtype=T.float64)).sum().backward()
    assert x.grad.dtype == T.float32


def test_grad_of_the_right_kind_only(T):
    x = leaf(T, 1.0, 2.0)
    with pytest.raises(RuntimeError):
        x.grad = T.zeros(3, dtype=T.float64)
    with pytest.raises(RuntimeError):
        x.grad = T.zeros(2, dtype=T.float32)
    with pytest.raises(TypeError):
        x.grad = 1.0
    x.grad = T.ones(2, dtype=T.float64)
    (x * 2).sum().backward()
    assert nums(x.grad) == [3.0, 3.0]
    x.grad = None
    assert x.grad is None


def test_integers_cannot_require_grad(T):
    with pytest.raises(RuntimeError, match=r"(?i)floating point"):
        T.tensor([1, 2], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"(?i)floating point"):
        T.tensor([1, 2]).requires_grad_()


def test_requires_grad_of_a_result_cannot_be_taken_back(T):
    y = leaf(T, 1.0) * 2
    with pytest.raises(RuntimeError, match="leaf variables"):
        y.requires_grad = False


def test_a_leaf_that_was_frozen_since_takes_no_gradient(T):
    w, x = leaf(T, 3.0), leaf(T, 2.0)
    y = w * x
    w.requires_grad_(False)
    y.backward()
    assert w.grad is None and float(x.grad) == 3.0
    z = leaf(T, 4.0)
    y = z * x
    z.requires_grad_(False).requires_grad_()
    y.backward()
    assert float(z.grad) == 2.0


# ---------------------------------------------------------------- hooks


def test_tensor_hooks_run_in_order_and_replace(T):
    x = leaf(T, 2.0)
    seen = []
    x.register_hook(lambda g: seen.append(nums(g)))
    x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: seen.append(nums(g)))
    (x * 3).backward()
    assert seen == [3.0, 30.0]
    assert nums(x.grad) == 30.0


def test_a_removed_hook_is_silent(T):
    x = leaf(T, 2.0)
    handle = x.register_hook(lambda g: g * 10)
    handle.remove()
    handle.remove()
    (x * 3).backward()
    assert nums(x.grad) == 3.0


def test_what_a_hook_returns_is_checked(T):
    for wrong, kind in ((1.0, TypeError), (T.ones(1), RuntimeError)):
        x = leaf(T, 2.0)
        x.register_hook(lambda g, wrong=wrong: wrong)
        with pytest.raises(kind, match="hook"):
            (x * 3).backward()
    x = leaf(T, 2.0)
    x.register_hook(lambda g: T.ones(3, dtype=T.float64))
    with pytest.raises(RuntimeError, match="size of value"):
        (x * 3).backward()


def test_grad_needs_inputs(T):
    with pytest.raises(RuntimeError, match="empty"):
        T.autograd.grad(leaf(T, 2.0) * 2, [])


def test_names_of_nodes(T):
    x = leaf(T, 1.0, 2.0)
    made = [x + 1, x * x, x.exp(), x.sum(), x[0], x**2, x.clone(), x.view(2, 1), -x]
    names = ["Add", "Mul", "Exp", "Sum", "Select", "Pow", "Clone", "View", "Neg"]
    assert [y.grad_fn.name() for y in made] == [f"{n}Backward0" for n in names]


def test_hook_of_a_result_sees_the_whole_gradient(T):
    x = leaf(T, 2.0)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(nums(g)))
    (y * 3 + y * 4).backward()
    assert seen == [7.0]


def test_hook_may_change_what_flows_on(T):
    x = leaf(T, 2.0)
    y = x * 2
    y.register_hook(lambda g: g * 0)
    (y * 3).backward()
    assert nums(x.grad) == 0.0


def test_hooks_run_in_autograd_grad(T):
    x = leaf(T, 2.0)
    x.register_hook(lambda g: g * 5)
    assert nums(T.autograd.grad(x * 3, x)[0]) == 15.0


def test_no_hook_without_grad(T):
    with pytest.raises(RuntimeError, match="doesn't require grad"):
        T.tensor(1.0).register_hook(lambda g: g)


def test_node_hooks(T):
    x = leaf(T, 2.0)
    y = x * x
    seen = []
    y.grad_fn.register_hook(
        lambda gx, gy: seen.append(([nums(g) for g in gx], [nums(g) for g in gy]))
    )
    y.grad_fn.register_prehook(lambda gy: (gy[0] * 2,))
    y.backward()
    assert nums(x.grad) == 8.0
    assert seen == [([4.0, 4.0], [2.0])]


def test_node_hook_may_replace_input_gradients(T):
    x, y = leaf(T, 2.0), leaf(T, 5.0)
    z = x * y
    z.grad_fn.register_hook(lambda gx, gy: (gx[0] * 100, gx[1]))
    z.backward()
    assert (nums(x.grad), nums(y.grad)) == (500.0, 2.0)


def test_post_accumulate_hook(T):
    x = leaf(T, 2.0)
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append(nums(t.grad)))
    (x * 3).backward()
    (x * 3).backward()
    handle.remove()
    (x * 3).backward()
    assert seen == [3.0, 6.0]
    with pytest.raises(RuntimeError, match="non-leaf"):
        (x * 2).register_post_accumulate_grad_hook(print)


def test_post_accumulate_hook_may_step_and_clear(T):
    x = leaf(T, 2.0)

    def step(t):
        with T.no_grad():
            t -= t.grad
        t.grad = None

    x.register_post_accumulate_grad_hook(step)
    (x * 0.5).backward()
    assert (nums(x), x.grad) == (1.5, None)


def test_retain_grad(T):
    x = leaf(T, 2.0)
    y = x * 3
    y.retain_grad()
    y.retain_grad()
    (y * y).backward()
    assert nums(y.grad) == 12.0
    assert y.retains_grad
    with pytest.raises(RuntimeError):
        T.tensor(1.0).retain_grad()


def test_retained_grad_comes_after_the_hooks_of_the_tensor(T):
    x = leaf(T, 2.0)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.sum().backward()
    assert nums(y.grad) == 2.0


def test_hook_with_create_graph_is_differentiated(T):
    x = leaf(T, 2.0)
    y = x * x
    y.register_hook(lambda g: g * x)
    (g,) = T.autograd.grad(y, x, create_graph=True)
    assert nums(T.autograd.grad(g, x)[0]) == 8.0


# ---------------------------------------------------------------- modes


def test_no_grad(T):
    x = leaf(T, 2.0)
    with T.no_grad():
        y = x * 2
        assert not T.is_grad_enabled()
        with T.enable_grad():
            z = x * 2
    assert (y.requires_grad, z.requires_grad) == (False, True)
    assert T.is_grad_enabled()


def test_modes_decorate(T):
    x = leaf(T, 2.0)

    @T.no_grad()
    def f():
        return x * 2

    @T.no_grad
    def g():
        return x * 2

    @T.set_grad_enabled(False)
    def h():
        return x * 2

    assert T.is_grad_enabled()
    assert not any(k().requires_grad for k in (f, g, h))


def test_modes_decorate_generators(T):
    @T.no_grad()
    def numbers():
        for i in range(3):
            assert not T.is_grad_enabled()
            yield i

    got = []
    for i in numbers():
        assert T.is_grad_enabled()
        got.append(i)
    assert got == [0, 1, 2]


def test_generators_in_a_mode_take_what_is_sent_and_thrown(T):
    @T.no_grad()
    def echo():
        got = yield 0
        try:
            yield got
        except KeyError:
            assert not T.is_grad_enabled()
            yield "caught"

    e = echo()
    assert next(e) == 0
    assert e.send(5) == 5
    assert e.throw(KeyError()) == "caught"


def test_modes_decorate_classes_of_recursion(T):
    @T.no_grad()
    def down(n):
        assert not T.is_grad_enabled()
        return 0 if n == 0 else down(n - 1)

    down(3)
    assert T.is_grad_enabled()


def test_set_grad_enabled_is_a_function_and_a_context(T):
    T.set_grad_enabled(False)
    assert not T.is_grad_enabled()
    T.set_grad_enabled(True)
    with T.set_grad_enabled(False):
        assert not T.is_grad_enabled()
    assert T.is_grad_enabled()


def test_a_mode_ends_with_its_block_even_by_exception(T):
    with pytest.raises(ZeroDivisionError), T.no_grad():
        1 / 0  # noqa: B018
    assert T.is_grad_enabled()


def test_in_place_under_no_grad_keeps_the_leaf(T):
    x = leaf(T, 2.0)
    with T.no_grad():
        x += 1
    assert x.is_leaf and x.requires_grad and nums(x) == 3.0


def test_inference_tensors(T):
    x = leaf(T, 2.0)
    with T.inference_mode():
        assert T.is_inference_mode_enabled()
        y = x * 2
        y += 1
    assert y.is_inference() and not y.requires_grad
    assert not x.is_inference()
    with pytest.raises(RuntimeError, match=r"(?i)inference"):
        x * y
    with pytest.raises(RuntimeError, match=r"(?i)inference"):
        y += 1
    with pytest.raises(RuntimeError, match=r"(?i)inference"):
        y.requires_grad_()
    z = y.clone()
    assert (x * z).requires_grad
    with T.inference_mode(False):
        assert (x * 2).requires_grad


def test_the_mode_of_backward_is_not_that_of_the_caller(T):
    x = leaf(T, 2.0)
    y = x * x
    with T.no_grad():
        y.backward()
    assert nums(x.grad) == 4.0


# ---------------------------------------------------------------- detach, data, leaves


def test_detach_shares_memory_and_version(T):
    x = leaf(T, 2.0)
    y = x * 2
    z = y * y
    d = y.detach()
    assert not d.requires_grad and d.grad_fn is None
    d += 1
    assert nums(y) == 5.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_data_shares_memory_but_no_version(T):
    x = leaf(T, 2.0)
    y = x * x
    x.data.mul_(10)
    assert nums(x) == 20.0
    y.backward()  # silently wrong, as PyTorch documents
    assert nums(x.grad) == 40.0


def test_data_can_be_set(T):
    x = leaf(T, 1.0, 2.0)
    x.data = T.tensor([5.0], dtype=T.float64)
    assert nums(x) == [5.0] and x.requires_grad and x.is_leaf


def test_detach_in_place(T):
    x = leaf(T, 2.0)
    y = x * 2
    y.detach_()
    assert not y.requires_grad and y.is_leaf


def test_no_in_place_on_a_leaf(T):
    x = leaf(T, 2.0)
    for write in (
        lambda: x.add_(1),
        lambda: x.__setitem__((), 1.0),
        lambda: x.zero_(),
        lambda: x.view(-1).mul_(2),
        lambda: x.__imul__(2),
    ):
        with pytest.raises(RuntimeError, match="leaf Variable"):
            write()


def test_leaves_and_results(T):
    x = leaf(T, 2.0)
    y = x * 2
    assert x.is_leaf and not y.is_leaf and T.tensor(1.0).is_leaf
    assert x.grad_fn is None and y.grad_fn is not None
    assert x.output_nr == y.output_nr == 0
    assert y.grad_fn.next_functions[0][0].variable is x
    assert (
        type(y.grad_fn).__name__ == "MulBackward0" or y.grad_fn.name() == "MulBackward0"
    )


def test_copies_of_leaves(T):
    import copy

    x = leaf(T, 2.0)
    (x * 3).backward()
    y = copy.deepcopy(x)
    assert y.requires_grad and y.is_leaf and nums(y.grad) == 3.0 and y is not x
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(x * 2)


# ---------------------------------------------------------------- versions


def test_overwriting_a_saved_value_is_an_error(T):
    x = leaf(T, 2.0)
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_overwriting_a_saved_result_is_an_error(T):
    x = leaf(T, 2.0)
    y = x.exp()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_overwriting_what_nobody_saved_is_fine(T):
    x = leaf(T, 2.0)
    y = x * 3
    y.add_(1)
    y.mul_(5)
    y.backward()
    assert (nums(y), nums(x.grad)) == (35.0, 15.0)


def test_overwriting_through_a_view_is_seen(T):
    x = leaf(T, 1.0, 2.0)
    y = x * 1
    z = (y * y).sum()
    y[0].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_overwriting_the_base_spoils_a_saved_view(T):
    x = leaf(T, 1.0, 2.0)
    y = x * 1
    z = y[:1].exp() * y[:1]
    y.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_version_counts(T):
    x = T.zeros(3)
    assert x._version == 0
    x.add_(1)
    view = x[:2]
    view.mul_(2)
    assert x._version == view._version == 2


def test_the_version_error_names_both_lines():
    x = leaf(ad, 2.0)
    y = x * 1
    z = y * y  # the saving line
    y.add_(1)  # the overwriting line
    with pytest.raises(RuntimeError) as caught:
        z.backward()
    text = str(caught.value)
    assert "the saving line" in text and "the overwriting line" in text


# ---------------------------------------------------------------- views


def both(T, x, f):
    """Value and gradient of f at x, written with in-place operations."""
    x = T.tensor(x, dtype=T.float64, requires_grad=True)
    y = f(T, x.clone(), x)
    weights = T.arange(1, y.numel() + 1, dtype=T.float64).reshape(y.shape)
    (y * weights).sum().backward()
    return nums(y), nums(x.grad)


def write_row(T, y, x):
    y[0] = x[1] * 2
    return y


def write_twice(T, y, x):
    y[0].mul_(2)
    y[0].mul_(3)
    return y


def read_view_after_base_write(T, y, x):
    v = y[0]
    y.mul_(x)
    return v * v


def read_base_after_view_write(T, y, x):
    v = y[:, 1]
    v.mul_(x[:, 0])
    return y * y


def sibling_views(T, y, x):
    a, b = y[0], y[:, 0]
    a.mul_(10)
    b.add_(x[:, 1])
    return a * b.sum()


def view_of_view(T, y, x):
    v = y[1:][0]
    w = v[::2]
    w.mul_(w.clone())
    return y + v.sum()


def transposed(T, y, x):
    y.t()[0].copy_(x[:, 1].exp())
    return y


def reshaped(T, y, x):
    flat = y.view(-1)
    flat[1:4] *= 3
    return y * flat.sum()


def narrow_and_fill(T, y, x):
    y.narrow(1, 0, 2).fill_(0)
    return y * x


def expand_read(T, y, x):
    row = y[:1].expand(2, 3)
    y[0].mul_(2)
    return row * x


def overwrite_all(T, y, x):
    y.copy_(x * x)
    return y


def zeroed(T, y, x):
    v = y.view(3, 2)
    y.zero_()
    return v + x.sum()


def constant_base(T, y, x):
    out = T.zeros(2, 3, dtype=T.float64)
    for i in range(2):
        out[i] = x[i] * (i + 1)
    return out


def constant_base_view_first(T, y, x):
    out = T.zeros(2, 3, dtype=T.float64)
    v = out[1]
    out.add_(x)
    return v * v


def swapped_rows(T, y, x):
    top = y[0].clone()
    y[0] = y[1]
    y[1] = top * 2
    return y


def chained(T, y, x):
    y.add_(1).mul_(2).exp_()
    return y


def augmented(T, y, x):
    y += x
    y *= x
    y -= 3
    y /= x
    return y


def unbound(T, y, x):
    a = y.unsqueeze(0).squeeze(0)
    a[0, 0] = x[1, 1] ** 2
    return y + a


def detached_part(T, y, x):
    y[0] = x[0].detach()
    return y * x


PATTERNS = [
    write_row,
    write_twice,
    read_view_after_base_write,
    read_base_after_view_write,
    sibling_views,
    view_of_view,
    transposed,
    reshaped,
    narrow_and_fill,
    expand_read,
    overwrite_all,
    zeroed,
    constant_base,
    constant_base_view_first,
    swapped_rows,
    chained,
    augmented,
    unbound,
    detached_part,
]


@pytest.mark.parametrize("f", PATTERNS, ids=lambda f: f.__name__)
def test_in_place_patterns(f):
    torch = pytest.importorskip("torch")
    x = [[0.3, 0.7, 1.1], [0.5, 0.2, 0.9]]
    got, want = both(ad, x, f), both(torch, x, f)
    np.testing.assert_allclose(got[0], want[0])
    np.testing.assert_allclose(got[1], want[1])


@pytest.mark.parametrize("f", PATTERNS, ids=lambda f: f.__name__)
def test_in_place_patterns_by_slopes(f):
    def g(x):
        y = f(ad, x.clone(), x)
        return (y * ad.arange(1, y.numel() + 1).reshape(y.shape)).sum()

    x = leaf(ad, [[0.3, 0.7, 1.1], [0.5, 0.2, 0.9]])
    if f is detached_part:
        pytest.skip("detach is not the slope of anything")
    assert ad.gradcheck(g, (x,), check_forward_ad=True)


def test_views_share_memory_and_base(T):
    x = T.zeros(2, 3)
    v = x[0][1:]
    assert v._base is x
    v[0] = 5.0
    assert nums(x) == [[0, 5, 0], [0, 0, 0]]


def test_an_expanded_tensor_is_not_written(T):
    with pytest.raises(RuntimeError):
        T.zeros(1).expand(3).add_(1)


def test_in_place_result_must_fit(T):
    with pytest.raises(RuntimeError):
        T.zeros(2).add_(T.zeros(3, 2))
    with pytest.raises(RuntimeError, match="can't be cast"):
        T.zeros(2, dtype=T.int64).add_(0.5)


# ---------------------------------------------------------------- anomaly mode


def test_anomaly_names_the_forward_line():
    x = leaf(ad, 0.0)
    with ad.autograd.detect_anomaly():
        y = (x * 0) / (x * 0)  # the culprit
        with pytest.raises(RuntimeError, match="the culprit"):
            y.backward()


def test_anomaly_mode_is_a_switch(T):
    assert not T.is_anomaly_enabled()
    x = leaf(T, 0.0)
    with (
        T.autograd.set_detect_anomaly(True),
        pytest.raises(RuntimeError, match=r"(?i)nan"),
    ):
        ((x * 0) / (x * 0)).backward()
    with T.autograd.set_detect_anomaly(True, check_nan=False):
        ((x * 0) / (x * 0)).backward()
    assert not T.is_anomaly_enabled()


# ---------------------------------------------------------------- what PyTorch does besides


def test_integers_made_of_floats_are_constants(T):
    x = leaf(T, 2.5, 3.5)
    n = x.long()
    assert not n.requires_grad
    assert n.is_leaf
    assert (x * 2).bool().grad_fn is None
    (n.double() * x).sum().backward()
    assert nums(x.grad) == [2.0, 3.0]


@pytest.mark.filterwarnings("ignore")
def test_tangents_of_integers_are_zero(T):
    def f(x):
        return x.long(), x.long().to(T.float64) * x

    x = T.tensor([2.5], dtype=T.float64)
    _, (moved, dy) = T.func.jvp(f, (x,), (T.ones_like(x),))
    assert nums(moved) == [0]
    assert nums(dy) == [2.0]


@pytest.mark.parametrize("write", ["copy_", "ellipsis", "view"])
def test_a_copy_has_a_place_of_its_own(T, write):
    x, seen = leaf(T, 1.0, 2.0, 3.0), []
    y = T.empty(3, dtype=T.float64)
    part = y.view(3) if write == "view" else y
    if write == "ellipsis":
        y[...] = x
    else:
        part.copy_(x)
    assert not part.is_leaf
    assert not y.is_leaf
    part.register_hook(lambda g: seen.append(nums(g)))
    part[x > 2] = 0
    (part * 2).sum().backward()
    assert nums(x.grad) == [2, 2, 0]
    z = x * 1
    y = T.empty(3, dtype=T.float64)
    y.copy_(z)
    y.retain_grad()
    (y * 3).sum().backward()
    assert nums(y.grad) == [3, 3, 3]
    assert z.grad_fn is not y.grad_fn


def test_a_copy_inside_a_transform_can_be_written():
    def f(x):
        y = ad.empty(2)
        y.copy_(x)
        y[0] = 5
        return (y * x).sum()

    assert nums(ad.func.grad(f)(ad.tensor([1.0, 2.0]))) == [5, 4]


def test_a_retained_gradient_follows_writes(T):
    x = leaf(T, 1.0, 2.0, 3.0)
    y = x * 2
    y.retain_grad()
    assert y.retains_grad
    y.mul_(3)
    (y * y).sum().backward()
    assert nums(y.grad) == [12, 24, 36]
    assert nums(x.grad) == [72, 144, 216]


@pytest.mark.parametrize("write", ["view", "base"])
def test_a_retained_gradient_of_a_view_follows_writes(T, write):
    x = leaf(T, 1.0, 2.0, 3.0)
    y = x * 2
    v = y[1:]
    v.retain_grad()
    (v if write == "view" else y).mul_(3)
    (v * v).sum().backward()
    assert nums(v.grad) == [24, 36]
    assert nums(x.grad) == [0, 144, 216]


def test_hooks_of_before_a_write_see_what_was_before(T):
    x, seen = leaf(T, 1.0), []
    y = x.clone()
    y.register_hook(lambda g: seen.append(nums(g)))
    y.mul_(2)
    y.register_hook(lambda g: seen.append(nums(g)))
    (y * 5).backward()
    assert seen == [5, 10]


def test_order_of_all_hooks(T):
    seen, x = [], leaf(T, 1.0, 1.0)
    x.register_hook(lambda g: seen.append("leaf 1"))
    x.register_hook(lambda g: seen.append("leaf 2"))
    x.register_post_accumulate_grad_hook(lambda p: seen.append("arrived"))
    y = x * 2
    y.register_hook(lambda g: seen.append("result 1"))
    y.grad_fn.register_hook(lambda gi, go: seen.append("node"))
    y.grad_fn.register_prehook(lambda go: seen.append("before node"))
    y.register_hook(lambda g: seen.append("result 2"))
    y.sum().backward()
    order = "result 1", "result 2", "before node", "node", "leaf 1", "leaf 2", "arrived"
    assert tuple(seen) == order


def test_a_prehook_of_a_node_comes_after_the_gradient_is_kept(T):
    x = leaf(T, 1.0)
    y = x * 1
    y.retain_grad()
    y.grad_fn.register_prehook(lambda gs: (gs[0] * 10,))
    z = y * 1
    assert nums(T.autograd.grad(z, y, retain_graph=True)[0]) == 1
    y.grad = None
    z.backward()
    assert nums(y.grad) == 1
    assert nums(x.grad) == 10


def test_hooks_of_the_node_of_a_leaf(T):
    x, seen = leaf(T, 1.0), []
    y = x * 2
    node = y.grad_fn.next_functions[0][0]
    node.register_prehook(lambda gs: (gs[0] * 10,))
    node.register_hook(lambda gi, go: seen.append((len(gi), nums(go[0]))))
    y.backward()
    assert nums(x.grad) == 20
    assert seen == [(0, 20)]


@pytest.mark.filterwarnings("ignore:Using backward")
def test_a_gradient_with_a_graph_can_be_added_to(T):
    x = leaf(T, 1.0, 1.0)
    x.sum().backward(create_graph=True)
    g = x.grad
    x.sum().backward()
    assert nums(g) == [2, 2] == nums(x.grad)


def test_gradients_lie_in_memory_as_their_leaves(T):
    x = leaf(T, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    y = T.arange(6.0).reshape(3, 2)
    (x.t() * y).sum().backward()
    assert x.grad.stride() == (3, 1)
    z = leaf(T, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).detach().t().requires_grad_()
    (z * y).sum().backward()
    assert z.grad.stride() == (1, 3)


def test_no_tensor_is_its_own_gradient(T):
    x = leaf(T, 1.0)
    with pytest.raises(RuntimeError, match="own grad"):
        x.grad = x


@pytest.mark.parametrize("n", [1, 2, 4])
def test_powers_differentiate_down_to_zero(T, n):
    x = leaf(T, 2.0)
    y = x**n
    for _ in range(n + 1):
        (y,) = T.autograd.grad(y, x, create_graph=True)
    assert nums(y) == 0


def test_views_in_inference_mode(T):
    x = T.ones(3)
    with T.inference_mode():
        v = x[1:]
        assert not v.is_inference()
        assert not x.t().is_inference()
        assert (x + 1).is_inference()
        assert (x + 1)[1:].is_inference()


def test_nothing_is_recorded_in_inference_mode(T):
    x = leaf(T, 1.0)
    with T.inference_mode(), T.enable_grad():
        assert not (x * 2).requires_grad
    with T.inference_mode(), T.set_grad_enabled(True):
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_what_nodes_keep(T):
    x = leaf(T, 2.0)
    y = x * x
    assert y.grad_fn._saved_self is x or nums(y.grad_fn._saved_self) == 2
    assert nums(y.grad_fn._saved_other) == 2
    z = x.exp()
    assert nums(z.grad_fn._saved_result) == nums(z)
    z.grad_fn.metadata["note"] = 1
    assert z.grad_fn.metadata == {"note": 1}


def test_outputs_of_one_operation_have_one_node(T):
    x = leaf(T, [[1.0, 2.0], [3.0, 4.0]])
    values, _ = T.linalg.eigh(x + x.t())
    q, r = T.linalg.qr(x)
    assert q.grad_fn is r.grad_fn
    assert (q.output_nr, r.output_nr) == (0, 1)
    assert (r * 2).grad_fn.next_functions[0] == (r.grad_fn, 1)
    assert values.output_nr == 0


def test_edges(T):
    x = leaf(T, 2.0)
    y = x * 3
    z = y * y
    edge = T.autograd.graph.get_gradient_edge
    assert nums(T.autograd.grad(z, edge(y), retain_graph=True)[0]) == 12
    assert nums(T.autograd.grad(z, (edge(x),), retain_graph=True)[0]) == 36
    z.backward(inputs=(edge(x),))
    assert nums(x.grad) == 36
    with pytest.raises(RuntimeError):
        edge(T.ones(2))


def test_a_hook_on_several_gradients(T):
    x = leaf(T, 1.0)
    y, z, seen = x * 2, x * 3, []
    hook = T.autograd.graph.register_multi_grad_hook
    handle = hook((x, y, z), lambda gs: seen.append([nums(g) for g in gs]))
    for result in y * 1, z * 1, y * z:
        result.backward(retain_graph=True)
    assert seen == [[2, 1, None], [3, None, 1], [12, 3, 2]]
    handle.remove()
    y.backward()
    assert len(seen) == 3


def test_a_hook_on_the_first_of_several_gradients(T):
    x, seen = leaf(T, 1.0), []
    y = x * 2
    hook = T.autograd.graph.register_multi_grad_hook
    with hook((x, y), lambda g: seen.append(nums(g)), mode="any"):
        y.backward(retain_graph=True)
    assert seen == [1]


def test_saved_values_may_be_overwritten_on_demand(T):
    x = leaf(T, 1.0, 2.0)
    y = x * 1
    with T.autograd.graph.allow_mutation_on_saved_tensors():
        z = y * y
        y.zero_()
        z.sum().backward()
    assert nums(x.grad) == [2, 4]


# ---------------------------------------------------------------- NumPy and copies


@pytest.mark.filterwarnings("ignore:__array_wrap__")
def test_functions_of_numpy_take_tensors(T):
    x = T.tensor([0.0, 1.0])
    assert isinstance(np.exp(x), T.Tensor)
    assert np.allclose(nums(np.exp(x)), np.exp([0.0, 1.0]))
    assert nums(np.maximum(x, np.array([1.0, 0.0]))) == [1, 1]
    assert nums(np.add.reduce(x)) == 1
    assert nums(np.cbrt(x)) == [0, 1]
    assert nums(np.float64(2.0) * x) == [0, 2] == nums(x * np.float64(2.0))
    assert nums(T.eye(2, dtype=T.float64) @ np.ones((2, 2))) == [[1, 1], [1, 1]]


def test_functions_of_numpy_are_recorded():
    x = leaf(ad, 0.0, 1.0)
    y = np.ones(2) * np.exp(x) + np.power(x, 2)
    y.sum().backward()
    assert np.allclose(nums(x.grad), [1, np.e + 2])
    (jac,) = ad.func.jacrev(lambda x: (np.sin(x),))(ad.tensor([0.0]))
    assert nums(jac) == [[1]]
    with pytest.raises(RuntimeError, match="requires grad"):
        np.cbrt(x)


def test_numpy_writes_into_its_own_array():
    a = np.zeros(2)
    b = a
    a += ad.ones(2)
    assert b is a
    assert a.tolist() == [1, 1]


def test_a_shallow_copy_shares_memory(T):
    x = leaf(T, 1.0, 2.0)
    y = copy.copy(x)
    assert y is not x
    assert y.requires_grad
    with T.no_grad():
        y[0] = 5
    assert nums(x) == [5, 2]


def test_copies_keep_the_order_of_memory(T):
    x = T.arange(6.0).reshape(2, 3).t()
    assert copy.deepcopy(x).stride() == (1, 3)
    assert pickle.loads(pickle.dumps(x)).stride() == (1, 3)


def test_a_deep_copy_keeps_shared_memory_shared(T):
    x = T.arange(6.0).reshape(2, 3)
    y, row, back = copy.deepcopy([x, x[1], x.detach().t()])
    y[1] = 9
    assert nums(row) == [9, 9, 9]
    assert nums(back) == [[0, 9], [1, 9], [2, 9]]
    assert nums(x) == [[0, 1, 2], [3, 4, 5]]


# ---------------------------------------------------------------- size and memory


def test_a_deep_chain():
    x = leaf(ad, 1.0)
    y = x
    for _ in range(200_000):
        y = y + 0.0
    y.backward()
    assert nums(x.grad) == 1.0


@pytest.mark.slow
def test_a_chain_of_a_million():
    x = leaf(ad, 1.0)
    y = x
    for _ in range(1_000_000):
        y = y + 0.0
    y.backward()
    assert nums(x.grad) == 1.0


@pytest.mark.slow
def test_a_million_leaves():
    leaves = [leaf(ad, 1.0) for _ in range(1_000_000)]
    total = leaves[0]
    for x in leaves[1:]:
        total = total + x
    total.backward()
    assert all(nums(x.grad) == 1.0 for x in leaves[::100_000])


def test_a_deep_chain_dies_without_recursion():
    y = leaf(ad, 1.0)
    for _ in range(200_000):
        y = y + 0.0
    del y


def test_many_leaves():
    leaves = [leaf(ad, 1.0) for _ in range(20_000)]
    total = leaves[0]
    for x in leaves[1:]:
        total = total + x
    total.backward()
    assert all(x.grad is not None for x in leaves)


def test_wide_sharing():
    x = leaf(ad, 1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert nums(x.grad) == 2.0**60


def test_a_graph_dies_with_its_result(no_gc):
    x = leaf(ad, 1.0, 2.0)
    y = x.exp()
    z = (y * y)[:1].sum()
    ghosts = [weakref.ref(t) for t in (y, z, z.grad_fn)]
    del y, z
    assert [g() for g in ghosts] == [None] * 3
    ghost = weakref.ref(x)
    del x
    assert ghost() is None


@pytest.mark.parametrize("create", [False, True])
def test_backward_leaves_no_cycles(no_gc, create):
    x = leaf(ad, 1.0, 2.0)
    y = x.tanh()
    y.retain_grad()
    z = (y * y).sum()
    if create:
        (g,) = ad.autograd.grad(z, x, create_graph=True)
        ghosts = [weakref.ref(t) for t in (y, z, g, z.grad_fn, g.grad_fn)]
        del g
    else:
        z.backward()
        ghosts = [weakref.ref(t) for t in (y, z, z.grad_fn)]
    del y, z
    assert not any(g() for g in ghosts)


def test_backward_frees_saved_values(no_gc):
    x = leaf(ad, 1.0, 2.0)
    y = x * 1
    z = y * y
    ghost = weakref.ref(y)
    del y
    assert ghost() is not None
    z.sum().backward()
    assert ghost() is None


def test_in_place_leaves_no_cycles(no_gc):
    x = leaf(ad, [[1.0, 2.0], [3.0, 4.0]])
    y = x * 1
    v = y[0]
    v.mul_(2)
    y.exp_()
    z = (y * v.sum()).sum()
    z.backward()
    ghosts = [weakref.ref(t) for t in (y, v, z)]
    del y, v, z
    assert not any(g() for g in ghosts)


def test_training_loop_has_a_flat_footprint(no_gc):
    x = leaf(ad, np.ones((4, 4)).tolist())

    def step():
        (x @ x).tanh().sum().backward()
        x.grad = None

    step()
    before = len(gc.get_objects())
    for _ in range(50):
        step()
    assert len(gc.get_objects()) - before < 20


def _leaf():
    return leaf(ad, 1.0, 2.0)


X = ad.tensor([1.0, 2.0], dtype=ad.float64)
CALLS = {
    "grad": lambda: ad.func.grad(lambda x: (x**3).sum())(X),
    "vjp": lambda: ad.func.vjp(ad.sin, X)[1](X),
    "jvp": lambda: ad.func.jvp(ad.sin, (X,), (X,)),
    "hessian": lambda: ad.func.hessian(lambda x: (x**3).sum())(X),
    "vmap": lambda: ad.func.vmap(ad.func.grad(lambda x: x.exp()))(X),
    "linearize": lambda: ad.func.linearize(ad.sin, X)[1](X),
    "jet": lambda: ad.func.jet(lambda x: x.sin() / x, (X,), ((X, X),)),
    "trace": lambda: ad.trace(lambda x: x.exp() * x)(X),
    "tape": lambda: str(ad.tape((_leaf() * 2).sum())),
    "checkpoint": lambda: ad.checkpoint(lambda x: x.exp().sum(), _leaf()).backward(),
    "svd": lambda: ad.linalg.svdvals(ad.diag(_leaf())).sum().backward(),
    "multi hook": lambda: ad.autograd.graph.register_multi_grad_hook((_leaf(),), id),
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_waits_for_the_collector(no_gc, name):
    call = CALLS[name]
    call()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(10):
        call()
    assert len(gc.get_objects()) - before < 10


# ---------------------------------------------------------------- threads and tasks


def test_two_threads_have_their_own_graphs_and_modes(T):
    results, errors = {}, []
    gate = threading.Barrier(2, timeout=10)

    def work(n):
        try:
            assert T.is_grad_enabled()
            x = leaf(T, float(n))
            y = x
            with T.set_grad_enabled(n == 1):
                gate.wait()
                assert T.is_grad_enabled() == (n == 1)
                gate.wait()
            for _ in range(100):
                y = y * 1.01 + x * 0
            y.backward()
            results[n] = nums(x.grad)
        except Exception as error:
            errors.append(error)
            gate.abort()

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert results[1] == pytest.approx(1.01**100) == results[2]


def test_a_decorated_function_runs_in_two_threads(T):
    gates = [threading.Barrier(2, timeout=10) for _ in range(2)]
    after = {}

    @T.no_grad()
    def f(n):
        gates[0].wait()
        if n:
            gates[1].wait()

    def work(n):
        with T.set_grad_enabled(n == 1):
            f(n)
            after[n] = T.is_grad_enabled()
            if not n:
                gates[1].wait()

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert after == {0: False, 1: True}


def test_threads_share_a_leaf(T):
    x = leaf(T, 1.0)

    def work():
        for _ in range(50):
            T.autograd.grad(x * 2, x)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    (x * 2).backward()
    assert nums(x.grad) == 2.0


def test_a_thread_does_not_inherit_no_grad(T):
    seen = []
    with T.no_grad():
        t = threading.Thread(target=lambda: seen.append(T.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]


def test_tasks_have_their_own_modes():
    async def off(gate):
        with ad.no_grad():
            gate.set()
            await asyncio.sleep(0)
            assert not ad.is_grad_enabled()

    async def on(gate):
        await gate.wait()
        assert ad.is_grad_enabled()

    async def main():
        gate = asyncio.Event()
        await asyncio.gather(off(gate), on(gate))

    asyncio.run(main())


def test_module_has_the_names(T):
    module = importlib.import_module(f"{T.__name__}.autograd")
    names = "backward", "grad", "no_grad", "enable_grad", "inference_mode"
    for name in names:
        assert hasattr(module, name)


@pytest.mark.parametrize(
    "write",
    (
        lambda g: g.zero_(),
        lambda g: g.fill_(2),
        lambda g: g.mul_(3),
        lambda g: g.copy_(ad.zeros(3)),
        lambda g: g.__setitem__(0, 5.0),
    ),
)
def test_a_retained_gradient_is_memory_of_its_own(write):
    """That of a sum is an expanded number; what is kept can be written, as in PyTorch."""
    x = ad.ones(3, requires_grad=True)
    y = x * 2
    z = y + 1
    y.retain_grad(), z.retain_grad()
    z.sum().backward()
    want = ad.ones(3)
    write(want), write(y.grad)
    np.testing.assert_array_equal(y.grad.numpy(), want.numpy())
    np.testing.assert_array_equal(z.grad.numpy(), np.ones(3))
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 2))


def test_inputs_and_outputs_are_anything_to_go_through(T):
    """The values of a dict, such as named parameters, or what a generator gives."""
    p = {"w": T.ones(2, requires_grad=True), "b": T.ones(2, requires_grad=True)}
    ys = {"y": (p["w"] * 2).sum(), "z": (p["b"] * 3).sum()}
    gw, gb = T.autograd.grad(ys.values(), p.values(), retain_graph=True)
    assert gw.tolist() == [2.0, 2.0] and gb.tolist() == [3.0, 3.0]
    (g,) = T.autograd.grad(ys["z"], (x for x in [p["b"]]), (x for x in [T.ones(())]))
    assert g.tolist() == [3.0, 3.0]
