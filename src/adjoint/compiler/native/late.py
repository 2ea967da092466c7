"""Late: modules of operations that most programs do not have, imported when first asked."""

from __future__ import annotations

import importlib
from typing import Any


class Late:
    """Stands for a module of this package, by its name relative to it."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, name: str) -> Any:
        found = getattr(importlib.import_module(self._name, __package__), name)
        setattr(self, name, found)
        return found


chains = Late("..chains")
contractions = Late(".contractions")
conv = Late(".conv")
crew = Late(".crew")
crew_code = Late(".crew_code")
deep = Late(".deep")
economy = Late("...ir.economy")
lots = Late("..apart")
products = Late(".products")
slices = Late(".slices")
sorting = Late(".sorting")
together = Late("..together")
