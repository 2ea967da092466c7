"""`adjoint grad` and `adjoint check`: expressions of a person, read without running code.

The text is parsed by Python's own grammar; of its syntax tree only numbers, names, operators,
indices and calls of mathematical functions are carried out, by the table below.
"""

from __future__ import annotations

import ast
import difflib
import math
import operator
import warnings
from collections.abc import Callable

import numpy as np

from .. import nn
from ..autodiff.check import GradcheckError, gradcheck, gradgradcheck
from ..autodiff.transforms import grad as grad_of
from ..core.bind import Box
from ..errors import AdjointError, ArgumentError
from ..functional.face import FUNCTIONS
from ..ir.trace import trace
from ..printing import short

LONGEST = 10_000


class UsageError(ArgumentError):
    """What was typed has no meaning here: exit code 2."""


KNOWN = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "clamp",
    "cos",
    "cosh",
    "cross",
    "cumsum",
    "det",
    "diag",
    "digamma",
    "dot",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "fmod",
    "gelu",
    "hypot",
    "i0",
    "inverse",
    "leaky_relu",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logsumexp",
    "matmul",
    "maximum",
    "mean",
    "minimum",
    "mish",
    "nan_to_num",
    "norm",
    "outer",
    "pow",
    "prod",
    "reciprocal",
    "relu",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinc",
    "sinh",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "std",
    "sum",
    "tan",
    "tanh",
    "trace",
    "trunc",
    "var",
    "where",
    "xlogy",
]
# These take tensors only.
PAIRS = ("atan2", "hypot", "logaddexp", "maximum", "minimum", "xlogy", "fmod", "where")
CONSTANTS = {
    "pi": math.pi,
    "e": math.e,
    "inf": math.inf,
    "nan": math.nan,
    "tau": math.tau,
}
BINARY: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
}
UNARY: dict[type, Callable] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
COMPARE: dict[type, Callable] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def functions() -> dict[str, Callable]:
    """The functions that an expression may call."""
    return {k: FUNCTIONS.get(k) or getattr(nn.functional, k) for k in KNOWN}


def expression(text: str) -> tuple[Callable, list[str]]:
    """(function of keyword arguments, the names it wants) of an expression.

    >>> from adjoint.cli.expression import expression
    >>> f, names = expression("x**2 + sin(y)")
    >>> names, f(x=3.0, y=0.0).item()
    (['x', 'y'], 9.0)
    """
    tree = _parsed(text)
    known = functions()
    reader = _Reader(text, known)
    names = reader.names(tree)

    def f(**values):
        return _tensor(reader.value(tree, values))

    return f, names


def _tensor(y):
    return y if isinstance(y, Box) else FUNCTIONS["tensor"](y, dtype="float64")


def _parsed(text):
    if len(text) > LONGEST:
        raise UsageError(f"an expression has at most {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        what = (
            error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        )
        raise UsageError(f"{text[:80]!r} is no expression: {what}") from None


