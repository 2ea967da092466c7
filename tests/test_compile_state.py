"""Compiled functions write what they write eagerly: arguments, gradients, attributes."""

import copy

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim
from agreement import agreeing, close, shown

CASES, agrees = agreeing()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_as_without_compile(case):
    case()


@agrees
def an_argument_is_added_to(wrap):
    def f(x):
        x.add_(1)
        return x.sum()

    f = wrap(f)
    x = ad.zeros(3)
    return [(f(x), x.clone()) for _ in range(4)]


@agrees
def an_argument_that_is_a_view(wrap):
    def f(x):
        x.add_(1)
        return x.sum()

    f = wrap(f)
    b = ad.zeros(3, 4)
    x = b.t()[1:3]
    return [(f(x), x.clone(), b.clone()) for _ in range(4)]


@agrees
def one_tensor_for_two_arguments(wrap):
    def f(x, y):
        x.add_(1)
        return x * y

    f = wrap(f)
    x = ad.zeros(3)
    y = ad.ones(3)
    out = []
    for _ in range(3):
        out += [f(x, y), x.clone()]
    for _ in range(3):
        out += [f(x, x), x.clone()]
    for _ in range(3):
        out += [f(y, x), x.clone()]
    return out


@agrees
def arguments_that_overlap(wrap):
    def f(x, y):
        x.add_(1)
        return x * y

    f = wrap(f)
    x = ad.zeros(4)
    out = []
    for _ in range(3):
        out += [f(x[:3], x[1:]), x.clone()]
    for _ in range(3):
        out += [f(x, x.data), x.clone()]
    return out


@agrees
def an_argument_that_is_captured_too(wrap):
    w = ad.ones(3)

    def f(x):
        x.add_(1)
        return x * w

    f = wrap(f)
    x = ad.zeros(3)
    out = []
    for _ in range(3):
        out += [f(x), x.clone()]
    for _ in range(3):
        out += [f(w), w.clone()]
    return out


@agrees
def an_argument_that_is_part_of_what_is_written(wrap):
    w = ad.ones(4)

    def f(x):
        w.add_(1)
        return x * w[:2].sum()

    f = wrap(f)
    x = ad.zeros(4)
    out = []
    for _ in range(3):
        out += [f(x), x.clone(), w.clone()]
    for _ in range(3):
        out += [f(w), w.clone()]
    v = w[1:3]
    for _ in range(3):
        out += [f(v), w.clone()]
    for _ in range(3):
        out += [f(w.data), w.clone()]
    return out


@agrees
def items_of_an_argument_are_set(wrap):
    def f(x, i):
        x[0] = 5
        x[1:] += 2
        x[i] = -1
        return x.sum()

    f = wrap(f)
    x = ad.zeros(4)
    out = []
    for k in range(4):
        out += [f(x, ad.tensor([k])), x.clone()]
    return out


@agrees
def tensors_in_a_dict(wrap):
    def f(c, x):
        c["k"].copy_(x)
        c["n"] += 1
        return c["k"] * 1

    f = wrap(f)
    c = {"k": ad.zeros(2), "n": ad.zeros(())}
    out = []
    for k in range(4):
        out += [f(c, ad.full((2,), float(k))), c["k"].clone(), c["n"].clone()]
    return out


@agrees
def an_item_of_a_dict_among_the_arguments(wrap):
    def f(c, x):
        c["k"] = c["k"] + x
        return c["k"] * 1

    f = wrap(f)
    c = {"k": ad.zeros(2)}
    out = []
    for k in range(4):
        out += [f(c, ad.full((2,), float(k))), c["k"].clone()]
    return out


@agrees
def gradients_of_an_argument_add_up(wrap):
    def f(w, x):
        ((w * x) ** 2).sum().backward()

    f = wrap(f)
    w = ad.ones(2, requires_grad=True)
    out = []
    for k in range(5):
        f(w, ad.full((2,), 1.0 + k))
        out.append(w.grad.clone())
        if k == 3:
            w.grad = None
    return out


@agrees
def the_gradient_of_an_argument_is_dropped(wrap):
    def f(w, x):
        w.grad = None
        ((w * x) ** 2).sum().backward()
        return w.grad * 2

    f = wrap(f)
    w = ad.ones(2, requires_grad=True)
    out = []
    for k in range(5):
        out.append(f(w, ad.full((2,), 1.0 + k)))
        out.append(w.grad.clone())
    return out


