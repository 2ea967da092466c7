"""Dtypes, shapes, trees, primitives and bind: what every other layer stands on."""
