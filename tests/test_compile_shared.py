"""Tensors that share their memory, each in a place of its own: in the graph, in lists, as .grad."""

import pytest

import adjoint as ad
from adjoint import compile, nn, optim
from agreement import agreeing

CASES, agrees = agreeing()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_as_without_compile(case):
    case()


def leaf():
    return ad.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)


def walked(f, *tensors, x=None, count=4):
    """The gradients of the last of some calls, the results of which are walked back outside."""
    for _ in range(count):
        for t in tensors:
            t.grad = None
        f(ad.ones(4) if x is None else x).sum().backward()
    return [t.grad for t in tensors], [t.detach().clone() for t in tensors]


# ---------------------------------------------------------------- one memory, several places


@agrees
def written_through_data_and_walked_back(wrap):
    a = leaf()
    b = a.data

    def f(x):
        b.mul_(0.5)
        return a * x

    return walked(wrap(f), a)


@agrees
def written_through_another_under_no_grad(wrap):
    a = leaf()
    b = a.detach()

    def f(x):
        with ad.no_grad():
            b.copy_(x * 3)
        return a * x

    return walked(wrap(f), a)


@agrees
def written_through_a_view_of_another(wrap):
    a = leaf()
    v = a.detach().view(2, 2)

    def f(x):
        with ad.no_grad():
            v.mul_(0.5)
        return a * x

    return walked(wrap(f), a)


@agrees
def written_while_a_view_in_the_graph_is_read(wrap):
    a = leaf()
    part, b = a[1:3], a.data

    def f(x):
        b.mul_(0.5)
        return part * x[:2]

    return walked(wrap(f), a)


@agrees
def two_leaves_of_one_memory(wrap):
    a = leaf()
    c = nn.Parameter(a.data)
    return walked(wrap(lambda x: a * 2 * x + c * 3), a, c)


@agrees
def a_leaf_made_of_another(wrap):
    a = leaf()
    c = a.detach().requires_grad_()
    return walked(wrap(lambda x: a * c * x), a, c)


@agrees
def a_leaf_on_the_memory_of_a_view(wrap):
    a = leaf()
    b = a.detach()[:]
    c = nn.Parameter(b.data)
    return walked(wrap(lambda x: a.view(2, 2).reshape(4) * 2 + (b + c) * x), a, c)


@agrees
def read_beside_what_is_detached_of_it(wrap):
    a = leaf()
    b = a.data
    return walked(wrap(lambda x: b * a * x + b.sin() * x), a)


@agrees
def optimized_then_walked_back(wrap):
    a = leaf()
    opt = optim.SGD([a], lr=0.1)

    def f(x):
        (a * a).sum().backward()
        opt.step()
        opt.zero_grad()
        return a * a * x

    return walked(wrap(f), a)


# ---------------------------------------------------------------- other memory


@agrees
def what_had_the_memory_of_a_view_is_given_other(wrap):
    a = leaf().detach()
    c = a[:]
    t = c.data
    f, out = wrap(lambda x: c + t * x), []
    for i in range(6):
        if i == 3:
            t.data = ad.full((4,), 9.0)
        out.append(f(ad.ones(4)))
    return out


@agrees
def state_that_is_given_other_memory_is_walked_back_as_it_was(wrap):
    w, h = leaf(), ad.ones(4)

    def f(x):
        old = h.data
        h.data = (x * 0.5).detach()
        return (old * w).sin() + h * w

    f, out = wrap(f), []
    for i in range(4):
        w.grad = None
        f(ad.full((4,), i + 1.0)).sum().backward()
        out.append((w.grad, h.clone()))
    return out


@agrees
def what_is_given_other_memory_is_returned(wrap):
    t = {"k": nn.Parameter(ad.ones(2))}

    def f(x):
        y = t["k"]
        y.data = (x * 0.5).detach()
        return y

    f, out = wrap(f), []
    for i in range(4):
        y = f(ad.full((2,), float(i)))
        y.sum().backward()
        out.append((y is t["k"], y, t["k"].grad))
    return out


@agrees
def a_list_that_keeps_what_is_given_other_memory(wrap):
    m, items = ad.ones(2), [ad.zeros(2), ad.zeros(2)]

    def f(x):
        items[1] = (m * x).detach()
        old = items[0].data
        items[0].data = (x * 0.5).detach()
        return old * 1

    first, f, out = items[0], wrap(f), []
    for i in range(6):
        x = ad.full((2,), float(i))
        out.append(
            (f(x.requires_grad_() if i == 4 else x), list(items), items[0] is first)
        )
    return out


@agrees
def a_list_that_gets_one_twice(wrap):
    b, items = ad.ones(2), [None, ad.zeros(2)]

    def f(x):
        items.reverse()
        items[0] = b
        b.data = (x * 0.5).detach()
        return x * 1

    f, out = wrap(f), []
    for i in range(5):
        f(ad.full((2,), float(i)))
        out.append(([y is b for y in items], b))
    return out


