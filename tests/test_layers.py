"""The rows of the house: a module imports only lower rows, and only at its top."""

import ast
import functools
import re
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
    ("amp",),
    ("demo", "sklearn"),
    ("cli",),
)
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}
FREE = {"__init__", "__main__"}  # the package's own face sees every row
# Siblings that are one story in two files: the package may import one from the other.
TOGETHER = {("autograd", "func"), ("func", "tensor"), ("autograd", "tensor")}
FILES = sorted(ROOT.rglob("*.py"))
# Rows of folders, the lowest first; what stands in none is above them all.
HOUSES = {
    "compiler": (
        ("late",),
        ("log",),
        ("cache", "amounts"),
        ("schedule",),
        ("capture",),
        ("binding", "memory", "results"),
        ("native",),
    ),
    "compiler/native": (
        ("llvm",),
        ("arithmetic", "sharing"),
        ("products",),
        ("kernels", "convolutions"),
    ),
}


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
    return _rows(_inside(node, path), node)


def _inside(node, path):
    """Where in the package a relative import looks, part by part."""
    package = path.relative_to(ROOT).parent.parts
    base = package[: len(package) - (node.level - 1)]
    return [*base, *(node.module or "").split(".")]


def _rows(parts, node):
    parts = [p for p in parts if p]
    return parts[:1] or [a.name for a in node.names]


@functools.cache  # each file is read once for all tests
def statements(path):
    """(import, whether it is inside a function) of each import in a file."""
    found, todo = [], [(ast.parse(path.read_text(encoding="utf-8")), False)]
    while todo:
        node, inside = todo.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.append((node, inside))
        inside = inside or isinstance(node, ast.FunctionDef)
        todo += [(x, inside) for x in _blocks(node) if isinstance(x, ast.stmt)]
    return found


def _blocks(node):
    """What a statement, or one of its parts, has below it that may hold statements."""
    for name in ("body", "orelse", "finalbody"):
        yield from getattr(node, name, ())
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield from _blocks(part)


def imports(path):
    """(node, rows, inside a function) of each import of our package."""
    for node, inside in statements(path):
        rows = imported(node, path)
        if rows:
            yield node, rows, inside


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


def parts_of(house, path):
    """(line, part) of the folders and files of a house that a file of it imports."""
    home = house.split("/")
    for node, _ in statements(path):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = [p for p in _inside(node, path) if p]
            if parts[: len(home)] == home:
                rest = parts[len(home) :]
                names = rest[:1] or [a.name for a in node.names]
                yield from ((node.lineno, name) for name in names)


def _residents():
    """(house, file, the folder or file of the house that it is of)."""
    for house in HOUSES:
        for path in sorted((ROOT / house).rglob("*.py")):
            own = path.relative_to(ROOT / house).parts[0].removesuffix(".py")
            yield pytest.param(house, path, own, id=str(path.relative_to(ROOT)))


@pytest.mark.parametrize(("house", "path", "own"), [*_residents()])
def test_rows_of_a_house_import_only_lower_rows(house, path, own):
    rank = {name: rank for rank, row in enumerate(HOUSES[house]) for name in row}
    for line, part in parts_of(house, path) if own in rank else ():
        assert part == own or rank.get(part, 99) < rank[own], (
            f"{path.relative_to(ROOT)}:{line}: {own} imports {part}, "
            "which is not in a lower row"
        )


@pytest.mark.parametrize("house", [*HOUSES])
def test_the_rows_of_a_house_are_there(house):
    for name in (name for row in HOUSES[house] for name in row):
        place = ROOT / house / name
        assert place.is_dir() or place.with_suffix(".py").exists()


def test_the_parts_that_a_file_imports():
    nests = ROOT / "compiler" / "native" / "kernels" / "nests.py"
    found = {part for _, part in parts_of("compiler/native", nests)}
    assert found == {"arithmetic", "llvm", "sharing", "kernels"}
    step = ROOT / "compiler" / "step.py"
    found = {part for _, part in parts_of("compiler", step)}
    assert {"capture", "binding"} <= found


def test_the_rule_sees_what_it_should(tmp_path):
    tree = ast.parse("def f():\n    from ..tensor import Tensor")
    node = tree.body[0].body[0]
    assert imported(node, ROOT / "ops" / "shape.py") == ["tensor"]
    assert imported(node, ROOT / "ops" / "deep" / "x.py") == ["ops"]


def test_what_tests_skip_without_is_there():
    """A module of ours that has moved would have them skipped for good."""
    for path in Path(__file__).parent.glob("test_*.py"):
        found = re.findall(
            r'importorskip\("adjoint\.([\w.]+)"\)', path.read_text(encoding="utf-8")
        )
        for name in found:
            place = ROOT.joinpath(*name.split("."))
            there = place.with_suffix(".py").exists() or place.is_dir()
            assert there, f"{path.name} waits for adjoint.{name}"
