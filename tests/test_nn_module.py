"""Module and its containers against PyTorch's: the same calls say and do the same."""

import copy
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn

# ---------------------------------------------------------------- attributes


def with_attributes(lib, *names):
    m = lib.nn.Module()
    for name in names:
        if name[0] == "w":
            setattr(m, name, lib.nn.Parameter(lib.ones(2)))
        elif name[0] == "b":
            m.register_buffer(name, lib.ones(2), persistent=name != "b_")
        else:
            setattr(m, name, lib.nn.Linear(1, 1))
    return m


def layout(m):
    """All names a module has, by kind, and what it would save."""
    return (
        list(m._parameters),
        list(m._buffers),
        list(m._modules),
        list(m.state_dict()),
        [n for n, _ in m.named_parameters()],
        [n for n, _ in m.named_buffers()],
        [n for n, _ in m.named_modules()],
    )


def parameter_from_none(lib):
    m = lib.nn.Module()
    m.register_parameter("w", None)
    before = layout(m)
    m.w = lib.nn.Parameter(lib.ones(1))
    return before, layout(m)


def buffer_from_none(lib):
    m = lib.nn.Module()
    m.register_buffer("b", None)
    m.register_buffer("c", None, persistent=False)
    before = layout(m)
    m.b, m.c = lib.ones(2), lib.ones(3)
    return before, layout(m)


def buffer_to_none_and_back(lib):
    m = with_attributes(lib, "b", "b_")
    m.b = m.b_ = None
    before = layout(m)
    m.b, m.b_ = lib.ones(3), lib.ones(3)
    return before, layout(m)


def child_to_none(lib):
    m = with_attributes(lib, "x", "y")
    m.add_module("z", None)
    m.y = None
    return repr(m), layout(m), [n for n, _ in m.named_children()]


def child_to_parameter(lib):
    m = with_attributes(lib, "x", "w")
    m.x = lib.nn.Parameter(lib.ones(1))
    return layout(m)


def deleted(lib):
    m = with_attributes(lib, "w", "b", "x")
    del m.w, m.b, m.x
    return layout(m), hasattr(m, "w")


def deleted_none(lib):
    m = lib.nn.Linear(2, 3, bias=False)
    before = layout(m)
    del m.bias
    return before, layout(m)


def shared(lib):
    m = lib.nn.Sequential(
        lib.nn.Linear(2, 2), lib.nn.Linear(2, 2), lib.nn.BatchNorm1d(2)
    )
    m[1].weight = m[0].weight
    m.append(m[2])
    return [
        [n for n, _ in m.named_parameters(remove_duplicate=once)]
        + [n for n, _ in m.named_buffers(remove_duplicate=once, prefix="p")]
        + [n for n, _ in m.named_modules(remove_duplicate=once, prefix="q")]
        for once in (True, False)
    ] + [list(m.state_dict()), [n for n, _ in m.named_parameters("x", recurse=False)]]


def through_dicts(lib):
    m = with_attributes(lib, "w", "b", "x", "y")
    m._modules["x"] = lib.nn.ReLU()
    m._modules["new"] = lib.nn.Tanh()
    m._parameters["v"] = lib.nn.Parameter(lib.ones(1))
    m._parameters["w"] = None
    m._buffers["c"] = lib.ones(3)
    del m._modules["y"]
    m._buffers.pop("b")
    m._modules.update(z=lib.nn.GELU())
    return repr(m), layout(m), repr(m.new), m._modules.pop("none", 3)


def own_buffer_class(lib):
    m = lib.nn.Module()
    m.b = lib.nn.Buffer(lib.ones(2))
    m.c = lib.nn.Buffer(lib.ones(2), persistent=False)
    return layout(m)


def replaced(lib):
    m = lib.nn.Sequential(lib.nn.Linear(2, 3))
    m.set_submodule("0", lib.nn.Sequential(lib.nn.ReLU()))
    m.set_submodule("0.1", lib.nn.Tanh())
    return repr(m), repr(m.get_submodule("0.1")), repr(m.get_submodule(""))