class _Reader:
    """Carries out a syntax tree, or says which part of it is not mathematics."""

    def __init__(self, text: str, known: dict[str, Callable]):
        self.text, self.known = text, known

    def names(self, tree) -> list[str]:
        """The variables, in order; everything else is checked on the way."""
        found: dict[str, None] = {}
        todo = [tree]
        while todo:
            node = todo.pop(0)
            self.check(node)
            if isinstance(node, ast.Name) and node.id not in CONSTANTS:
                found[node.id] = None
            todo = [*self.parts(node), *todo]
        return list(found)

    def parts(self, node) -> list:
        """The expressions below a node."""
        if isinstance(node, ast.Call):
            return [*node.args, *(k.value for k in node.keywords)]
        if isinstance(node, ast.Subscript):
            return [node.value]
        return [c for c in ast.iter_child_nodes(node) if isinstance(c, ast.expr)]

    def check(self, node) -> None:
        """Raise for what an expression may not have."""
        allowed = {
            ast.BinOp: lambda n: type(n.op) in BINARY,
            ast.UnaryOp: lambda n: type(n.op) in UNARY,
            ast.Compare: lambda n: all(type(o) in COMPARE for o in n.ops),
            ast.Constant: lambda n: type(n.value) in (int, float),
            ast.Name: lambda n: True,
            ast.Call: self.callable,
            ast.Subscript: self.indexed,
            ast.List: lambda n: True,
            ast.Tuple: lambda n: True,
        }.get(type(node))
        if allowed is None or not allowed(node):
            hint = "a power is written **" if _caret(node) else ""
            raise UsageError(
                f"{_shown(node)} cannot be part of an expression", hint=hint
            )

    def callable(self, node) -> bool:
        """Whether the call is of a known function, by its name."""
        if not isinstance(node.func, ast.Name) or any(
            k.arg is None for k in node.keywords
        ):
            return False
        name = node.func.id
        if name not in self.known:
            near = difflib.get_close_matches(name, self.known, 1)
            hint = f"did you mean {near[0]}?" if near else "see adjoint grad --help"
            raise UsageError(f"there is no function {name!r} to call", hint=hint)
        return True

    def indexed(self, node) -> bool:
        """Whether the index is made of whole numbers alone."""
        for part in ast.walk(node.slice):
            if isinstance(part, (ast.Constant, ast.UnaryOp, ast.Tuple, ast.Slice)):
                continue
            if not isinstance(part, (ast.USub, ast.Load)):
                return False
        return True

    def value(self, node, values):
        """The value of a part."""
        try:
            return getattr(self, f"_{type(node).__name__.lower()}")(node, values)
        except TypeError as error:  # what the operator or function does not take
            if isinstance(error, AdjointError):
                raise
            raise UsageError(f"{_shown(node)}: {error}") from None

    def _constant(self, node, values):
        return node.value if abs(node.value) < 2**53 else float(node.value)

    def _name(self, node, values):
        if node.id in values:
            return values[node.id]
        return CONSTANTS[node.id]

    def _binop(self, node, values):
        a, b = self.value(node.left, values), self.value(node.right, values)
        f = BINARY[type(node.op)]
        if isinstance(a, Box) or isinstance(b, Box):
            return f(a, b)
        if isinstance(a, list) or isinstance(b, list):
            raise UsageError(f"{_shown(node)}: lists are arguments of functions only")
        with np.errstate(all="ignore"):  # of floats 9**9**9 is infinite, not for ever
            return float(f(np.float64(a), np.float64(b)))

    def _unaryop(self, node, values):
        return UNARY[type(node.op)](self.value(node.operand, values))

    def _compare(self, node, values):
        if len(node.ops) != 1:
            raise UsageError(f"{_shown(node)}: one comparison at a time")
        a, b = self.value(node.left, values), self.value(node.comparators[0], values)
        return COMPARE[type(node.ops[0])](a, b)

    def _call(self, node, values):
        args = [self.value(a, values) for a in node.args]
        given = {k.arg: self.value(k.value, values) for k in node.keywords}
        f = self.known[node.func.id]
        if node.func.id in PAIRS or not any(isinstance(a, Box) for a in args):
            args = [_tensor(a) for a in args]
        return f(*args, **given)

    def _subscript(self, node, values):
        x = self.value(node.value, values)
        return x[_index(node.slice)]

    def _list(self, node, values):
        return [self.value(v, values) for v in node.elts]

    _tuple = _list


def _index(node):
    if isinstance(node, ast.Tuple):
        return tuple(_index(n) for n in node.elts)
    if isinstance(node, ast.Slice):
        parts = (node.lower, node.upper, node.step)
        return slice(*(None if p is None else _index(p) for p in parts))
    return int(ast.literal_eval(node))


def _caret(node) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor)


def _shown(node) -> str:
    text = ast.unparse(node)
    return repr(text if len(text) < 60 else text[:57] + "...")


# ---------------------------------------------------------------- arguments


