"""Classes that are written in several files: no part takes a method away from another."""

import pytest

pytest.importorskip("llvmlite")

from adjoint.compiler.native.arithmetic.lanes import Lanes
from adjoint.compiler.native.convolutions.slide import Slide
from adjoint.compiler.native.convolutions.winograd import _Results
from adjoint.compiler.native.entry import Entry
from adjoint.compiler.native.kernels.emit import Emitter
from adjoint.compiler.native.products.form import Form
from adjoint.compiler.native.products.packed import Packed
from adjoint.compiler.native.writer import Writer


@pytest.mark.parametrize(
    "kind", [Emitter, Entry, Form, Lanes, Packed, Writer, _Results, Slide]
)
def test_each_method_has_one_home(kind):
    homes = {}
    for part in kind.__mro__[:-1]:
        for name, x in vars(part).items():
            if callable(x) and name != "__init__":
                homes.setdefault(name, []).append(part.__name__)
    assert {k: v for k, v in homes.items() if len(v) > 1} == {}
