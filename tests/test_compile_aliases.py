"""What shares memory in a compiled function: as in eager, whoever writes and reads it."""

import numpy as np
import pytest

import adjoint as ad


def runs(f, wrap, shape=(3, 4)):
    """Numbers of results and arguments of calls, with state that the function has."""
    state, i = ad.tensor(0.5), ad.tensor(1)
    g, rows = wrap(lambda x, i: f(x, i, state)), []
    for k in range(3):
        x = ad.arange(1.0, 13.0).reshape(shape) * (k + 1)
        ys = g(x, i.clone())
        ys = ys if isinstance(ys, tuple) else (ys,)
        rows.append([y.detach().numpy().copy() for y in (*ys, x, state)])
    return rows


def agree(f, shape=(3, 4)):
    """Whether a function does the same compiled."""
    for want, got in zip(
        runs(f, lambda f: f, shape), runs(f, ad.compile, shape), strict=True
    ):
        for a, b in zip(want, got, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-6)


def chosen_written(x, i, s):
    x[i].add_(10)
    return x.sum()


def chosen_seen(x, i, s):
    y = x[i]
    x.mul_(2)
    return y * 1


def part_of_chosen(x, i, s):
    y = x[i][1:3]
    y.zero_()
    return x * 1, y * 1


def chosen_in_place(x, i, s):
    x[i] += 5
    return x * 1


def chosen_of_view(x, i, s):
    x.T[1:][i][1:].mul_(3)
    return x * 1


def chosen_twice(x, i, s):
    y = x[i, i]
    y.add_(1)
    return x * 1


def chosen_column(x, i, s):
    y = x[:, i]
    y.reshape(-1).add_(1)
    i.add_(1)  # the view stays where it was
    y.add_(1)
    return x * 1, y * 1


def chosen_by_value(x, i, s):
    y = x.T[x[0].argmax(0)]
    y.add_(1)
    return x * 1


def chosen_recorded(x, i, s):
    w = x.clone().requires_grad_()
    z = w * 1
    z[i].mul_(3)
    z[i].sin_()
    (z**2).sum().backward()
    return w.grad


@pytest.mark.parametrize(
    "f",
    [
        chosen_written,
        chosen_seen,
        part_of_chosen,
        chosen_in_place,
        chosen_of_view,
        chosen_twice,
        chosen_column,
        chosen_by_value,
        chosen_recorded,
    ],
)
def test_a_part_at_a_position_that_is_a_value(f):
    agree(f)


def test_a_part_that_is_read_and_written_back_is_written_once():
    f = ad.compile(chosen_in_place)
    for _ in range(2):
        f(ad.ones(3, 4), ad.tensor(1), None)
    assert f.program().count("index_put") == 1


def data_of_state(x, i, s):
    y = s.reshape(-1).detach()
    s.data.add_(-0.25)
    return y * 1


def part_of_state(x, i, s):
    v = s.reshape(-1)
    y = v.detach()
    v.narrow(0, 0, 1).tanh_()
    return y * 1


def detached_of_state(x, i, s):
    v = s.reshape(-1)
    y = v.detach()
    y.tanh_()
    return v * 1, s * 1


@pytest.mark.parametrize("f", [data_of_state, part_of_state, detached_of_state])
def test_what_is_detached_of_a_view_of_state_shows_what_is_written_there(f):
    agree(f)


def test_a_view_that_finds_its_place_anew_leaves_operations_theirs():
    def steps(wrap):
        w = ad.ones(3, requires_grad=True)

        @wrap
        def step(x):
            w.grad = None
            y = w * 2
            v = y.reshape(-1)
            v[..., 0] = -1.0
            ad.mul(x, v).sin().sum().backward()
            return w.grad * 1

        return [step(ad.arange(3.0) + k).numpy() for k in range(3)]

    for a, b in zip(steps(lambda f: f), steps(ad.compile), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5)


def test_numbers_known_inside_a_loop_over_complex_values():
    """LLVM met numbers that it learnt of too late, and gave up with all of Python."""

    def f(x):
        return ad.scan(lambda c, r: (c / 2 + r.exp(), c), x[0] * 0.0, x)[0]

    x = ad.tensor(np.linspace(-1, 1, 8).reshape(4, 2) * (1 + 2j))
    g = ad.compile(f)
    for _ in range(3):
        np.testing.assert_allclose(g(x).numpy(), f(x).numpy(), rtol=1e-12)


def one_branch_written(x, i, s):
    y = ad.cond(x.sum() > 100, lambda x: x, lambda x: x + 1, x)
    y.mul_(2)
    return x * 1, y * 1


def one_branch_seen(x, i, s):
    y = ad.cond(x.sum() > 100, lambda: x[0] + 1, lambda: x[0])
    x.mul_(2)
    return y * 1


def one_branch_of_state(x, i, s):
    y = ad.cond(x.sum() > 100, lambda s: s.view(1), lambda s: s.view(1) + i, s)
    s.add_(1)
    return y * 1