def values_of(given: list[str], names: list[str]) -> dict:
    """Name -> tensor of `x=2` or `x=[1,2]`; every name of the expression has one."""
    values = {}
    for item in given:
        name, equals, text = item.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise UsageError(f"{item!r} is no value", hint="x=2, or x=[1,2,3]")
        values[name] = _value(name, text)
    missing = [n for n in names if n not in values]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} without a value",
            hint=f"adjoint grad EXPR {missing[0]}=1",
        )
    unused = [n for n in values if n not in names]
    if unused:
        near = difflib.get_close_matches(unused[0], names, 1)
        raise UsageError(
            f"{unused[0]!r} does not occur in the expression",
            hint=f"did you mean {near[0]}?" if near else "",
        )
    return {n: values[n] for n in names}


def _value(name, text):
    words = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan, "pi": math.pi}
    try:
        x = words[text.strip()] if text.strip() in words else ast.literal_eval(text)
        return FUNCTIONS["tensor"](np.array(x, np.float64))
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise UsageError(f"{name}={text} is no number and no list of numbers") from None


# ---------------------------------------------------------------- commands


def prepared(given):
    """(function of the values in order, names, values)."""
    f, names = expression(given.expression)
    values = values_of(given.values, names)
    if not names:
        raise UsageError("the expression has no variable")

    def f_of(*xs):
        y = f(**dict(zip(names, xs, strict=True)))
        if y.numel() != 1 or not y.is_floating_point():
            raise UsageError(
                f"the value must be one number, got shape {tuple(y.shape)} of {y.dtype}",
                hint="sum(...) makes one of many",
            )
        return y.reshape(()) if y.ndim else y

    return f_of, names, list(values.values())


def grad(given):
    """Value, gradient and the table of adjoints."""
    f, names, xs = prepared(given)
    value = f(*xs).item()
    gs = grad_of(f, argnums=tuple(range(len(xs))))(*xs)
    answer = {
        "expression": given.expression,
        "at": {n: x.tolist() for n, x in zip(names, xs, strict=True)},
        "value": value,
        "gradient": {n: g.tolist() for n, g in zip(names, gs, strict=True)},
        **_program(f, names, xs),
    }
    return 0, answer, _told(answer)


def _program(f, names, xs):
    """The straight-line program, and each of its variables with value and adjoint."""
    program = trace(f)(*xs)
    program.graph.name = "f"
    for v, name in zip(program.graph.inputs, names, strict=True):
        v.name = name
    table = program.adjoints(*xs)
    rows = [
        {"name": k, "value": np.asarray(v).tolist(), "adjoint": np.asarray(a).tolist()}
        for k, (v, a) in table.items()
        if a is not None
    ]
    return {"program": str(program), "adjoints": rows}


def _told(answer) -> str:
    lines = [f"value     {short(np.asarray(answer['value']))}"]
    for name, g in answer["gradient"].items():
        lines.append(f"d/d{name:<6} {short(np.asarray(g))}")
    lines += ["", answer["program"], "", f"{'step':<8} {'value':>16} {'adjoint':>16}"]
    for row in answer["adjoints"]:
        value, adjoint = (short(np.asarray(row[k])) for k in ("value", "adjoint"))
        lines.append(f"{row['name']:<8} {value:>16} {adjoint:>16}")
    return "\n".join(lines)


def check(given):
    """Compare the derivatives with central differences: exit code 1 where they differ."""
    f, names, xs = prepared(given)
    xs = [x.requires_grad_() for x in xs]
    answer: dict = {"expression": given.expression, "agrees": True}
    value = f(*xs)
    if not value.isfinite().all():
        words = (
            f"at {_places(names, xs)} the value is {short(value.detach().numpy())}: "
        )
        words += "there is no derivative to compare"
        return 1, {**answer, "agrees": False, "why": words}, words
    try:
        with np.errstate(all="ignore"):  # at infinities there is no difference to take
            gradcheck(f, xs, check_forward_ad=True)
            if given.second:
                gradgradcheck(f, xs)
    except GradcheckError as error:
        words = str(error).split("\n  in ")[0]
        return 1, {**answer, "agrees": False, "why": words}, words
    orders = (
        "first and second derivatives agree" if given.second else "derivatives agree"
    )
    return 0, answer, f"{orders} with central differences at {_places(names, xs)}"


def _places(names, xs):
    return ", ".join(
        f"{n} = {short(x.detach().numpy())}" for n, x in zip(names, xs, strict=True)
    )
