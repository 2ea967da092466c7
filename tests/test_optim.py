"""Optimizers against PyTorch's: fifty steps from the same start, to 1e-6."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import optim

CASES = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "amsgrad": True, "betas": (0.8, 0.9)}),
    ("Adam", {"lr": 0.05, "maximize": True, "eps": 1e-3}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
]


def descend(lib, name, options, steps=50):
    """The parameters after some steps on a function with a curved valley."""
    rng = np.random.default_rng(0)
    w = lib.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    b = lib.tensor(rng.normal(size=3), requires_grad=True)
    x, t = lib.tensor(rng.normal(size=(5, 4))), lib.tensor(rng.normal(size=(5, 3)))
    opt = getattr(lib.optim, name)(
        [{"params": [w]}, {"params": [b], "lr": 0.02}], **options
    )
    for _ in range(steps):
        opt.zero_grad()
        y = (x @ w + b).tanh()
        ((y - t) ** 2).mean().backward()
        opt.step()
    return np.concatenate([w.detach().numpy().ravel(), b.detach().numpy()])


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda c: str(c))
def test_same_path_as_torch(name, options):
    torch = pytest.importorskip("torch")
    want = descend(torch, name, options)
    np.testing.assert_allclose(descend(ad, name, options), want, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda c: str(c))
def test_saved_and_resumed_is_the_same(name, options):
    def run(resume):
        w = ad.tensor([1.0, -2.0], requires_grad=True)
        opt = getattr(optim, name)([w], **options)
        for i in range(6):
            if i == 3 and resume:
                state = opt.state_dict()
                opt = getattr(optim, name)([w], lr=9.0)
                opt.load_state_dict(state)
            opt.zero_grad()
            (w**4).sum().backward()
            opt.step()
        return w.tolist()

    assert run(True) == run(False)


def test_bad_options_are_refused():
    w = ad.tensor([1.0], requires_grad=True)
    for options, text in [
        ({"lr": -1}, "Invalid lr"),
        ({"betas": (1.0, 0.9)}, "beta parameter at index 0"),
    ]:
        with pytest.raises(ValueError, match=text):
            optim.Adam([w], **options)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([])
    with pytest.raises(TypeError, match="iterable"):
        optim.SGD(w)
    with pytest.raises(ValueError, match="more than one place"):
        optim.SGD([w, w])
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([w * 2])


def test_closure_and_hooks():
    w = ad.tensor([3.0], requires_grad=True)
    opt = optim.SGD([w], lr=0.1)
    seen = []
    opt.register_step_pre_hook(lambda *a: seen.append("pre"))
    opt.register_step_post_hook(lambda *a: seen.append("post"))

    def closure():
        opt.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert opt.step(closure).item() == 9.0
    assert seen == ["pre", "post"]
    np.testing.assert_allclose(w.detach().numpy(), [2.4], rtol=1e-6)