@pytest.mark.parametrize(
    "f", [one_branch_written, one_branch_seen, one_branch_of_state]
)
def test_what_only_one_branch_hands_on_is_or_is_not_the_same(f):
    agree(f)


def test_what_only_one_branch_hands_on_is_compiled_where_nobody_writes_it():
    f = ad.compile(lambda x: ad.cond(x.sum() > 0, lambda x: x, lambda x: -x, x) * 2)
    for _ in range(3):
        f(ad.ones(3))
    assert f.programs and not f.unfit


def test_one_tensor_given_twice_and_then_two():
    f = ad.compile(lambda x, y: x - y)
    x, y = ad.tensor([4.0, 6.0]), ad.tensor([1.0, 2.0])
    for a, b in [(x, x)] * 3 + [(x, y)] * 3 + [(y, x), (x, x), (x, y), (y, y)]:
        np.testing.assert_array_equal(f(a, b).numpy(), a.numpy() - b.numpy())


def test_two_tensors_and_then_one_given_twice():
    f = ad.compile(lambda x, y, z: x * 10 if x is z else x - y)
    x, y = ad.tensor([4.0, 6.0]), ad.tensor([1.0, 2.0])
    for a, b, c in (
        [(x, y, y)] * 3 + [(x, y, x)] * 3 + [(x, y, y), (x, x, x), (x, x, y)]
    ):
        want = a.numpy() * 10 if a is c else a.numpy() - b.numpy()
        np.testing.assert_array_equal(f(a, b, c).numpy(), want)
    (program,) = [p for k, p in f.programs.items() if k[2] == (0, 1, 1)]
    before = program.run.calls.value
    for _ in range(3):
        f(x, y, y)
    assert program.run.calls.value == before + 3  # one is as quick as two


def both(w, v, x):
    return w * x + v.sin()


def both_the_other_way(w, v, x):
    return v.sin() * w.sum() + x


