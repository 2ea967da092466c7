"""Objects of Python in machine code: calls of its C interface, and what lies in objects."""

from __future__ import annotations

from typing import Any

from .llvm import types as ir
from .llvm.types import I32, I64, POINTER

# Where CPython's objects and NumPy's arrays keep what is read here.
COUNT, TYPE, DATA, NDIM, SHAPE, DESCR, FLAGS = 0, 8, 16, 24, 32, 56, 64
SIZE, LISTED = 16, 24  # of lists, where the items are told
ITEMS = tuple.__basicsize__  # of tuples: the items themselves
API = {
    "PyObject_GetAttr": (POINTER, [POINTER, POINTER]),
    "PyDict_GetItemWithError": (POINTER, [POINTER, POINTER]),
    "PyDict_Size": (I64, [POINTER]),
    "PyObject_CallNoArgs": (POINTER, [POINTER]),
    "PyObject_SetAttr": (I32, [POINTER, POINTER, POINTER]),
    "PyType_GenericNew": (POINTER, [POINTER, POINTER, POINTER]),
    "PyTuple_New": (POINTER, [I64]),
    "PyObject_Vectorcall": (POINTER, [POINTER, POINTER.as_pointer(), I64, POINTER]),
    "PyContextVar_Get": (I32, [POINTER, POINTER, POINTER.as_pointer()]),
    "PyEval_SaveThread": (POINTER, []),
    "PyEval_RestoreThread": (ir.VoidType(), [POINTER]),
    "PyErr_Clear": (ir.VoidType(), []),
    "PyErr_CheckSignals": (I32, []),
    "PyErr_Fetch": (ir.VoidType(), [POINTER.as_pointer()] * 3),
    "PyGILState_Ensure": (I32, []),
    "PyGILState_GetThisThreadState": (POINTER, []),
    "PyGILState_Release": (ir.VoidType(), [I32]),
    "PyThread_get_thread_ident": (I64, []),
    "Py_IncRef": (ir.VoidType(), [POINTER]),
    "Py_DecRef": (ir.VoidType(), [POINTER]),
}


class Objects:
    """What code that Python calls does with its objects; `table` has those that it knows."""

    module: Any
    b: Any  # where it is written
    table: Any
    miss: Any  # where it goes when something is not as expected
    owned: Any  # references to give back at the end
    held: Any  # how many
    answer: Any  # what is answered then
    end: Any  # where that is done
    failed: Any  # the words of a failure
    number_of: Any  # the number of a key in the table
    given: Any  # the arguments

    def api(self, name, *args):
        """A call of Python's C interface."""
        return self.b.call(self.module.declared(name, *API[name]), args)

    def slot(self, key):
        """The pointer of this key in the table."""
        return self.b.load(self.place(key))

    def place(self, key):
        return self.b.gep(self.table, [I64(self.number_of(key))])

    def field(self, x, offset, kind=POINTER):
        """What lies at an offset of an object."""
        p = self.b.gep(x, [I64(offset)])
        return self.b.load(self.b.bitcast(p, kind.as_pointer()))

    def need(self, condition):
        """Go on only if it holds; else answer MISS."""
        go = self.b.append_basic_block("go")
        self.b.cbranch(condition, go, self.miss)
        self.b.position_at_end(go)

    def same(self, x, y):
        """Whether two pointers are one."""
        return self.b.icmp_unsigned("==", x, y)

    def other(self, x, y):
        """Whether they are two."""
        return self.b.icmp_unsigned("!=", x, y)

    def attribute(self, x, name):
        """x.name; MISS is answered if there is none."""
        y = self.api("PyObject_GetAttr", x, self.slot(("name", name)))
        self.need(self.b.icmp_unsigned("!=", y, POINTER(None)))
        return y

    def own(self, x, name):
        """x.name, which x itself holds."""
        y = self.attribute(x, name)
        self.drop(y)
        return y

    def keep(self, x):
        """Give the reference `x` back at the end."""
        n = self.b.load(self.held)
        self.b.store(x, self.b.gep(self.owned, [n]))
        self.b.store(self.b.add(n, I64(1)), self.held)
        return x

    def drop(self, x):
        self.api("Py_DecRef", x)

    def leave(self, y):
        """Answer y, when all that is held is given back."""
        self.b.store(y, self.answer)
        self.b.branch(self.end)

    def release(self):
        """Give back all that is held, the last first, and answer."""
        b = self.b
        b.position_at_end(self.end)
        one, done = b.append_basic_block("one"), b.append_basic_block("done")
        n = b.load(self.held)
        b.cbranch(b.icmp_unsigned("==", n, I64(0)), done, one)
        b.position_at_end(one)
        n = b.sub(n, I64(1))
        b.store(n, self.held)
        self.drop(b.load(b.gep(self.owned, [n])))
        b.branch(self.end)
        b.position_at_end(done)
        b.ret(b.load(self.answer))
