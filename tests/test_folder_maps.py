"""A folder's README names each of its files, and no others."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "adjoint"
FOLDERS = ("compiler", "compiler/native", "ir")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_map_names_every_file(folder):
    files = {p.name for p in (ROOT / folder).glob("*.py")} - {"__init__.py"}
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+\.py)`", row)]
    assert len(named) == len(set(named)), "a file has one place in the map"
    assert set(named) == files


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_map_names_no_file_that_is_not_there(folder):
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([\w/]+\.py)`", text):
        places = [ROOT / folder / name, ROOT / name, ROOT / "compiler" / name]
        here = any(p.exists() for p in places)
        assert here or name.startswith("tests/"), name
