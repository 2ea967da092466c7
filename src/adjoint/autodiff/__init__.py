"""Derivatives: the tape, dual numbers, batching, and the transforms made of them."""
