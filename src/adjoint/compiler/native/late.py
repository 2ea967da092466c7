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


callbacks = Late(".callbacks")
chains = Late("..chains")
contractions = Late(".products.contractions")
conv = Late(".convolutions.conv")
crew = Late(".crew.crew")
crew_code = Late(".crew.code")
deep = Late(".products.deep")
economy = Late("...ir.economy")
lots = Late("..apart")
pace = Late(".products.pace")
plan = Late(".plan")
products = Late(".products.tasks")
slices = Late(".slices")
sorting = Late(".kernels.sorting")
together = Late("..together")