@agrees
def the_gradient_of_an_argument_is_read(wrap):
    def f(w):
        return w.grad * 2 if w.grad is not None else w * 1

    f = wrap(f)
    w = ad.ones(2, requires_grad=True)
    out = [f(w), f(w)]
    for k in range(5):
        w.grad = ad.full((2,), 1.0 + k)
        out.append(f(w))
    w.grad = None
    out.append(f(w))
    return out


@agrees
def an_argument_that_is_a_result(wrap):
    def f(h, x):
        (h * x).sum().backward()

    f = wrap(f)
    w = ad.ones(2, requires_grad=True)
    out = []
    for k in range(4):
        f(w * 2, ad.full((2,), 1.0 + k))
        out.append(w.grad.clone())
    return out


@agrees
def a_step_written_by_hand(wrap):
    def f(ws, x):
        for w in ws:
            w.grad = None
        y = ((x @ ws[0]).tanh() @ ws[1]).square().mean()
        y.backward()
        with ad.no_grad():
            for w in ws:
                w -= 0.1 * w.grad
        return y

    f = wrap(f)
    rng = np.random.default_rng(0)
    ws = [
        ad.tensor(rng.normal(size=(3, 4)), requires_grad=True),
        ad.tensor(rng.normal(size=(4, 2)), requires_grad=True),
    ]
    x = ad.tensor(rng.normal(size=(5, 3)))
    return [
        (f(ws, x), [w.clone() for w in ws], [w.grad.clone() for w in ws])
        for _ in range(5)
    ]


@agrees
def a_kept_gradient_of_an_argument(wrap):
    def f(w):
        (w * w).sum().backward()

    f = wrap(f)
    w = ad.ones(2, requires_grad=True)
    f(w)
    g = w.grad
    out = []
    for _ in range(3):
        f(w)
        out += [g.clone(), w.grad.clone(), g is w.grad]
    return out


@agrees
def a_kept_gradient_of_state(wrap):
    w = ad.ones(2, requires_grad=True)

    def f():
        (w * w).sum().backward()

    f = wrap(f)
    f()
    g = w.grad
    out = []
    for _ in range(3):
        f()
        out += [g.clone(), w.grad.clone(), g is w.grad]
    return out


@agrees
def gradients_set_to_zero(wrap):
    w = ad.ones(2, requires_grad=True)
    opt = optim.SGD([w], lr=0.1)

    def f():
        opt.zero_grad(set_to_none=False)
        (w * w).sum().backward()
        opt.step()

    f = wrap(f)
    out = []
    for _ in range(5):
        f()
        out += [w.clone(), w.grad.clone()]
    return out


@agrees
def state_for_each_shape(wrap):
    state = {}

    def f(x):
        n = x.shape[0]
        if n not in state:
            state[n] = ad.zeros(n)
        state[n].add_(x)
        return state[n] * 1

    f = wrap(f)
    out = []
    for n in (2, 2, 2, 3, 3, 3, 2, 4, 3, 4, 4):
        out.append(f(ad.ones(n)))
    return out


@agrees
def optimizer_state_made_later(wrap):
    ws = [ad.ones(2, requires_grad=True), ad.ones(3, requires_grad=True)]
    opt = optim.Adam(ws, lr=0.1)

    def f(x):
        opt.zero_grad()
        w = ws[0] if x.shape[0] == 2 else ws[1]
        l = (w * x).square().sum()
        l.backward()
        opt.step()
        return l

    f = wrap(f)
    out = []
    for n in (2, 2, 2, 3, 3, 3, 2, 3, 2, 3):
        out.append(f(ad.ones(n)))
        out.append([w.clone() for w in ws])
    return out


@agrees
def lazy_layers_called_later(wrap):
    """What the function has not called yet takes its size in the call that finds it."""
    ad.manual_seed(0)
    models = [nn.Sequential(nn.LazyLinear(n), nn.Tanh()) for n in (2, 3)]
    f = wrap(lambda x, i: models[i](x).exp() * 2)
    return [f(ad.ones(2, 4), i) for i in (0, 0, 1, 1, 0, 1)]


