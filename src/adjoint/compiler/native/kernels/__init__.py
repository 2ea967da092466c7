"""Kernels of loops: each element on its own, row by row, over any dims."""