def one_is_written(w, v, x):
    with ad.no_grad():
        v.add_(x)
    return w * 2


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("f", [both, both_the_other_way, one_is_written])
def test_tensors_of_one_memory_that_part_later(f, required):
    """One is given other memory between two calls: no longer do both read what the other has."""

    def told(wrap):
        w = ad.tensor([0.1, 0.2], requires_grad=required)
        v = w.detach()
        g, rows = wrap(lambda x: f(w, v, x)), []
        for i in range(8):
            rows.append(g(ad.full((2,), float(i))).tolist())
            if i == 3:
                w.data = ad.full((2,), 5.0)
            if i == 5:
                v.data = w.data
            rows.append([w.tolist(), v.tolist()])
        return rows

    for a, b in zip(told(ad.compile), told(lambda f: f), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def by_backward(y, x):
    (y * x).sin().sum().backward()
    return y.grad


def by_grad(y, x):
    return ad.autograd.grad((y * x).sin().sum(), y)[0] * y


def backward_twice(y, x):
    for _ in range(2):
        (y * x).sin().sum().backward()
    return y.grad * 1, y * 2


@pytest.mark.parametrize(
    "of", [lambda w: w.detach(), lambda w: w.data], ids=["detach", "data"]
)
@pytest.mark.parametrize("f", [by_backward, by_grad, backward_twice])
@pytest.mark.parametrize("required", [False, True])
def test_a_leaf_that_each_call_makes_of_state(f, of, required, caplog):
    """It ends with the call, gradient and all, and has the memory that the state has by then."""

    def told(wrap):
        w = ad.tensor([0.1, 0.2], requires_grad=required)
        g, rows = wrap(lambda x: f(of(w).requires_grad_(), x)), []
        for i in range(8):
            ys = g(ad.full((2,), float(i)))
            rows += [y.tolist() for y in (ys if isinstance(ys, tuple) else (ys,))]
            if i == 5:
                w.data = ad.full((2,), 0.5)
        return rows, g

    got, g = told(ad.compile)
    np.testing.assert_allclose(got, told(lambda f: f)[0], rtol=1e-5, atol=1e-7)
    (program,) = g.programs.values()
    assert program.run.calls.value == 7 and not caplog.records


def told_between(f, change, wrap):
    """What a function of a tensor and its view gives, with one of them changed on the way."""
    w = ad.tensor([[0.1, 0.2], [0.3, 0.4]])
    v = w.t()
    g, rows = wrap(lambda x: f(w, v, x)), []
    for i in range(6):
        rows.append(g(ad.full((2, 2), float(i))).tolist())
        rows.append([w.tolist(), v.tolist()])
        if i == 2:
            change(w, v)
    return rows


def view_is_read(w, v, x):
    return v * x


def view_is_written(w, v, x):
    with ad.no_grad():
        v.add_(x)
    return w + v


def view_is_written_detached(w, v, x):
    v.detach().add_(x)
    return w * x


def give_the_view(w, v):
    v.data = ad.full((2, 2), 5.0)


def give_the_base(w, v):
    w.data = ad.full((2, 2), 5.0)


def give_the_view_a_part(w, v):
    v.data = w


@pytest.mark.parametrize("change", [give_the_view, give_the_base, give_the_view_a_part])
@pytest.mark.parametrize(
    "f", [both, view_is_read, view_is_written, view_is_written_detached]
)
def test_a_view_and_its_base_that_part_later(f, change):
    """The view stays a view, of memory that its base does not have."""
    got = told_between(f, change, ad.compile)
    for a, b in zip(got, told_between(f, change, lambda f: f), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_memory_of_an_argument_given_to_state():
    def told(wrap):
        h, rows = ad.ones(2), []

        @wrap
        def f(x):
            h.data = x.detach()
            return h.mul_(2) * 1

        for i in range(4):
            x = ad.full((2,), float(i))
            rows.append([f(x).tolist(), h.tolist(), x.tolist()])
        return rows

    assert told(ad.compile) == told(lambda f: f)


def test_a_gradient_that_was_none_is_cleared_again():
    w = ad.ones(2, requires_grad=True)

    @ad.compile
    def f(x):
        w.grad = None
        return x * w

    for _ in range(4):
        f(ad.ones(2))
        assert w.grad is None
        w.grad = ad.ones(2)


class World:
    """State that events between calls replace."""

    def __init__(self):
        self.a = ad.tensor([1.0, 2.0, 3.0, 4.0])
        self.c = ad.tensor([4.0, 3.0, 2.0, 1.0])
        self.part = self.a[1:3]


def view_of_replaced(w, x):
    y = w.a * x
    w.c = w.c.detach() * 0.5
    return y


def view_of_replaced_in_a_loop(w, x):
    y = ad.scan(lambda k, r: (k * 0.5 + r * w.a, k), x, ad.stack([x, x * 2]))[0]
    w.c = w.c.detach() * 0.5
    return y


def show_the_replaced(w):
    w.a = w.c.view(4)


def view_is_replaced(w, x):
    y = w.c * 1
    with ad.no_grad():
        w.a[1:3].add_(x[:2])
        w.part.mul_(0.7)
    w.a = x.detach() * 2
    return y


def put_a_view(w):
    w.kept = ad.tensor([1.0, 2.0, 3.0, 4.0])
    w.a, w.part = w.kept[:], w.kept[1:3]


def both_are_written(w, x):
    with ad.no_grad():
        w.a[0] = x[1]
        w.c.add_(x)
    return w.a * w.c


def one_memory(w):
    w.c.data = w.a[:]


@pytest.mark.parametrize(
    ("f", "change"),
    [
        (view_of_replaced, show_the_replaced),
        (view_of_replaced_in_a_loop, show_the_replaced),
        (view_is_replaced, put_a_view),
        (both_are_written, one_memory),
    ],
)
def test_memory_that_comes_to_be_shared(f, change):
    """What is shared is found also if it is shared only between two calls."""
    rows = []
    for wrap in (lambda f: f, lambda f: ad.compile(f, backend="numpy"), ad.compile):
        w = World()
        g = wrap(lambda x: f(w, x))  # noqa: B023
        seen = []
        for i in range(7):
            if i == 3:
                change(w)
            y = g(ad.ones(4) + i)
            seen.append(ad.cat([z.detach() for z in (y, w.a, w.c, w.part)]).tolist())
        rows.append(seen)
    for got in rows[1:]:
        np.testing.assert_allclose(got, rows[0], rtol=1e-5)


def test_a_view_whose_base_left_the_graph():
    """Gradients go where they go in eager: the view is in the graph still."""
    grads = []
    for wrap in (lambda f: f, ad.compile):
        a = ad.tensor([1.0, 2.0], requires_grad=True)
        m, part = a.view(2, 1), a[1:]

        def f(x):
            with ad.no_grad():
                part.mul_(0.5)  # noqa: B023
            (m.reshape(2) * x).sum().backward()  # noqa: B023
            return x * 1

        g = wrap(f)
        for i in range(5):
            if i == 3:
                a.detach_()
            g(ad.ones(2))
        grads.append(a.grad.tolist())
    assert grads[0] == grads[1]


def shown_and_written(c, m, x):
    y = c * x
    m.add_(0.1)
    return y


def given_its_own_part(c, m, x):
    c.data = c.detach()
    return x + 1


@pytest.mark.parametrize("f", [shown_and_written, given_its_own_part])
def test_a_view_and_a_tensor_on_its_memory(f):
    """`c` is a view of a, `m` one of a tensor that has the memory of `c`."""
    rows = []
    for wrap in (lambda f: f, ad.compile):
        a = ad.tensor([1.0, 2.0, 3.0, 4.0])
        c = a[:]
        m = c.data.view(2, 2)
        g = wrap(lambda x: f(c, m, x))  # noqa: B023
        for i in range(4):
            g(ad.ones(4) + i)
            a.mul_(1.5)
            rows.append([a.tolist(), c.tolist(), m.tolist()])
    assert rows[:4] == rows[4:]
