"""What the examples in docstrings may use without importing it."""

import numpy as np
import pytest

import adjoint as ad


@pytest.fixture
def doctest_namespace(request):
    """Docstrings use adjoint's names bare; pages import what they use, as users do."""
    if request.path.suffix == ".md":
        return {}
    names = {k: v for k, v in vars(ad).items() if not k.startswith("_")}
    return {**names, "ad": ad, "np": np}
