"""One computation in adjoint and in PyTorch: numbers for it, and whether both agree."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.nn import functional as F


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def pairs(*shape, seed=0):
    """Complex numbers."""
    return numbers(*shape, seed=seed) + 1j * numbers(*shape, seed=seed + 50)


def leaf(x, lib=ad):
    """A tensor of `x` that wants a gradient if it can have one."""
    return lib.tensor(x, requires_grad=x.dtype.kind in "fc")


def listed(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


DIGITS = {"float16": 1e-2, "float32": 1e-6, "complex64": 1e-5}


def close(x, want, tol=1e-9):
    """The same shape and dtype, and numbers within `tol` or what the dtype can hold."""
    assert tuple(x.shape) == tuple(want.shape)
    assert x.dtype.name == str(want.dtype).removeprefix("torch.")
    got, want = (v.detach().resolve_conj().numpy() for v in (x, want))
    tol = max(tol, DIGITS.get(want.dtype.name, 0))
    np.testing.assert_allclose(got, want, tol, tol)


def agree(ours, theirs, arrays, tol=1e-9):
    """Results and gradients of both functions at the same arrays, weighted alike."""
    torch = pytest.importorskip("torch")
    xs, us = [leaf(a) for a in arrays], [leaf(a, torch) for a in arrays]
    ys, wants = listed(ours(*xs)), listed(theirs(*us))
    assert len(ys) == len(wants)
    for i, (y, want) in enumerate(zip(ys, wants, strict=True)):
        close(y, want, tol)
        if want.requires_grad:
            g = (pairs if want.is_complex() else numbers)(*want.shape, seed=9 + i)
            g = g.astype(str(want.dtype).removeprefix("torch."))
            y.backward(ad.tensor(g), retain_graph=True)
            want.backward(torch.tensor(g), retain_graph=True)
    for x, u in zip(xs, us, strict=True):
        if u.grad is not None:
            close(x.grad, u.grad, tol)
        else:  # some gradients that are zero everywhere PyTorch leaves out
            assert x.grad is None or not x.grad.any()


def agree_in_both(f, *arrays, tol=1e-9):
    """`agree` of f(package, *tensors)."""
    torch = pytest.importorskip("torch")
    agree(lambda *xs: f(ad, *xs), lambda *xs: f(torch, *xs), arrays, tol)


def agree_by_name(name, arrays, *args, tol=1e-9, **options):
    """`agree` of the two functions that `nn.functional` has by this name."""
    theirs = getattr(pytest.importorskip("torch.nn.functional"), name)
    agree(
        lambda *xs: getattr(F, name)(*xs, *args, **options),
        lambda *xs: theirs(*xs, *args, **options),
        arrays,
        tol,
    )