def kept_names(lib):
    net = lib.nn.Sequential(
        OrderedDict(a=lib.nn.ReLU(), b=lib.nn.Tanh(), c=lib.nn.GELU())
    )
    part = net[1:]
    inside = [n for n, _ in net.named_children()], repr(part), len(net)
    net[0] = lib.nn.SiLU()
    del net[1]
    return inside, repr(net)


def edited_sequence(lib):
    net = lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Tanh())
    net.append(lib.nn.GELU()).insert(-1, lib.nn.SiLU()).insert(0, lib.nn.ELU())
    net.extend([lib.nn.Mish(), lib.nn.CELU()])
    first = repr(net)
    out = [repr(net.pop(0)), repr(net.pop(-1)), repr(net[-1]), repr(net[1:4:2])]
    net += lib.nn.Sequential(lib.nn.GLU())
    net *= 2
    del net[2:5]
    return first, out, repr(net), repr(net + net), repr(2 * net), [repr(m) for m in net]


def edited_list(lib):
    net = lib.nn.ModuleList([lib.nn.ReLU(), lib.nn.Tanh()])
    net.append(lib.nn.GELU()).extend([lib.nn.SiLU()])
    net.insert(1, lib.nn.ELU())
    net += [lib.nn.Mish()]
    net[-1] = lib.nn.CELU()
    first = repr(net)
    del net[0], net[1:3]
    return (
        first,
        repr(net),
        repr(net.pop(0)),
        repr(net[0:1]),
        repr(net + lib.nn.ModuleList([lib.nn.GLU()])),
    )


def edited_dict(lib):
    net = lib.nn.ModuleDict({"b": lib.nn.ReLU(), "a": lib.nn.Tanh()})
    net.update([("c", lib.nn.GELU()), ("b", lib.nn.ELU())])
    net["d"] = lib.nn.Mish()
    first = repr(net), list(net.keys()), [repr(m) for m in net.values()], "a" in net
    del net["a"]
    popped = repr(net.pop("c"))
    rest = list(net), len(net), [k for k, _ in net.items()]
    net.clear()
    return first, popped, rest, repr(net)


def edited_parameters(lib):
    net = lib.nn.ParameterList([lib.ones(2, 3), 5, lib.nn.Parameter(lib.ones(()))])
    net.append(lib.zeros(1)).extend(["text"])
    net += (lib.ones(4),)
    net[0] = lib.ones(7)
    text = repr(net)
    part = net[1:4]
    return text, len(net), repr(part), list(net.state_dict()), repr(net[-1])


def edited_parameter_dict(lib):
    d = lib.nn.ParameterDict([("b", lib.ones(2, 3)), ("a", 3)])
    d["c"] = lib.zeros(1)
    d.update({"z": lib.ones(1), "y": lib.ones(2)})
    out = [list(d), list(reversed(d)), [k for k, _ in d.items()], "a" in d, len(d)]
    out += [d.get("a"), d.get("q", 7), d.setdefault("a", 9), d.setdefault("e", 8)]
    out += [list(d.state_dict()), d.popitem(), d.pop("a"), list(d.copy())]
    out += [
        list(d | lib.nn.ParameterDict({"n": lib.ones(1)})),
        list(d.fromkeys("pq", 1)),
    ]
    d |= lib.nn.ParameterDict({"m": lib.ones(1)})
    del d["b"]
    out += [list(d.keys()), len(list(d.values()))]
    d.clear()
    return [*out, repr(d)]


def collapsed(lib):
    one = lib.nn.Sequential(lib.nn.ReLU())
    return repr(
        lib.nn.ModuleList([lib.nn.Linear(1, 2)] * 2 + [one] * 3 + [lib.nn.ELU()])
    )


