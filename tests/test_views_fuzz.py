"""Random programs of views and writes, against PyTorch: values, gradients, no false alarms."""

import numpy as np
import pytest

import adjoint as ad

torch = pytest.importorskip("torch")

VIEWS = [
    lambda T, x, r: x[r.integers(x.shape[0])] if x.ndim > 1 else x[:2],
    lambda T, x, r: x[: max(1, x.shape[0] - 1)],
    lambda T, x, r: x.t() if x.ndim == 2 else x.unsqueeze(0),
    lambda T, x, r: x[::2],
    lambda T, x, r: x.narrow(x.ndim - 1, 0, max(1, x.shape[-1] // 2)),
    lambda T, x, r: x.unsqueeze(-1).squeeze(-1),
    lambda T, x, r: x.detach() if r.random() < 0.2 else x[:],
]
WRITES = [
    lambda T, x, y: x.mul_(2.0),
    lambda T, x, y: x.add_(y.sum()),
    lambda T, x, y: x.mul_(y.mean()),
    lambda T, x, y: x.copy_(y.sum() * 0.5),
    lambda T, x, y: x.zero_(),
    lambda T, x, y: x.tanh_(),
    lambda T, x, y: x.__setitem__(0, y.mean()),
    lambda T, x, y: x.sub_(x.clone() * 0.1),
    lambda T, x, y: x.__iadd__(1.5),
]
READS = [
    lambda T, x, y: x * y.sum(),
    lambda T, x, y: x.tanh(),
    lambda T, x, y: x + 1,
    lambda T, x, y: x.sigmoid() * 2,
    lambda T, x, y: x.clone(),
]


def run(T, seed, steps=12):
    """The values and gradient of the program of this seed, or its error."""
    r = np.random.default_rng(seed)
    start = r.uniform(0.2, 0.9, (3, 4))
    x = T.tensor(start, dtype=T.float64, requires_grad=True)
    made = [x * 1.0, T.tensor(start[::-1].copy(), dtype=T.float64)]
    for _ in range(steps):
        kind, a, b = r.random(), r.integers(len(made)), r.integers(len(made))
        u, v = made[a], made[b]
        if kind < 0.35:
            made.append(VIEWS[r.integers(len(VIEWS))](T, u, r))
        elif kind < 0.75:
            write = WRITES[r.integers(len(WRITES))]
            if r.random() < 0.15:
                with T.no_grad():
                    write(T, u, v)
            else:
                write(T, u, v)
        else:
            made.append(READS[r.integers(len(READS))](T, u, v))
    values = [m.detach().numpy().copy() for m in made]
    needs = [m.requires_grad for m in made]
    total = sum((m * (i + 1)).sum() for i, m in enumerate(made) if m.requires_grad)
    total.backward()
    return values, needs, x.grad.detach().numpy()


@pytest.mark.parametrize("seed", range(300))
def test_program(seed):
    try:
        values, needs, g = run(torch, seed)
    except RuntimeError as error:
        pytest.skip(f"PyTorch refuses: {str(error)[:60]}")
    got, got_needs, got_g = run(ad, seed)
    for a, b in zip(got, values, strict=True):
        np.testing.assert_allclose(a, b)
    np.testing.assert_allclose(got_g, g, atol=1e-12)
    assert got_needs == needs
