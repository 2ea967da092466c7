"""Instead: what to write where Python decides by a number that is not there yet.

The statement that decides is found by where its instruction stands in the source, and is
written over: an `if` as `cond`, a `while` as `while_loop`, and so on.
"""

from __future__ import annotations

import ast
import copy
import linecache
from itertools import islice, pairwise

USUAL = "where, cond, scan and while_loop decide on values inside a program"


def instead(site) -> str:
    """What to write for the code at `site`; something general where that is not clear."""
    found = _path(site)
    for node, below in zip(reversed(found), [None, *reversed(found)], strict=False):
        rule = _RULES.get(type(node))
        said = rule and rule(node, below, found)
        if said:
            return said
    return USUAL


def _path(site) -> list:
    """The syntax around an instruction, from the whole file inwards; empty if unknown."""
    if site is None:
        return []
    code, instruction, _ = site
    place = next(islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    if None in place:
        return []
    first, last, start, end = place
    try:
        node = ast.parse("".join(linecache.getlines(code.co_filename)))
    except (SyntaxError, ValueError):
        return []
    span, path = ((first, start), (last, end)), [node]
    while node is not None:
        node = next((n for n in _children(node) if _holds(n, span)), None)
        path += [node] if node is not None else []
    return path


def _children(node):
    """Its parts that have a place; what has none, such as the part after `for`, is opened."""
    for n in ast.iter_child_nodes(node):
        if hasattr(n, "lineno"):
            yield n
        else:
            yield from _children(n)


def _holds(n, span) -> bool:
    (first, start), (last, end) = span
    after = (n.lineno, n.col_offset) <= (first, start)
    return after and (last, end) <= (n.end_lineno, n.end_col_offset)


# ---------------------------------------------------------------- what becomes of what


def _branch(node, below, path):
    """if c: y = a  ->  y = cond(c, lambda: a, lambda: y)"""
    if _beside(node.test, below):
        return None
    given = _given(node.body)
    other = _given(node.orelse or _rest(node, path))
    test = _text(_decided(node.test))
    if given and not node.orelse and given[0]:
        other = given[0], given[0]
    if not given or not other or given[0] != other[0]:
        return (
            f"write y = ad.cond({test}, f, g), which calls f() or g(); element by element, "
            f"ad.where({test}, a, b)"
        )
    name = f"{given[0]} = " if given[0] else "return "
    return (
        f"write {name}ad.cond({test}, lambda: {given[1]}, lambda: {other[1]}); "
        "element by element, ad.where(condition, a, b)"
    )


def _chosen(node, below, path):
    """a if c else b  ->  cond(c, lambda: a, lambda: b)"""
    if _beside(node.test, below):
        return None
    test, a, b = _text(_decided(node.test)), _text(node.body), _text(node.orelse)
    return (
        f"write ad.cond({test}, lambda: {a}, lambda: {b}); element by element, "
        f"ad.where({test}, {a}, {b})"
    )


def _repeated(node, below, path):
    """while c: y = a  ->  y = while_loop(lambda y: c, lambda y: a, y)"""
    if _beside(node.test, below):
        return None
    test, given = _text(_decided(node.test)), _given(node.body)
    if given and given[0]:
        y, a = given
        return f"write {y} = ad.while_loop(lambda {y}: {test}, lambda {y}: {a}, {y})"
    names = _changed(node.body)
    return (
        f"write {names} = ad.while_loop(test, body, ({names})), where test(state) gives "
        f"{test} and body(state) the next ({names})"
    )


def _counted(node, below, path):
    """for i in range(n): y = a  ->  y = fori_loop(0, n, lambda i, y: a, y)"""
    if below is not node.iter or _called(node.iter) != "range":
        return None
    args = [_text(_whole(x)) for x in node.iter.args]
    if len(args) > 2:
        return None
    start, stop = args if len(args) == 2 else ("0", *args)
    i, given = _text(node.target), _given(node.body)
    if given and given[0]:
        y, a = given
        return f"write {y} = ad.fori_loop({start}, {stop}, lambda {i}, {y}: {a}, {y})"
    names = _changed(node.body)
    return (
        f"write {names} = ad.fori_loop({start}, {stop}, body, ({names})), where "
        f"body({i}, state) gives the next ({names})"
    )


def _held(node, below, path):
    """assert c, text  ->  debug.check(c, text)"""
    if _beside(node.test, below):
        return None
    said = _text(node.msg) if node.msg else '"..."'
    return f"write ad.debug.check({_text(_decided(node.test))}, {said})"


def _beside(part, below) -> bool:
    """Whether the instruction stands in another part of a statement."""
    return below is not part and below is not None


def _joined(node, below, path):
    """a and b  ->  a & b"""
    if _is_condition(path):
        return None  # of the statement more can be said
    return f"write {_text(_decided(node))}: `and`, `or` and `not` are Python's"


def _inverted(node, below, path):
    return _joined(node, below, path) if isinstance(node.op, ast.Not) else None


def _between(node, below, path):
    """a < x < b  ->  (a < x) & (x < b)"""
    if len(node.ops) < 2 or _is_condition(path):
        return None
    return f"write {_text(_decided(node))}"


def _call(node, below, path):
    """What a call that needs numbers is for."""
    name = _called(node)
    inside = ", ".join(map(_text, node.args))
    if name in ("max", "min") and len(node.args) == 2:
        return f"write ad.{name}imum({inside})"
    if name == "print":
        return 'write ad.debug.print("{}", value), which prints when the program runs'
    if name in ("item", "tolist", "numpy", "float", "int", "bool", "complex", "array"):
        if _is_condition(path) or any(_called(n) == "print" for n in path):
            return None
        return "use the tensor itself, or return it and take its numbers outside"
    return None


def _is_condition(path) -> bool:
    """Whether a statement around decides by it, so that more can be said."""
    parts = [getattr(n, "test", getattr(n, "iter", None)) for n in path]
    return any(p is not None and p in path for p in parts)


def _filtered(node, below, path):
    """[a for x in xs if c]"""
    if any(below in part.ifs for part in node.generators):
        return "where(mask, a, b) keeps the shape: which are kept is not known yet"
    return None


def _sliced(node, below, path):
    """x[i : i + n]  ->  x[i + arange(n)]"""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    bounds = [p for p in parts if isinstance(p, ast.Slice)]
    if below is not None or not bounds:
        return None
    for p in bounds:
        if _begins(p.upper, p.lower) and p.step is None:
            first, n = _text(p.lower), _text(p.upper.right)
            return f"write {first} + ad.arange({n}) for {_text(p)}"
    return (
        "how long a slice is has to be known: take i + ad.arange(n) for n places from i on, "
        "or all of them, and ad.where for those that count"
    )


def _begins(end, first) -> bool:
    """Whether it is `first + n`."""
    adds = isinstance(end, ast.BinOp) and isinstance(end.op, ast.Add)
    return adds and first is not None and ast.dump(end.left) == ast.dump(first)


_RULES = {
    ast.If: _branch,
    ast.IfExp: _chosen,
    ast.While: _repeated,
    ast.For: _counted,
    ast.Assert: _held,
    ast.BoolOp: _joined,
    ast.UnaryOp: _inverted,
    ast.Compare: _between,
    ast.Subscript: _sliced,
    ast.Call: _call,
    ast.ListComp: _filtered,
    ast.GeneratorExp: _filtered,
}


# ---------------------------------------------------------------- source


def _text(node) -> str:
    return ast.unparse(node)


def _called(node) -> str:
    """What a call calls: the name, or that of the attribute."""
    f = node.func if isinstance(node, ast.Call) else None
    return getattr(f, "id", getattr(f, "attr", ""))


def _given(body):
    """(name or None for a return, expression) of a body that is one of these; else None."""
    if len(body) != 1:
        return None
    (s,) = body
    if isinstance(s, ast.Return):
        return None, _text(s.value) if s.value else "None"
    if isinstance(s, ast.Assign) and len(s.targets) == 1:
        return _named(s.targets[0], s.value)
    if isinstance(s, ast.AugAssign):
        return _named(s.target, ast.BinOp(s.target, s.op, s.value))
    return None


def _named(target, value):
    return (target.id, _text(value)) if isinstance(target, ast.Name) else None


def _changed(body) -> str:
    """The names that statements assign, in order."""
    nodes = (n for s in body for n in ast.walk(s) if isinstance(n, ast.Name))
    names = dict.fromkeys(n.id for n in nodes if isinstance(n.ctx, ast.Store))
    return ", ".join(names) or "state"


def _rest(node, path) -> list:
    """What follows an `if` without an `else`, if that is one return."""
    for outer in reversed(path[: path.index(node)]):
        for body in (getattr(outer, "body", None), getattr(outer, "orelse", None)):
            if isinstance(body, list) and node in body:
                after = body[body.index(node) + 1 :]
                return after[:1] if after and isinstance(after[0], ast.Return) else []
    return []


class _Decided(ast.NodeTransformer):
    """A condition on tensors: & for `and`, nothing for `.item()` and `float`."""

    def visit_BoolOp(self, node):
        op = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
        first, *others = map(self.visit, node.values)
        for x in others:
            first = ast.BinOp(first, op, x)
        return first

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        if not isinstance(node.op, ast.Not):
            return node
        if isinstance(node.operand, (ast.Compare, ast.BinOp, ast.UnaryOp)):
            return ast.UnaryOp(ast.Invert(), node.operand)
        return ast.Compare(node.operand, [ast.Eq()], [ast.Constant(0)])

    def visit_Compare(self, node):
        self.generic_visit(node)
        ends = [node.left, *node.comparators]
        pairs = zip(pairwise(ends), node.ops, strict=True)
        first, *others = (ast.Compare(a, [op], [b]) for (a, b), op in pairs)
        for x in others:
            first = ast.BinOp(first, ast.BitAnd(), x)
        return first

    def visit_Call(self, node):
        self.generic_visit(node)
        if _called(node) == "item" and isinstance(node.func, ast.Attribute):
            return node.func.value
        bare = isinstance(node.func, ast.Name) and len(node.args) == 1
        return node.args[0] if bare and _called(node) in _NUMBERS else node


def _whole(node):
    """int(x)  ->  x.long()"""
    if _called(node) == "int" and len(node.args) == 1:
        return ast.Call(ast.Attribute(_decided(node.args[0]), "long"), [], [])
    return _decided(node)


_NUMBERS = ("float", "int", "bool")


def _decided(node):
    return _Decided().visit(copy.deepcopy(node))