def dtypes(lib):
    m = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.BatchNorm1d(2))
    out = []
    for change in (
        lambda: m.half(),
        lambda: m.bfloat16(),
        lambda: m.double(),
        lambda: m.float(),
        lambda: m.to(lib.float64),
        lambda: m.to("cpu"),
        lambda: m.to(lib.ones(1, dtype=lib.float16)),
        lambda: m.to(dtype=lib.float32, device="cpu"),
        lambda: m.to("cpu", lib.float64, True),
        lambda: m.type(lib.float32),
    ):
        assert change() is m
        kinds = [str(x.dtype).split(".")[1] for x in m.state_dict().values()]
        out.append((kinds, [p.requires_grad for p in m.parameters()]))
    return out


def metadata(lib):
    net = lib.nn.Sequential(lib.nn.Linear(1, 1), lib.nn.BatchNorm1d(1))
    return {k: dict(v) for k, v in net.state_dict()._metadata.items()}


def before_batches_were_counted(lib):
    net = lib.nn.Sequential(lib.nn.BatchNorm1d(2))
    state = {k: v for k, v in net.state_dict().items() if "tracked" not in k}
    return repr(net.load_state_dict(state))


def not_strict(lib):
    net = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.Linear(3, 4))
    keys = ["0.weight", "7.bias", "foo", "0.zip"]
    state = {k: lib.ones(3, 2) for k in keys}
    found = net.load_state_dict(state, strict=False)
    return found.missing_keys, found.unexpected_keys, net[0].weight.tolist()


def old_scalars(lib):
    m = lib.nn.Module()
    m.w = lib.nn.Parameter(lib.zeros(()))
    m.load_state_dict({"w": lib.ones(1)})
    return m.w.tolist()


def assigned(lib):
    m = lib.nn.Linear(2, 2)
    m.weight.requires_grad_(False)
    w, b = lib.ones(2, 2, dtype=lib.float64), lib.nn.Parameter(lib.ones(2))
    m.load_state_dict({"weight": w, "bias": b}, assign=True)
    kinds = [type(p).__name__ for p in m.parameters()]
    return kinds, m.bias is b, m.weight.requires_grad, str(m.weight.dtype).split(".")[1]


def kept_variables(lib):
    m = lib.nn.Linear(2, 2)
    state, kept = m.state_dict(), m.state_dict(keep_vars=True, prefix="p.")
    return (
        list(kept),
        kept["p.weight"] is m.weight,
        state["weight"].requires_grad,
        state["weight"].data_ptr() == m.weight.data_ptr(),
    )


def extra_state(lib):
    class Counter(lib.nn.Module):
        def __init__(self, n):
            super().__init__()
            self.n = n

        def get_extra_state(self):
            return {"n": self.n}

        def set_extra_state(self, state):
            self.n = state["n"]

    net, other = lib.nn.Sequential(Counter(3)), lib.nn.Sequential(Counter(5))
    net.load_state_dict(other.state_dict())
    found = net.load_state_dict({}, strict=False)
    plain = lib.nn.Sequential(lib.nn.Identity())
    extra = plain.load_state_dict(other.state_dict(), strict=False)
    return list(net.state_dict()), net[0].n, found.missing_keys, extra.unexpected_keys


def migrating(lib):
    class New(lib.nn.Module):
        _version = 3

        def __init__(self):
            super().__init__()
            self.w = lib.nn.Parameter(lib.zeros(2))

        def _load_from_state_dict(self, state, prefix, meta, *rest):
            if (meta.get("version") or 1) < 3:
                state[prefix + "w"] = state.pop(prefix + "old")
            super()._load_from_state_dict(state, prefix, meta, *rest)

        def _save_to_state_dict(self, destination, prefix, keep_vars):
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[prefix + "more"] = lib.ones(1)

    net = lib.nn.Sequential(New())
    found = net.load_state_dict({"0.old": lib.ones(2)})
    return repr(found), net[0].w.tolist(), list(net.state_dict())


