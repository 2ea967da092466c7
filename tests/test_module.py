"""Module: names, order, state, hooks and printing as PyTorch has them."""

import copy
import pickle

import pytest

import adjoint as ad
from adjoint import nn


class Affine(nn.Module):
    def __init__(self, n=2):
        super().__init__()
        self.weight = nn.Parameter(ad.ones(n))
        self.register_parameter("bias", None)
        self.register_buffer("count", ad.zeros(()))
        self.register_buffer("scratch", ad.zeros(1), persistent=False)

    def forward(self, x):
        self.count += 1
        return x * self.weight

    def extra_repr(self):
        return f"n={self.weight.numel()}"


def net():
    return nn.Sequential(Affine(), nn.ModuleList([Affine(), Affine()]), nn.Identity())


def test_what_a_module_holds_is_found_in_order():
    model = net()
    names = [n for n, _ in model.named_parameters()]
    assert names == ["0.weight", "1.0.weight", "1.1.weight"]
    assert [n for n, _ in model[0].named_buffers()] == ["count", "scratch"]
    assert list(model.state_dict()) == [
        f"{k}.{n}" for k in ("0", "1.0", "1.1") for n in ("weight", "count")
    ]
    assert [n for n, _ in model.named_modules()] == ["", "0", "1", "1.0", "1.1", "2"]
    assert len(list(model.children())) == 3


def test_shared_parameters_are_given_once():
    a, b = Affine(), Affine()
    b.weight = a.weight
    model = nn.ModuleList([a, b])
    assert len(list(model.parameters())) == 1
    assert len(list(model.named_parameters(remove_duplicate=False))) == 2
    assert list(model.state_dict()) == ["0.weight", "0.count", "1.weight", "1.count"]


def test_assigning_a_tensor_to_a_parameter_is_refused():
    model = Affine()
    with pytest.raises(TypeError, match="cannot assign 'Tensor' as parameter 'weight'"):
        model.weight = ad.zeros(2)
    model.count = ad.tensor(5.0)
    assert dict(model.named_buffers())["count"].item() == 5
    with pytest.raises(ValueError, match=r"contain '\.'"):
        model.register_buffer("a.b", ad.zeros(1))
    with pytest.raises(ValueError, match="already exists"):
        model.register_parameter("forward", nn.Parameter(ad.zeros(1)))


def test_state_dict_loads_whole_or_not_at_all():
    model, other = net(), net()
    state = other.state_dict()
    state["0.weight"] = ad.tensor([3.0, 4.0])
    assert repr(model.load_state_dict(state)) == "<All keys matched successfully>"
    assert model[0].weight.tolist() == [3.0, 4.0]
    state["0.weight"], state["1.1.weight"] = ad.tensor([7.0, 7.0]), ad.zeros(3)
    with pytest.raises(RuntimeError, match=r"size mismatch for 1\.1\.weight"):
        model.load_state_dict(state)
    assert model[0].weight.tolist() == [3.0, 4.0]
    del state["1.1.weight"]
    state["extra"] = ad.zeros(1)
    with pytest.raises(RuntimeError, match=r'Missing key.* "1\.1\.weight"'):
        model.load_state_dict(state)
    found = model.load_state_dict(state, strict=False)
    assert found.missing_keys == ["1.1.weight"]
    assert found.unexpected_keys == ["extra"]
    assert model[0].weight.tolist() == [7.0, 7.0]


def test_hooks_see_and_change_what_passes():
    model, seen = Affine(), []
    pre = model.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    post = model.register_forward_hook(lambda m, args, y: y * 10)
    model.register_forward_hook(
        lambda m, args, kwargs, y: seen.append(y), with_kwargs=True, always_call=True
    )
    assert model(ad.ones(2)).tolist() == [20.0, 20.0]
    pre.remove()
    post.remove()
    assert model(ad.ones(2)).tolist() == [1.0, 1.0]
    assert len(seen) == 2
    with pytest.raises(TypeError):
        model("no tensor")
    assert seen[-1] is None


def test_modes_dtypes_and_gradients_reach_all():
    model = net().double()
    assert all(p.dtype == ad.float64 for p in model.parameters())
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    model[0](ad.ones(2, dtype=ad.float64)).sum().backward()
    assert model[0].weight.grad is not None
    model.zero_grad()
    assert model[0].weight.grad is None
    model.requires_grad_(False)
    assert not any(p.requires_grad for p in model.parameters())
    assert model.to(ad.float32)[0].weight.dtype == ad.float32


def test_copies_are_whole_and_apart():
    model = net()
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert repr(again) == repr(model)
        assert isinstance(again[0].weight, nn.Parameter)
        assert again[0].weight.requires_grad
        assert list(again.state_dict()) == list(model.state_dict())
        with ad.no_grad():
            again[0].weight.fill_(5.0)
        assert model[0].weight.tolist() == [1.0, 1.0]


def test_printed_as_torch_prints():
    assert repr(net()) == (
        "Sequential(\n  (0): Affine(n=2)\n  (1): ModuleList(\n"
        "    (0-1): 2 x Affine(n=2)\n  )\n  (2): Identity()\n)"
    )


def test_errors_name_the_module():
    class Wrong(nn.Module):
        def forward(self, x):
            return x @ ad.zeros(5, 5)

    model = nn.Sequential(nn.Identity(), Wrong())
    with pytest.raises(RuntimeError, match=r"in Sequential\.1 \(Wrong\), test_module"):
        model(ad.zeros(2, 3))


def test_containers_are_lists_and_dicts():
    model = nn.Sequential(Affine(1), Affine(2))
    model.append(Affine(3)).insert(0, nn.Identity())
    assert [type(m).__name__ for m in model] == ["Identity"] + ["Affine"] * 3
    assert len(model[1:3]) == 2
    assert model[-1].weight.numel() == 3
    del model[1]
    assert list(model._modules) == ["0", "1", "2"]
    with pytest.raises(IndexError):
        model[3]
    named = nn.ModuleDict({"a": Affine()})
    named["b"] = Affine()
    assert list(named) == ["a", "b"]
    assert [n for n, _ in named.named_parameters()] == ["a.weight", "b.weight"]
    params = nn.ParameterList([ad.zeros(2)])
    params.append(ad.zeros(3))
    assert [n for n, _ in params.named_parameters()] == ["0", "1"]
    by_name = nn.ParameterDict({"w": ad.zeros(2)})
    assert by_name["w"].requires_grad


def test_torch_names_the_same():
    torch = pytest.importorskip("torch")

    def build(lib):
        class Block(lib.nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = lib.nn.ModuleList([lib.nn.Identity()])
                self.scale = lib.nn.Parameter(lib.ones(3))
                self.inner = lib.nn.ParameterList([lib.nn.Parameter(lib.ones(2))])
                self.register_buffer("seen", lib.zeros(()))

        return lib.nn.Sequential(Block(), Block())

    ours, theirs = build(ad), build(torch)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for what in ("named_parameters", "named_buffers", "named_modules"):
        assert [n for n, _ in getattr(ours, what)()] == [
            n for n, _ in getattr(theirs, what)()
        ]
    assert str(ours).count("\n") == str(theirs).count("\n")