@agrees
def another_group_of_parameters(wrap):
    ws = [ad.ones(2, requires_grad=True), ad.ones(2, requires_grad=True)]
    opt = optim.Adam(ws[:1], lr=0.1)

    def f(x):
        opt.zero_grad()
        l = (ws[0] * ws[1] * x).square().sum()
        l.backward()
        opt.step()
        return l

    f = wrap(f)
    out = []
    for n in range(8):
        if n == 3:
            opt.add_param_group({"params": ws[1:]})
        if n == 5:
            opt.load_state_dict(opt.state_dict())
        out.append(f(ad.ones(2)))
        out.append([w.clone() for w in ws])
    return out


class Thing:
    """Anything that has attributes."""


@agrees
def an_attribute(wrap):
    o = Thing()
    o.h = ad.zeros(2)

    def f(x):
        o.h = (o.h + x).tanh()
        return o.h * 2

    f = wrap(f)
    out = []
    for _ in range(5):
        out.append(f(ad.ones(2)))
        out.append(o.h.clone())
    o.h = ad.full((2,), 5.0)
    out.append(f(ad.ones(2)))
    return out


@agrees
def attributes_and_buffers_of_a_module(wrap):
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.h = ad.zeros(2)
            self.register_buffer("b", ad.zeros(2))

        def forward(self, x):
            self.h = (self.h + x).tanh()
            self.b = self.b + 1
            return self.h * 2 + self.b

    m = M()
    f = wrap(m)
    out = []
    for _ in range(5):
        out.append(f(ad.ones(2)))
        out.append(m.h.clone())
        out.append(m.b.clone())
    out.append(sorted(m.state_dict()))
    return out


@agrees
def an_attribute_that_is_a_tuple(wrap):
    o = Thing()
    o.h = None

    def f(x):
        if o.h is None:
            o.h = (ad.zeros(2), ad.zeros(2))
        a, b = o.h
        o.h = ((a + x).tanh().detach(), b + a.detach())
        return o.h[1] * 2

    f = wrap(f)
    out = []
    for _ in range(5):
        out.append(f(ad.ones(2)))
        out.append([h.clone() for h in o.h])
    o.h = None
    out.append(f(ad.ones(2)))
    out.append(f(ad.ones(2)))
    return out


@agrees
def data(wrap):
    w = ad.ones(2, requires_grad=True)
    alias = w.data

    def f(x):
        w.grad = None
        (w * x).square().sum().backward()
        w.data = w.data - 0.1 * w.grad
        return w * 1

    f = wrap(f)
    return [(f(ad.ones(2)), w.clone(), alias.clone()) for _ in range(5)]


@agrees
def a_global(wrap):
    global H
    H = ad.zeros(2)

    def f(x):
        global H
        H = H + x
        return H * 1

    f = wrap(f)
    return [(f(ad.ones(2)), H.clone()) for _ in range(4)]


@agrees
def a_nonlocal(wrap):
    h = ad.zeros(2)

    def f(x):
        nonlocal h
        h = h + x
        return h * 1

    f = wrap(f)
    return [(f(ad.ones(2)), h.clone()) for _ in range(4)]


@agrees
def a_counter(wrap):
    o = Thing()
    o.n = 0

    def f(x):
        o.n += 1
        return x * o.n

    f = wrap(f)
    return [(f(ad.ones(2)), o.n) for _ in range(5)]


@agrees
def a_counter_of_a_module(wrap):
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.n = 0

        def forward(self, x):
            self.n += 1
            return x * self.n

    m = M()
    f = wrap(m)
    return [(f(ad.ones(2)), m.n) for _ in range(5)]


@agrees
def a_list(wrap):
    kept = []

    def f(x):
        y = x * 2
        kept.append(y)
        return y

    f = wrap(f)
    out = []
    for _ in range(4):
        out.append(f(ad.ones(2)))
    return out + kept


SCALE = 2.0


def helper(x):
    return x * SCALE


@agrees
def the_data_of_an_argument(wrap):
    def f(x):
        x.data.mul_(2)
        x.detach().add_(1)
        return x * 1

    f = wrap(f)
    x = ad.ones(2)
    return [(f(x), x.clone()) for _ in range(4)]


