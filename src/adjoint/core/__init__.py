"""Dtypes, shapes, trees, primitives and bind: what every other layer stands on."""

import time

LOADED = time.time_ns()  # a file of ours that is written later is not what runs here
