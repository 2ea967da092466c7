"""The rows of the house: a module imports only lower rows, and only at its top."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "adjoint"
ROWS = (
    ("errors", "printing", "config"),
    ("core", "files"),
    ("ops",),
    ("autodiff", "ir"),
    ("functional",),
    ("array_api",),
    ("tensor", "autograd", "func", "cuda", "accelerator", "backends"),
    ("compiler", "legacy"),
    ("nn", "data", "metrics", "plot"),
    ("optim",),
    ("io",),
    ("train", "viz", "distributed", "utils"),
    ("demo", "sklearn"),
    ("cli",),
)
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}
FREE = {"__init__", "__main__"}  # the package's own face sees every row
# Siblings that are one story in two files: the package may import one from the other.
TOGETHER = {("autograd", "func"), ("func", "tensor"), ("autograd", "tensor")}
FILES = sorted(ROOT.rglob("*.py"))


def row_of(path):
    """The name of the row that a file belongs to: its folder or its own name."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(node, path):
    """The rows of our package that an import statement reaches."""
    if isinstance(node, ast.Import):
        names = [a.name.split(".") for a in node.names]
        return [n[1] if len(n) > 1 else "" for n in names if n[0] == "adjoint"]
    if not node.level:
        parts = (node.module or "").split(".")
        return _rows(parts[1:], node) if parts[0] == "adjoint" else []
    package = path.relative_to(ROOT).parent.parts
    base = package[: len(package) - (node.level - 1)]
    return _rows([*base, *(node.module or "").split(".")], node)


def _rows(parts, node):
    parts = [p for p in parts if p]
    return parts[:1] or [a.name for a in node.names]


def imports(path):
    """(node, rows, inside a function) of each import of our package."""
    todo = [(ast.parse(path.read_text(encoding="utf-8")), False)]
    while todo:
        node, inside = todo.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            rows = imported(node, path)
            if rows:
                yield node, rows, inside
        inside = inside or isinstance(node, (ast.FunctionDef, ast.Lambda))
        todo.extend((child, inside) for child in ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_import_of_our_package_inside_a_function(path):
    found = [f"line {node.lineno}" for node, _, inside in imports(path) if inside]
    assert not found, f"{path.name} imports our own package inside a function: {found}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_rows_import_only_lower_rows(path):
    own = row_of(path)
    if own in FREE:
        return
    assert own in RANK, f"{own} has no row; give it one in ROWS"
    for node, rows, _ in imports(path):
        for row in rows:
            allowed = row == own or (own, row) in TOGETHER
            assert allowed or RANK.get(row, 99) < RANK[own], (
                f"{path.relative_to(ROOT)}:{node.lineno}: {own} imports {row}, "
                "which is not in a lower row"
            )


def test_the_rule_sees_what_it_should(tmp_path):
    tree = ast.parse("def f():\n    from ..tensor import Tensor")
    node = tree.body[0].body[0]
    assert imported(node, ROOT / "ops" / "shape.py") == ["tensor"]
    assert imported(node, ROOT / "ops" / "deep" / "x.py") == ["ops"]
