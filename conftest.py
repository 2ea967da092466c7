"""What the examples in docstrings may use without importing it."""

import os
import re
import signal
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import adjoint as ad
from adjoint import errors

os.environ["ADJOINT_CACHE"] = os.environ.get("ADJOINT_CACHE", "off")  # not at home
os.environ.setdefault("ADJOINT_VERIFY", "1")  # every pass of every program

# Modules whose one import beyond NumPy is an extra that may not be installed; llvmlite has no
# wheels on some platforms, and then there is no native code to test or to show.
collect_ignore = [] if find_spec("sklearn") else ["src/adjoint/sklearn.py"]
if not find_spec("llvmlite"):
    compiler = ("native", "insight.py", "explained.py", "limits.py")
    inside = re.compile(
        r"^from (adjoint\.compiler\.native|test_compile_coverage)", re.M
    )
    tests = (Path(__file__).parent / "tests").glob("*.py")
    collect_ignore += [f"src/adjoint/compiler/{name}" for name in compiler]
    collect_ignore += [f"tests/{t.name}" for t in tests if inside.search(t.read_text())]
    collect_ignore += ["docs/compiling.md"]

# A shell runs what stands in its background without Ctrl-C, and all processes that come of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = str(Path(__file__).parent / "tests")
show_site = errors.show_site


def without_tables(site):
    """The line of an error; of a test's table, (lambda: call, text), only its number.

    The text that is looked for stands on that line, and would be found in any error.
    """
    line = show_site(site)
    of_test = site is not None and site[0].co_filename.startswith(TESTS)
    return line.partition(": ")[0] if of_test and ": (lambda" in line else line


errors.show_site = without_tables


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden/ anew: look at the difference before you commit it",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Where there is no native code, a test that looks at it ends there."""
    try:
        return (yield)
    except errors.ArgumentError as error:
        if find_spec("llvmlite") or "there is no native code to show" not in str(error):
            raise
        pytest.skip("needs llvmlite")


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
