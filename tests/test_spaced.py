"""Values with zeros around or beside them, computed where they are read."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.core.primitive import op

X = np.linspace(-2, 3, 56, dtype=np.float32).reshape(7, 8)
AROUND = {"shape": (9, 12), "key": ((1, 8, 1), (3, 11, 1))}

CASES = {
    "around": lambda x: op.unslice(x * 2, **AROUND) * 3,
    "turned": lambda x: op.permute(op.unslice(x + 1, **AROUND), dims=(1, 0)) * 2,
    "steps": lambda x: op.unslice(x, shape=(7, 16), key=((0, 7, 1), (0, 16, 2))) + 1,
    "little": lambda x: op.unslice(x, shape=(70, 8), key=((5, 12, 1), (0, 8, 1))) + 1,
    "infinite": lambda x: op.unslice(1 / (x - x), **AROUND) + 1,
    "bools": lambda x: op.cast(op.unslice(x > 0, **AROUND), dtype=np.dtype("float32")),
    "sums": lambda x: op.sum(op.unslice(x * 2, **AROUND), dim=(1,), keepdim=False),
    "columns": lambda x: op.sum(op.unslice(x * 2, **AROUND), dim=(0,), keepdim=False),
    "nested": lambda x: (
        op.unslice(
            op.unslice(x * 2, **AROUND) + 1,
            shape=(10, 12),
            key=((0, 9, 1), (0, 12, 1)),
        )
        * 2
    ),
    "one row": lambda x: op.unslice(x[0] * 2, shape=(2, 8), key=(1, (0, 8, 1))) + 1,
    "diagonal": lambda x: (
        op.undiagonal(x[0], shape=(8, 10), offset=1, dim1=0, dim2=1) + 1
    ),
    "below": lambda x: (
        op.undiagonal(x[0], shape=(10, 8), offset=-2, dim1=0, dim2=1) + 1
    ),
    "rows of diagonals": lambda x: (
        op.undiagonal(x * 2, shape=(8, 7, 8), offset=0, dim1=0, dim2=2) + 1
    ),
    "looked up": lambda x: (
        op.unslice(
            ad.gather(x, 1, (x * 0).long() + 5),
            shape=(9, 8),
            key=((1, 8, 1), (0, 8, 1)),
        )
        + 1
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_zeros_around_values(name):
    x, f = ad.tensor(X), CASES[name]
    fast = ad.compile(f)
    fast(x)
    np.testing.assert_allclose(
        np.asarray(fast(x).detach()), np.asarray(f(x).detach()), rtol=1e-6
    )


def test_a_hessian_is_a_few_loops():
    def rosenbrock(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    hessian = ad.func.hessian(rosenbrock)
    fast, x = ad.compile(hessian), ad.linspace(-1, 1, 50)
    fast(x)
    np.testing.assert_allclose(
        np.asarray(fast(x)), np.asarray(hessian(x)), rtol=1e-5, atol=1e-4
    )
    assert len(fast.explain().regions) <= 5
    assert "undiagonal" in fast.program(x, after="simplify")