def state_hooks(lib):
    net, seen = lib.nn.Sequential(lib.nn.Linear(1, 1)), []

    def rename(module, state, prefix, *rest):
        seen.append(("pre", prefix, len(rest)))
        if prefix + "w" in state:
            state[prefix + "weight"] = state.pop(prefix + "w")

    def after(module, keys):
        seen.append(("post", list(keys.missing_keys)))
        keys.missing_keys.clear()

    net[0].register_state_dict_pre_hook(lambda m, p, k: seen.append(("save", p, k)))
    net[0].register_state_dict_post_hook(
        lambda m, state, prefix, local: state.update({prefix + "new": local["version"]})
    )
    handle = net[0].register_load_state_dict_pre_hook(rename)
    net.register_load_state_dict_post_hook(after)
    saved = list(net.state_dict())
    found = net.load_state_dict({"0.w": lib.full((1, 1), 3.0)})
    handle.remove()
    return saved, seen, repr(found), net[0].weight.tolist()


def deep(lib):
    net = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.BatchNorm1d(2))
    net[0].bias.requires_grad_(False)
    net[0].register_forward_hook(lambda m, x, y: y * 2)
    net.eval()
    again = copy.deepcopy(net)
    with lib.no_grad():
        again[0].weight.fill_(1.0)
        again[0].bias.fill_(1.0)
    own = (net[0].weight == 1).any().item()
    flags = [p.requires_grad for p in again.parameters()]
    return own, flags, again.training, again(lib.ones(1, 2)).round(decimals=3).tolist()