@agrees
def a_window_that_has_one_twice(wrap):
    items = [ad.zeros(2), ad.ones(2)]

    def f(x):
        items.append((x * 0.5).detach())
        items.pop(0)
        items[1].data = items[1].data * 0.5
        return x * 1

    f, out = wrap(f), []
    for i in range(7):
        if i in (2, 4):
            items[1] = items[0]
        f(ad.full((2,), float(i)))
        out.append([y.clone() for y in items])
    return out


@agrees
def a_view_is_read_in_a_loop_when_its_base_has_other_memory(wrap):
    a = leaf().detach()
    b = a[:]

    def f(x):
        a.data = x * 0.5
        rows = ad.stack([x, x * 2])
        return ad.scan(lambda c, r: (c * 0.5 + r * b, c), x * 1, rows)[0]

    f, out = wrap(f), []
    for i in range(4):
        out.append(f(ad.full((4,), float(i))))
    return out


@agrees
def a_view_in_a_place_is_read_in_a_loop(wrap):
    b = leaf().detach()
    items = [ad.ones(4), b.view(4)]

    def f(x):
        y = ad.fori_loop(0, 2, lambda i, c: c.sin() + items[1], x * 1)
        items.append((y * 0.5).detach())
        items.pop(1)
        return y

    f = wrap(f)
    return [f(ad.full((4,), float(i))) for i in range(5)]


@agrees
def a_place_that_gets_what_requires_grad(wrap):
    w, state = leaf(), {"c": ad.ones(4)}

    def f(x):
        y = state["c"]
        loss = (y * x).sin().sum()
        if loss.requires_grad:
            loss.backward()
        state["c"] = (x * 0.5).detach()
        return y

    f, out = wrap(f), []
    for i in range(6):
        if i == 4:
            state["c"] = w.view(4)
        y = f(ad.full((4,), float(i)))
        out.append((y, y.requires_grad, w.grad))
    return out


@agrees
def a_view_that_is_a_leaf_of_what_is_written(wrap):
    h = ad.ones(4)
    c = h.view(4)

    def f(x):
        with ad.no_grad():
            h.mul_(0.9)
        loss = (c * x).sin().sum()
        if loss.requires_grad:
            loss.backward()
        return x * 1

    f, out = wrap(f), []
    for i in range(5):
        if i == 3:
            c.requires_grad_(True)
        f(ad.full((4,), float(i)))
        out.append((c.requires_grad, c.grad if c.grad is None else c.grad.clone()))
    return out


@agrees
def places_that_come_to_have_one_memory(wrap):
    state = {"b": ad.ones(2), "a": ad.full((2,), 3.0)}
    part = state["a"].detach()[:]

    def f(x):
        with ad.no_grad():
            state["b"].add_(x)
        state["b"] = part.sum() * x * 0.5
        return x * 2

    f, out = wrap(f), []
    for i in range(7):
        if i == 5:
            state["b"] = state["a"]
        f(ad.full((2,), i + 1.0))
        out.append((state["b"], part.clone()))
    return out


# ---------------------------------------------------------------- what is returned


@agrees
def a_gradient_that_is_made_zero(wrap):
    w = leaf()
    opt = optim.SGD([w], lr=0.1)

    def f(x):
        y = w.grad if w.grad is not None else x
        opt.zero_grad(set_to_none=False)
        return y, x * w

    f, out = wrap(f), []
    for _ in range(5):
        y, z = f(ad.ones(4))
        z.sum().backward()
        out.append((y.clone(), w.grad.clone()))
    return out


@agrees
def a_leaf_for_which_another_stands(wrap):
    a = leaf()
    c = nn.Parameter(a.data)

    def f(x):
        with ad.no_grad():
            c[0] = x[1]
        return a, x

    f, out = wrap(f), []
    for _ in range(4):
        y, z = f(ad.ones(4).requires_grad_())
        (y.sum() + z.sum()).backward()
        out.append((y is a, a.grad.clone()))
    return out


@agrees
def a_view_that_is_a_leaf(wrap):
    h = ad.ones(2)
    c = h.view(2)

    def f(x):
        with ad.no_grad():
            h.mul_(0.9)
        return x

    f = wrap(f)
    f(ad.ones(2))
    c.requires_grad_(True)
    out = []
    for _ in range(3):
        y = f(c)
        y.sum().backward()
        out.append((y is c, c.requires_grad, c.grad.clone()))
    return out


def test_why_several_places_of_one_memory_run_as_written(caplog):
    a = leaf()
    c = nn.Parameter(a.data)
    f = compile(lambda x: (a * c * x).sum())
    f(ad.ones(4)), f(ad.ones(4))
    assert "several tensors that share their memory" in caplog.text
