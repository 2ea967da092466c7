"""Arithmetic in lanes: what a record's `lower` is written in."""
