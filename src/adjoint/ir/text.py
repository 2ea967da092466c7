"""Programs as text: the straight-line form for people, and an exact form that parses back."""

from __future__ import annotations

import ast
import math

import numpy as np

from ..core.bind import floor
from ..core.primitive import Primitive, op
from ..core.shape import Spec
from ..errors import ArgumentError, show_site
from ..printing import number, short
from .graph import Const, Graph, Operation, Var
from .tracer import TraceLevel, Tracer

# ---------------------------------------------------------------- for people


def pretty(graph: Graph, note=None) -> str:
    """z1 = x1**2 and so on; behind each operation what `note` has to say of it."""
    return "\n".join(_beside(a, b) for a, b in _rows(graph, note or (lambda o: "")))


def _rows(graph, note):
    """(line, comment) of a program, then of those that its operations are made of."""
    yield _header(graph), ""
    called = graph.parts()
    for o in graph.operations:
        yield f"  {_assign(o, called)}", note(o)
    yield _returns(graph), ""
    for part, name in called.items():
        (head, _), *rest = _rows(part, note)
        yield f"  where {name}{head[head.index('(') :]}", ""
        yield from ((f"  {line}", said) for line, said in rest)


def _beside(line, comment) -> str:
    return f"{line:<37} # {comment}" if comment else line


def provenance(graph: Graph):
    """For `pretty`: the line that wrote an operation, and of which of `graph` it was made."""
    known = {id(o) for o in graph.operations}

    def note(o):
        made_of = [v.name for p in sources(o) if id(p) in known for v in p.outputs]
        of = f"of {', '.join(made_of)}: " if made_of and id(o) not in known else ""
        return of + show_site(o.site)

    return note


def sources(o: Operation) -> list[Operation]:
    """The operations that were there before all passes and that `o` was made of."""
    todo, found, met = [o], [], set()
    while todo:
        p = todo.pop()
        if id(p) not in met:
            met.add(id(p))
            todo += reversed(p.origin)
            found += [] if p.origin else [p]
    return found


def _header(graph):
    given = ", ".join(f"{v.name}: {v.spec}" for v in graph.inputs)
    name = graph.name if graph.name.isidentifier() else "f"
    return f"{name}({given}):"


def _returns(graph):
    return "  return " + ", ".join(_operand(v) for v in graph.outputs)


def _assign(o: Operation, called=None) -> str:
    return f"{', '.join(v.name for v in o.outputs)} = {expression(o, _operand, called)}"


def _operand(v) -> str:
    if isinstance(v, Const):
        return number(v.value) if v.value.ndim == 0 else v.name
    return v.name


def expression(o: Operation, operand, called=None) -> str:
    """The right-hand side, with the operator's symbol where it has one."""
    inputs = [operand(v) for v in o.inputs]
    if o.prim.symbol:
        return o.prim.symbol.format(*inputs, **o.params)
    params = _params(o, called or {})
    return f"{o.prim.name}({', '.join([*inputs, *params])})"


def annotated(graph, run, values, partials, reverse, lines) -> str:
    """The straight-line program with comments, then the reverse program."""
    rows = [(_header(graph), "")]
    if values:
        rows += [(f"  {v.name} = {short(run.env[v])}", "given") for v in graph.inputs]
    for o in graph.operations:
        notes = []
        if values:
            notes.append("= " + ", ".join(short(run.env[v]) for v in o.outputs))
        if partials:
            notes += _partials(run, o)
        if lines:
            notes.append(show_site(o.site))
        rows.append((f"  {_assign(o)}", "    ".join(notes)))
    rows.append((_returns(graph), ""))
    if reverse:
        rows += _reverse_rows(graph, run, values)
    return "\n".join(_beside(a, b) for a, b in rows)


def _partials(run, o):
    notes = []
    for i, v in enumerate(o.inputs):
        p = run.partial(o, i)
        if p is not None and not (np.ndim(p) > 0 and np.size(p) > 4):
            notes.append(f"∂{o.outputs[0].name}/∂{v.name} = {short(p)}")
    return notes


def _reverse_rows(graph, run, values):
    run.backward()
    rows = [("reverse:", ""), (f"  ð{graph.outputs[0].name} = 1", "")]
    for o, i, v, g in run.steps:
        rows.append(
            (
                f"  ð{v.name} += {cotangent_rule(o, i)}",
                f"= {short(g)}" if values else "",
            )
        )
    return rows


def cotangent_rule(o: Operation, i: int) -> str:
    """What the vjp of `o` gives for its input i, written out as an expression.

    The rule itself is traced, on variables named ð…, so that this is what runs.
    """
    level = TraceLevel("rule")
    given = [Tracer(level, Var(f"ð{v.name}", v.spec)) for v in o.outputs]
    ys = tuple(Tracer(level, v) for v in o.outputs)
    xs = [v.value if isinstance(v, Const) else Tracer(level, v) for v in o.inputs]
    token = floor.set(level)
    try:
        one = o.prim.outputs == 1
        need = [k == i for k in range(len(xs))]
        g = o.prim.vjp(
            given[0] if one else given, ys[0] if one else ys, xs, o.params, need
        )[i]
    finally:
        floor.reset(token)
    made = {v: rule for rule in level.graph.operations for v in rule.outputs}
    return _inline(level.var(g), made, top=True)


