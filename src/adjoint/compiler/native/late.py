"""Modules of operations that most programs do not have, and of what is not on disk yet."""

from __future__ import annotations

from ..late import Late

callbacks = Late(".callbacks", __package__)
chains = Late("..schedule.chains", __package__)
contractions = Late(".products.contractions", __package__)
conv = Late(".convolutions.conv", __package__)
crew = Late(".crew.crew", __package__)
crew_code = Late(".crew.code", __package__)
deep = Late(".products.deep", __package__)
economy = Late("...ir.economy", __package__)
hands = Late(".llvm.hands", __package__)
lots = Late("..schedule.apart", __package__)
pace = Late(".products.pace", __package__)
plan = Late(".plan", __package__)
products = Late(".products.tasks", __package__)
slices = Late(".slices", __package__)
sorting = Late(".kernels.sorting", __package__)
together = Late("..schedule.together", __package__)
vectors = Late(".products.vectors", __package__)
