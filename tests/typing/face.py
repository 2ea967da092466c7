# pyright: strict
"""What a user's type checker sees: `make types` reads this page, nothing runs it."""

from typing import assert_type

import adjoint as ad
from adjoint import Tensor


def functions(x: Tensor) -> Tensor:
    assert_type(ad.tensor([1.0, 2.0], dtype=ad.float32, requires_grad=True), Tensor)
    assert_type(ad.zeros(2, 3), Tensor)
    assert_type(ad.arange(3, dtype=ad.int64), Tensor)
    assert_type(ad.sin(x), Tensor)
    assert_type(ad.add(x, 1, alpha=2), Tensor)
    assert_type(ad.pow(2, x), Tensor)
    assert_type(ad.sum(x, dim=(0, 1), keepdim=True), Tensor)
    assert_type(ad.where(x > 0, x, 0.0), Tensor)
    assert_type(ad.allclose(x, x), bool)
    assert_type(ad.unbind(x), tuple[Tensor, ...])
    assert_type(ad.matmul(x, x), Tensor)
    return ad.conv2d(x, x, padding="same")


def methods(x: Tensor) -> Tensor:
    assert_type(x.sin(), Tensor)
    assert_type(x.sin_(), Tensor)
    assert_type(x.add_(1, alpha=2), Tensor)
    assert_type(x.sum(0).reshape(2, -1).transpose(0, 1), Tensor)
    assert_type(x.clone().detach().requires_grad_(), Tensor)
    assert_type(x.float(), Tensor)
    assert_type(x.to(ad.float64), Tensor)
    assert_type(x.split(2), tuple[Tensor, ...])
    assert_type(x.numel(), int)
    assert_type(x.size(), ad.Size)
    assert_type(x.size(0), int)
    return x.contiguous()


def operators(x: Tensor) -> Tensor:
    assert_type(x + 1, Tensor)
    assert_type(2 / x, Tensor)
    assert_type(-(x**2), Tensor)
    assert_type(x @ x.T, Tensor)
    assert_type(x == 1, Tensor)
    assert_type(x > x, Tensor)
    assert_type(x[0, 1:, None], Tensor)
    assert_type([row for row in x], list[Tensor])  # noqa: C416
    assert_type(float(x), float)
    x += 1
    x[0] = 2.0
    return x


def several_results(x: Tensor) -> Tensor:
    values, places = ad.sort(x)
    assert_type(places, Tensor)
    assert_type(x.max(1).indices, Tensor)
    assert_type(x.max(), Tensor)
    assert_type(ad.linalg.svd(x).Vh, Tensor)
    return values


def modes(x: Tensor) -> Tensor:
    with ad.no_grad():
        x = ad.nn.functional.relu(x)
    with ad.enable_grad():
        return ad.fft.fft(x)


def what_it_is(x: Tensor) -> None:
    assert_type(x.shape, ad.Size)
    assert_type(x.shape[0], int)
    assert_type(x.dtype, ad.DType)
    assert_type(x.ndim, int)
    assert_type(x.requires_grad, bool)
    assert_type(x.grad, Tensor | None)
    assert_type(x.T, Tensor)
    assert_type(x.backward(), None)
    assert_type(ad.pi, float)
    assert_type(ad.int, ad.DType)