def _inline(v, made, top=False):
    o = made.get(v)
    if o is None:
        return _operand(v)
    if o.prim.name == "guard":
        return _inline(o.inputs[1], made, top)
    out = expression(o, lambda x: _inline(x, made))
    plain = top or not o.prim.symbol or o.prim.name == "contract"
    return out if plain else f"({out})"


# ---------------------------------------------------------------- exact, and back


def exact(graph: Graph) -> str:
    """A Python function of primitives with types, which `parse` reads back.

    Bodies of loops and branches are functions inside it.
    """
    return _exact(graph, graph.name if graph.name.isidentifier() else "f")


def _exact(graph: Graph, name: str) -> str:
    given = ", ".join(f"{v.name}: {_type(v.spec)}" for v in graph.inputs)
    lines = [f"def {name}({given}):"]
    called = {part: f"{name}_{own}" for part, own in graph.parts().items()}
    for part, own in called.items():
        lines += [f"    {line}" for line in _exact(part, own).split("\n")]
    for c in graph.consts:
        lines.append(f"    {c.name}: {_type(c.spec)} = const({c.value.tolist()!r})")
    for o in graph.operations:
        args = [v.name for v in o.inputs] + _params(o, called)
        left = o.outputs[0].name + f": {_type(o.outputs[0].spec)}"
        if len(o.outputs) > 1:
            left = ", ".join(v.name for v in o.outputs)
        lines.append(f"    {left} = {o.prim.name}({', '.join(args)})")
    returns = ", ".join(v.name for v in graph.outputs)
    return "\n".join([*lines, f"    return ({returns},)"])


def _type(spec: Spec) -> str:
    return f"{spec.dtype.name}[{', '.join(map(str, spec.shape)) or '()'}]"


def _params(o: Operation, called) -> list[str]:
    """name=value of each parameter; programs by what they are called."""
    return [
        f"{k}={called.get(v, k) if isinstance(v, Graph) else _param(v)}"
        for k, v in o.params.items()
    ]


def _param(x) -> str:
    if isinstance(x, np.dtype):
        return f"dtype({x.name!r})"
    if isinstance(x, Primitive):
        return f"prim({x.name!r})"
    if isinstance(x, tuple):
        return "(" + ", ".join(map(_param, x)) + ("," if len(x) == 1 else "") + ")"
    if isinstance(x, dict):
        return "{" + ", ".join(f"{k!r}: {_param(v)}" for k, v in x.items()) + "}"
    return repr(x)


def parse(source: str) -> Graph:
    """The graph whose exact text this is."""
    try:
        (function,) = ast.parse(source.strip()).body
        if not isinstance(function, ast.FunctionDef):
            raise ValueError("not a function")
        return _Parser(function).graph
    except (SyntaxError, ValueError, KeyError, AttributeError) as error:
        raise ArgumentError(
            f"parse: this is not the text of a program: {error}",
            hint="program.text() gives the form that can be read back",
        ) from None


class _Parser:
    """Builds a graph from the syntax tree of its exact text."""

    def __init__(self, function: ast.FunctionDef):
        self.graph = Graph(function.name)
        self.names: dict = {}
        self.parts: dict = {}
        for a in function.args.args:
            self.names[a.arg] = self.graph.add_input(a.arg, self.spec(a.annotation))
        for statement in function.body:
            self.statement(statement)

    def spec(self, node) -> Spec:
        shape = ast.literal_eval(node.slice)
        shape = shape if isinstance(shape, tuple) else (shape,)
        return Spec(shape, np.dtype(node.value.id))

    def statement(self, s):
        if isinstance(s, ast.FunctionDef):
            self.parts[s.name] = _Parser(s).graph
            return
        if isinstance(s, ast.Return):
            self.graph.outputs = [self.names[e.id] for e in s.value.elts]
            return
        target = s.target if isinstance(s, ast.AnnAssign) else s.targets[0]
        names = (
            [e.id for e in target.elts]
            if isinstance(target, ast.Tuple)
            else [target.id]
        )
        call = s.value
        if call.func.id == "const":
            self.const(names[0], self.spec(s.annotation), self.value(call.args[0]))
            return
        inputs = [self.names[a.id] for a in call.args]
        params = {k.arg: self.value(k.value) for k in call.keywords}
        outputs = self.graph.add(getattr(op, call.func.id), inputs, params)
        for name, v in zip(names, outputs, strict=True):
            v.name = name
            self.names[name] = v
        if isinstance(s, ast.AnnAssign) and outputs[0].spec != self.spec(s.annotation):
            raise ValueError(
                f"{names[0]} is {outputs[0].spec}, not {ast.unparse(s.annotation)}"
            )

    def const(self, name, spec, value):
        array = np.array(value, spec.dtype).reshape(spec.shape)
        c = self.graph.const(array)
        c.name = name
        self.names[name] = c

    def value(self, node):
        if isinstance(node, ast.Call):
            made = {"dtype": np.dtype, "prim": lambda n: getattr(op, n)}[node.func.id]
            return made(ast.literal_eval(node.args[0]))
        if isinstance(node, ast.Tuple):
            return tuple(self.value(e) for e in node.elts)
        if isinstance(node, ast.List):
            return [self.value(e) for e in node.elts]
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            return {self.value(k): self.value(v) for k, v in pairs}
        if isinstance(node, ast.Name):
            return ({"inf": math.inf, "nan": math.nan} | self.parts)[node.id]
        if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Name):
            return -self.value(node.operand)
        return ast.literal_eval(node)
