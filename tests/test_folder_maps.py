"""A folder's README names each of the files in it and below it, and no others."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "adjoint"
FOLDERS = ("autodiff", "compiler", "compiler/native", "ir")


def files(folder):
    """By name; a folder with a map of its own is left to that."""
    for path in folder.iterdir():
        if path.suffix == ".py" and path.name != "__init__.py":
            yield path
        elif path.is_dir() and not (path / "README.md").exists():
            yield from files(path)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_map_names_every_file(folder):
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+\.py)`", row)]
    assert sorted(named) == sorted(path.name for path in files(ROOT / folder))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_part_of_a_map_tells_its_folder(folder):
    """**Products of matrices**: `products/`, and then the files that are there."""
    home = ROOT / folder
    text = (home / "README.md").read_text(encoding="utf-8")
    for part in re.split(r"^\*\*", text, flags=re.MULTILINE)[1:]:
        title = part.partition("\n")[0]
        place = home / (re.findall(r"`(\w+)/`", title) or ["."])[0]
        for row in part.splitlines():
            if row.startswith("| `"):
                for name in re.findall(r"`(\w+\.py)`", row):
                    assert (place / name).exists(), f"{name} under {title}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_map_names_no_file_that_is_not_there(folder):
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    below = {path.name for path in files(ROOT / folder)}
    for name in re.findall(r"`([\w/]+\.py)`", text):
        places = [ROOT / folder / name, ROOT / name, ROOT / "compiler" / name]
        here = name in below or any(p.exists() for p in places)
        assert here or name.startswith("tests/"), name