def gradients(lib):
    net = lib.nn.Linear(2, 2)
    net(lib.ones(1, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    zeros = net.weight.grad.tolist()
    net.zero_grad()
    net.weight.requires_grad_(False)
    net.requires_grad_()
    return zeros, net.weight.grad, net.weight.requires_grad


def applied(lib):
    seen = []
    net = lib.nn.Sequential(lib.nn.Linear(1, 1), lib.nn.Sequential(lib.nn.ReLU()))
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    return seen


def directory(lib):
    net = lib.nn.Sequential(lib.nn.Linear(1, 1))
    return "0" in dir(net), "forward" in dir(net), "weight" in dir(net[0])


SAME = [
    parameter_from_none,
    buffer_from_none,
    buffer_to_none_and_back,
    child_to_none,
    child_to_parameter,
    deleted,
    deleted_none,
    shared,
    through_dicts,
    own_buffer_class,
    replaced,
    kept_names,
    edited_sequence,
    edited_list,
    edited_dict,
    edited_parameters,
    edited_parameter_dict,
    collapsed,
    dtypes,
    metadata,
    before_batches_were_counted,
    not_strict,
    old_scalars,
    assigned,
    kept_variables,
    extra_state,
    migrating,
    state_hooks,
    deep,
    gradients,
    applied,
    directory,
]


@pytest.mark.parametrize("f", SAME, ids=lambda f: f.__name__)
def test_as_torch_does(f):
    torch = pytest.importorskip("torch")
    want = repr(f(torch)).replace("torch.FloatTensor", "torch.float32")
    assert repr(f(ad)) == want.replace("torch.", "adjoint.")


def mixed(lib):
    m = with_attributes(lib, "b", "w", "x", "w2", "b2")
    return layout(m)


def test_parameters_come_before_buffers_and_modules():
    parameters, buffers, modules, state, *_ = mixed(ad)
    assert (parameters, buffers, modules) == (["w", "w2"], ["b", "b2"], ["x"])
    assert state == ["w", "w2", "b", "b2", "x.weight", "x.bias"]


def set_to(name, value):
    def do(lib):
        m = with_attributes(lib, "w", "b", "x")
        setattr(m, name, value(lib))

    return do


REFUSED = [
    lambda lib: lib.nn.Module().register_parameter(3, None),
    lambda lib: lib.nn.Module().register_parameter("a.b", None),
    lambda lib: lib.nn.Module().register_parameter("", None),
    lambda lib: lib.nn.Module().register_parameter("train", None),
    lambda lib: lib.nn.Module().register_parameter("w", lib.ones(2)),
    lambda lib: lib.nn.Module().register_buffer("w", 3),
    lambda lib: lib.nn.Module().register_buffer(3, lib.ones(1)),
    lambda lib: lib.nn.Module().register_buffer("forward", lib.ones(2)),
    lambda lib: lib.nn.Module().add_module("forward", lib.nn.Identity()),
    lambda lib: lib.nn.Module().add_module("x", lib.ones(2)),
    lambda lib: lib.nn.Module().add_module(3, lib.nn.Identity()),
    set_to("w", lambda lib: lib.ones(2)),
    set_to("w", lambda lib: lib.nn.Identity()),
    set_to("b", lambda lib: 3),
    set_to("x", lambda lib: lib.ones(2)),
    lambda lib: setattr(lib.nn.Linear(2, 3, bias=False), "bias", lib.ones(3)),
    lambda lib: lib.nn.Linear(2, 3).nothing,
    lambda lib: lib.nn.Linear(2, 3).to(lib.int32),
    lambda lib: lib.nn.Linear(2, 3).get_submodule("x.y"),
    lambda lib: lib.nn.Linear(2, 3).get_parameter("x"),
    lambda lib: lib.nn.Linear(2, 3).get_parameter("in_features"),
    lambda lib: lib.nn.BatchNorm1d(3).get_buffer("weight"),
    lambda lib: lib.nn.Sequential().set_submodule("1", lib.nn.Identity(), strict=True),
    lambda lib: lib.nn.Sequential().set_submodule("", lib.nn.Identity()),
    lambda lib: lib.nn.Sequential().set_submodule("forward", lib.nn.Identity()),
    lambda lib: lib.nn.Linear(2, 3).train("yes"),
    lambda lib: lib.nn.Module()(1),
    lambda lib: lib.nn.Linear(2, 3).load_state_dict(3),
    lambda lib: lib.nn.Linear(2, 3).load_state_dict({}),
    lambda lib: lib.nn.Linear(2, 3).load_state_dict(
        {"weight": lib.ones(3, 3), "bias": lib.ones(3)}, strict=False
    ),
    lambda lib: lib.nn.Linear(2, 3).load_state_dict({"weight": 3, "bias": 4}),
    lambda lib: lib.nn.ModuleDict({"keys": lib.nn.ReLU()}),
    lambda lib: lib.nn.ModuleDict([("a", lib.nn.ReLU()), ("b", 3)]),
    lambda lib: lib.nn.ModuleDict([("a",)]),
    lambda lib: lib.nn.ModuleDict([3]),
    lambda lib: lib.nn.ModuleDict(3),
    lambda lib: lib.nn.ModuleDict()["a"],
    lambda lib: lib.nn.ParameterDict({3: lib.ones(1)}),
    lambda lib: lib.nn.ParameterDict()["a"],
    lambda lib: lib.nn.ParameterDict()(1),
    lambda lib: lib.nn.ParameterList([lib.ones(1)])(1),
    lambda lib: lib.nn.ParameterList([lib.ones(1)])[1],
    lambda lib: lib.nn.ParameterList(lib.ones(1)),
    lambda lib: lib.nn.Sequential() + lib.nn.ModuleList(),
    lambda lib: lib.nn.Sequential() * 0,
    lambda lib: lib.nn.Sequential() * 2.0,
    lambda lib: lib.nn.Sequential().insert(5, lib.nn.GELU()),
    lambda lib: lib.nn.Sequential()[5],
    lambda lib: lib.nn.Sequential(3),
    lambda lib: lib.nn.ModuleList([3]),
    lambda lib: lib.nn.ModuleList(3),
]


@pytest.mark.parametrize("f", REFUSED)
def test_refused_as_in_torch(f):
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as theirs:
        f(torch)
    wanted = theirs.type if theirs.type is not AssertionError else TypeError
    with pytest.raises(wanted):
        f(ad)


# ---------------------------------------------------------------- hooks


def forward_hooks(lib):
    net, seen = lib.nn.Linear(2, 2, bias=False), []
    with lib.no_grad():
        net.weight.copy_(lib.eye(2))

    def log(name, out=None):
        def hook(module, *rest):
            seen.append((name, len(rest)))
            return None if out is None else out(*rest)

        return hook

    net.register_forward_pre_hook(log("pre", lambda args: (args[0] + 1,)))
    net.register_forward_pre_hook(log("bare", lambda args: args[0] * 2), prepend=True)
    net.register_forward_pre_hook(
        log("named", lambda args, kwargs: (args, kwargs)), with_kwargs=True
    )
    net.register_forward_hook(log("post", lambda args, y: y * 10))
    net.register_forward_hook(
        log("last", lambda args, kwargs, y: y - 1), with_kwargs=True
    )
    with net.register_forward_hook(log("first"), prepend=True):
        y = net(lib.tensor([[1.0, 2.0]])).tolist()
    return y, seen, len(seen)


def always_called(lib):
    class Fails(lib.nn.Module):
        def forward(self, x):
            if x is None:
                raise ZeroDivisionError("no")
            return x

    net, seen = Fails(), []

    def fails(module, args, y):
        raise KeyError("hook")

    net.register_forward_hook(lambda m, a, y: seen.append(("a", y)), always_call=True)
    net.register_forward_hook(lambda m, a, y: seen.append(("b", y)))
    out = []
    for x in (3, None):
        try:
            net(x)
        except ZeroDivisionError as error:
            out.append(str(error))
    net.register_forward_hook(fails)
    net.register_forward_hook(lambda m, a, y: seen.append(("z", y)), always_call=True)
    try:
        net(4)
    except KeyError:
        out.append("key")
    return out, seen


def backward_hooks(lib):
    net = lib.nn.Sequential(lib.nn.Linear(2, 2, bias=False), lib.nn.Tanh())
    with lib.no_grad():
        net[0].weight.copy_(lib.tensor([[1.0, 2.0], [3.0, 4.0]]))
    seen = []

    def shown(gs):
        return [None if g is None else g.round(decimals=4).tolist() for g in gs]

    def look(module, gx, gy):
        seen.append((type(module).__name__, shown(gx), shown(gy)))

    for m in net:
        m.register_full_backward_hook(look)
    net[1].register_full_backward_pre_hook(lambda m, gy: (gy[0] * 10,))
    net[1].register_full_backward_hook(lambda m, gx, gy: (gx[0] + 1,), prepend=True)
    x = lib.tensor([[0.1, -0.2]], requires_grad=True)
    net(x).sum().backward()
    first = (
        x.grad.round(decimals=4).tolist(),
        net[0].weight.grad.round(decimals=4).tolist(),
    )
    net(lib.tensor([[0.1, -0.2]])).sum().backward()  # the input has no gradient
    with lib.no_grad():
        net(x)
    return first, seen


def two_outputs(lib):
    class Pair(lib.nn.Module):
        def forward(self, x, n, y):
            return x * n, n, (x * y).sum()

    net, seen = Pair(), []
    net.register_full_backward_hook(
        lambda m, gx, gy: seen.append(
            ([g is None for g in gx], [g is None for g in gy])
        )
    )
    x, y = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
    out = net(x, 3, y)
    out[0].sum().backward()
    (net(x, 3, y)[2] * 2).backward()
    return seen, x.grad.tolist(), y.grad.tolist(), type(out).__name__


HOOKS = [forward_hooks, always_called, backward_hooks, two_outputs]


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("f", HOOKS, ids=lambda f: f.__name__)
def test_hooks_as_in_torch(f):
    torch = pytest.importorskip("torch")
    assert repr(f(ad)) == repr(f(torch))


def test_hooks_without_torch():
    y, seen, n = forward_hooks(ad)
    assert (y, n) == ([[29.0, 49.0]], 6)
    assert [name for name, _ in seen] == [
        "bare",
        "pre",
        "named",
        "first",
        "post",
        "last",
    ]
    assert always_called(ad)[0] == ["no", "key"]


def test_backward_hooks_must_give_as_many():
    net = nn.Tanh()
    net.register_full_backward_hook(lambda m, gx, gy: (gx[0], gx[0]))
    y = net(ad.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError, match="invalid number of grad_input"):
        y.sum().backward()
    other = nn.Tanh()
    other.register_full_backward_hook(lambda m, gx, gy: None)
    other.forward = lambda x: {"y": x}
    with pytest.warns(UserWarning, match="should be a Tensor or a tuple"):
        other(ad.ones(1))


def test_a_failing_always_called_hook_is_a_warning():
    class Fails(nn.Module):
        def forward(self):
            raise ZeroDivisionError

    def hook(module, args, y):
        raise ValueError("second")

    net = Fails()
    net.register_forward_hook(hook, always_call=True)
    with pytest.warns(UserWarning, match="second"), pytest.raises(ZeroDivisionError):
        net()


def test_pre_hook_with_kwargs_must_return_both():
    net = nn.Identity()
    net.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(RuntimeError, match="tuple of"):
        net(ad.ones(1))


# ---------------------------------------------------------------- identity


def trained(lib):
    """Losses and state of a small network over some steps, from a fixed start."""
    net = lib.nn.Sequential(
        lib.nn.Conv2d(1, 4, 3, padding=1),
        lib.nn.BatchNorm2d(4),
        lib.nn.ReLU(),
        lib.nn.MaxPool2d(2),
        lib.nn.Flatten(),
        lib.nn.utils.parametrizations.weight_norm(lib.nn.Linear(64, 16)),
        lib.nn.LayerNorm(16),
        lib.nn.GELU(),
        lib.nn.Linear(16, 5),
    ).double()
    rng = np.random.default_rng(0)
    start = {
        k: lib.tensor(rng.normal(size=tuple(v.shape)) * 0.3)
        for k, v in net.state_dict().items()
        if "running" not in k and "tracked" not in k
    }
    net.load_state_dict(start, strict=False)
    x = lib.tensor(rng.normal(size=(12, 1, 8, 8)))
    t = lib.tensor(rng.integers(0, 5, 12))
    loss = lib.nn.CrossEntropyLoss(label_smoothing=0.1)
    opt = lib.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    out = []
    for _ in range(20):
        opt.zero_grad()
        y = loss(net(x), t)
        y.backward()
        lib.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        out.append(y.item())
    net.eval()
    return out, {k: v.numpy() for k, v in net.state_dict().items()}


def test_a_network_trains_as_torchs():
    torch = pytest.importorskip("torch")
    (ours, mine), (theirs, his) = trained(ad), trained(torch)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert ours[-1] < ours[0]
    assert list(mine) == list(his)
    for key, value in his.items():
        np.testing.assert_allclose(mine[key], value, 1e-5, 1e-7, err_msg=key)


def test_buffers_keep_the_tensor_and_its_graph():
    net = nn.Module()
    x = ad.zeros(2)
    net.register_buffer("state", x)
    assert net.state is x
    w = ad.ones(2, requires_grad=True)
    net.state = net.state + 3 * w
    assert [n for n, _ in net.named_buffers()] == ["state"]
    net.state.sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_pickled_whole():
    net = nn.Sequential(
        nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ModuleDict({"a": nn.ReLU()})
    )
    net[0].register_parameter("extra", None)
    net[0].weight.grad = ad.ones(3, 2)
    again = pickle.loads(pickle.dumps(net))
    assert repr(again) == repr(net)
    assert list(again.state_dict()) == list(net.state_dict())
    for a, b in zip(
        again.state_dict().values(), net.state_dict().values(), strict=True
    ):
        assert a.tolist() == b.tolist()
    assert "extra" in again[0]._parameters


def test_casting_keeps_the_objects_that_optimizers_hold():
    net = nn.Linear(2, 2)
    w = net.weight
    w.grad = ad.ones(2, 2)
    net.double()
    assert net.weight is w
    assert w.grad.dtype == w.dtype == ad.float64
    before = w.data_ptr()
    net.to(ad.float64)
    assert w.data_ptr() == before


def test_nothing_is_loaded_if_something_is_wrong():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    before = net[0].weight.tolist()
    state = {k: ad.zeros_like(v) for k, v in net.state_dict().items()}
    state["1.bias"] = ad.zeros(5)
    with pytest.raises(RuntimeError, match=r"size mismatch for 1\.bias.*\[5\].*\[2\]"):
        net.load_state_dict(state)
    assert net[0].weight.tolist() == before


def test_states_of_torch_load_and_return():
    torch = pytest.importorskip("torch")

    def build(lib):
        return lib.nn.Sequential(
            lib.nn.Conv1d(2, 4, 3, padding=1),
            lib.nn.BatchNorm1d(4),
            lib.nn.PReLU(4),
            lib.nn.Flatten(),
            lib.nn.Linear(20, 3),
        )

    ours, theirs = build(ad), build(torch)
    x = np.random.default_rng(0).normal(size=(6, 2, 5)).astype("float32")
    theirs(torch.tensor(x))
    ours.load_state_dict(
        {k: ad.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    )
    ours.eval(), theirs.eval()
    want = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(ad.tensor(x)).detach().numpy(), want, 1e-5, 1e-5)
    back = build(torch)
    back.load_state_dict(
        {k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()}
    )
    np.testing.assert_array_equal(back.eval()(torch.tensor(x)).detach().numpy(), want)


def test_a_module_warns_of_nothing_when_made():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.Sequential(nn.Linear(2, 2), nn.Sequential())(ad.ones(1, 2))


def test_what_layers_keep_is_kept_by_a_compiled_program():
    def run(compiled):
        ad.manual_seed(0)
        net = nn.Sequential(
            nn.Linear(3, 4),
            nn.BatchNorm1d(4),
            nn.Dropout(0.3),
            nn.BatchNorm1d(4, momentum=None),
        )
        nn.utils.parametrizations.spectral_norm(net[0])
        f = ad.compile(lambda x: net(x)) if compiled else net
        ys = [f(ad.randn(6, 3)).detach().numpy() for _ in range(3)]
        return ys, {k: v.numpy() for k, v in net.state_dict().items()}

    (ys, state), (want, kept) = run(True), run(False)
    for y, w in zip(ys, want, strict=True):
        np.testing.assert_allclose(y, w, 1e-4, 1e-5)
    for key, value in kept.items():
        np.testing.assert_allclose(state[key], value, 1e-4, 1e-5, err_msg=key)
    assert state["1.num_batches_tracked"] == state["3.num_batches_tracked"] == 3


def test_what_is_no_module_is_told_apart():
    for wrong, hint in (
        (nn.ReLU, r"ReLU\(\.\.\.\)"),
        ([nn.ReLU()], r"Sequential\(\*layers\)"),
        (nn.functional.relu, "has a function"),
    ):
        with pytest.raises(TypeError, match=f"is not a Module subclass(.|\n)*{hint}"):
            nn.Sequential(wrong)
    with pytest.raises(TypeError, match=r"ad\.load\(path\)"):
        nn.Linear(1, 1).load_state_dict("model.safetensors")