@agrees
def tensors_that_share_memory(wrap):
    def f(x):
        h = x[:1]
        d = x[1:].detach()
        d.mul_(3)
        x.data[0] = 7
        x.detach()[1:].data.add_(h * 1)
        return h * 1, d * 1, x * 1

    f = wrap(f)
    x = ad.ones(3)
    return [(f(x), x.clone()) for _ in range(4)]


@agrees
def the_data_of_a_parameter(wrap):
    w = ad.ones(3, requires_grad=True)

    def f(x):
        y = w * x
        h = w[:1]
        w.data.mul_(2)
        z = h * 1
        y.data.add_(1)
        w.grad = None
        (y * y).sum().backward()
        w[1:].data.fill_(3.0)
        return z.detach(), y.detach(), w.grad * 1

    f = wrap(f)
    return [(f(ad.full((3,), 2.0)), w.clone()) for _ in range(4)]


@agrees
def state_that_becomes_an_argument(wrap):
    w, v = ad.arange(4.0), ad.ones(2, requires_grad=True)

    def step(x):
        w.mul_(2)
        (v * x[:2]).sum().backward()
        return x + w.sum()

    f, x, out = wrap(step), ad.zeros(4), []
    for given in (x, x, x, w, x, w.data, x, w.detach(), ad.from_numpy(w.numpy()), x):
        out += [f(given), w.clone(), v.grad.clone()]
    for _ in range(3):
        out += [f(v.grad), w.clone(), v.grad.clone()]
    return out


