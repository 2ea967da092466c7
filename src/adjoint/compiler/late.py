"""Late: modules that most programs do not need, imported when first asked."""

from __future__ import annotations

import importlib
from typing import Any


class Late:
    """Stands for a module, by its name relative to a package."""

    def __init__(self, name: str, package: str):
        self._module = name, package

    def __getattr__(self, name: str) -> Any:
        found = getattr(importlib.import_module(*self._module), name)
        setattr(self, name, found)
        return found


batches = Late(".batches", __package__)
explained = Late(".explained", __package__)
inner = Late(".capture.inner", __package__)
logging = Late("logging", "")
memory = Late(".memory", __package__)
pathlib = Late("pathlib", "")
probe = Late(".probe", __package__)
