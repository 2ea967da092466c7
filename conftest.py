"""What the examples in docstrings may use without importing it."""

import os
from importlib.util import find_spec

import numpy as np
import pytest

import adjoint as ad

os.environ["ADJOINT_CACHE"] = os.environ.get("ADJOINT_CACHE", "off")  # not at home
os.environ.setdefault("ADJOINT_VERIFY", "1")  # every pass of every program

# Modules whose one import beyond NumPy is an extra that may not be installed.
collect_ignore = [] if find_spec("sklearn") else ["src/adjoint/sklearn.py"]


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden/ anew: look at the difference before you commit it",
    )


@pytest.fixture
def doctest_namespace(request):
    """Docstrings use adjoint's names bare; pages import what they use, as users do."""
    if "src" not in request.path.parts:
        return {}
    own = request.node.dtest.globs
    names = {k: getattr(ad, k) for k in dir(ad) if not k.startswith("_")}
    del names["range"]  # loops count with Python's own
    names |= {"ad": ad, "np": np}
    return {k: v for k, v in names.items() if not _defined_there(own, k)}


def _defined_there(module, name):
    """Whether the module under test itself defines the name, and so means its own."""
    return getattr(module.get(name), "__module__", None) == module["__name__"]