VIEWS = {
    "reshaped": lambda: ad.arange(12.0).reshape(3, 4),
    "rows": lambda: ad.zeros(4, 4)[1:],
    "transposed": lambda: ad.arange(12.0).reshape(4, 3).t(),
}
STATE_WRITES = {
    "add": lambda m, x: m.add_(1),
    "clamp": lambda m, x: m.clamp_(0, 3),
    "itself": lambda m, x: m.mul_(m),
    "copy": lambda m, x: m.copy_(x.sum().expand(3, 4)),
    "item": lambda m, x: m.__setitem__(0, x.sum()),
    "view of it": lambda m, x: m.t().add_(1),
    "twice": lambda m, x: (m.sub_(1), m.sum(), m.mul_(2)),
    "drawn": lambda m, x: m.uniform_(),
}


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("write", STATE_WRITES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_state_that_is_a_view_is_written_first(view, write, recording):
    """Without being read before: it is known as a part of its base all the same."""
    found = []
    for wrap in (lambda f: f, ad.compile):
        ad.manual_seed(0)
        m = VIEWS[view]()

        @wrap
        def f(x, m=m):
            with ad.set_grad_enabled(recording):
                STATE_WRITES[write](m, x)
            return m.amax() + x

        found.append([f(ad.full((3,), float(i))).tolist() for i in range(3)])
        found[-1].append(m.tolist())
    assert found[0] == found[1]
    assert f.programs and not f.unfit


@agrees
def groups_of_an_optimizer_that_are_changed_in_place(wrap):
    a, b, c = (ad.nn.Parameter(ad.tensor([1.0, -2.0])) for _ in range(3))
    groups = [{"params": [a, b]}, {"params": [c], "lr": 0.5}]
    opt = ad.optim.SGD(groups, lr=0.1, momentum=0.9)

    def step(x):
        opt.zero_grad()
        (a * b * c * x).sum().backward()
        opt.step()
        return a.clone(), b.clone(), c.clone()

    step, seen = wrap(step), []
    for change in (
        lambda: None,
        lambda: opt.param_groups[0]["params"].pop(),
        opt.param_groups.pop,
    ):
        change()
        seen += [step(ad.tensor([1.0, i])) for i in range(3)]
    return seen


@agrees
def state_of_an_optimizer_that_is_taken_away(wrap):
    w = ad.nn.Parameter(ad.tensor([1.0, -2.0]))
    opt = ad.optim.SGD([w], lr=0.1, momentum=0.9)

    def step(x):
        opt.zero_grad()
        (w * x).sum().backward()
        opt.step()
        return w.clone()

    step, seen = wrap(step), []
    for change in (
        lambda: None,
        opt.state.clear,
        lambda: opt.state.pop(w),
        lambda: opt.state.__delitem__(w),
        lambda: opt.state.__setitem__(w, {"momentum_buffer": ad.ones(2)}),
    ):
        change()
        seen += [step(ad.tensor([1.0, i])) for i in range(3)]
    return [seen, opt.state[w]]


@agrees
def a_parameter_moved_away_and_back(wrap):
    """Sharpness-aware minimization: what was kept is the parameter's memory again."""
    w = ad.nn.Parameter(ad.tensor([1.0, -2.0, 3.0]))
    buffer, opt = ad.zeros(3), ad.optim.SGD([w], lr=0.1, momentum=0.9)

    @wrap
    def step(x):
        opt.zero_grad()
        (w * x).sin().sum().backward()
        for p in opt.param_groups[0]["params"]:
            opt.state[p]["old"] = p.data.clone()
        with ad.no_grad():
            w.add_(0.05 * w.grad / w.grad.norm())
        opt.zero_grad()
        loss = (w * x).sin().sum()
        loss.backward()
        for p in opt.param_groups[0]["params"]:
            p.data = opt.state[p]["old"]
        buffer.data = x.clone()
        buffer.mul_(2)
        opt.step()
        return loss.detach()

    seen = []
    for i in range(4):
        seen += [step(ad.tensor([0.5, 1.0, i])), w.clone(), buffer.clone()]
    return [seen, opt.state[w]["old"]]


# ------------------------------------------------------------ what each call makes


@agrees
def deep_copies_are_of_each_call(wrap):
    """Writing to one leaves nothing for the next call."""
    held, net = {"x": [ad.ones(2)]}, nn.BatchNorm1d(2)
    net.weight.grad = ad.ones(2)

    @wrap
    def f(x):
        own, other = copy.deepcopy(held), copy.deepcopy(net)
        own["x"][0].add_(x[0])
        other(x).square().sum().backward()
        with ad.no_grad():
            other.weight.sub_(other.weight.grad)
        return own, [p.detach() * 1 for p in other.parameters()], list(other.buffers())

    out = [f(ad.arange(6.0).reshape(3, 2) * k) for k in range(4)]
    return out, held, list(net.parameters()), list(net.buffers()), net.weight.grad


@agrees
def state_that_is_put_back(wrap):
    """A step that is tried, and taken back."""
    net = nn.Linear(2, 1).double()
    nn.init.ones_(net.weight)
    nn.init.zeros_(net.bias)
    opt = optim.SGD(net.parameters(), lr=0.1)

    @wrap
    def f(x):
        before = copy.deepcopy(net.state_dict())
        opt.zero_grad()
        net(x).sum().backward()
        opt.step()
        y = net(x)
        net.load_state_dict(before)
        return y

    return [f(ad.ones(2).double() * k) for k in range(4)], list(net.parameters())


def fitted(wrap, make, opt=optim.Adam):
    """Parameters that are fitted anew in each call, by an optimizer made there."""

    def f(x, lr):
        params = make(x)
        made = opt(params, lr=lr)
        for _ in range(3):
            made.zero_grad()
            (x @ params[0].reshape(-1)).square().mean().backward()
            made.step()
        return [p.detach() * 1 for p in params], params[0].grad

    f = wrap(f)
    x = ad.arange(6.0, dtype=ad.float64).reshape(3, 2)
    return [f(x + k, lr) for k, lr in enumerate((0.1, 0.1, 0.1, 0.2, 0.2))], f


def of_ones(x):
    return [nn.Parameter(ad.ones(2, dtype=ad.float64))]


def of_means(x):
    return [nn.Parameter(x.mean(0))]


@pytest.mark.parametrize("opt", [optim.SGD, optim.Adam, optim.RMSprop])
@pytest.mark.parametrize("make", [of_ones, of_means])
def test_an_optimizer_made_inside_is_part_of_the_program(make, opt):
    wanted, _ = fitted(lambda f: f, make, opt)
    found, f = fitted(ad.compile, make, opt)
    assert close(shown(wanted), shown(found))
    assert len(f.programs) == 2  # one for each learning rate


@agrees
def an_optimizer_of_copies(wrap):
    net = nn.Linear(2, 1, bias=False).double()
    nn.init.ones_(net.weight)
    seen, _ = fitted(wrap, lambda x: list(copy.deepcopy(net).parameters()))
    return seen, net.weight
