"""Convolutions: sums over the places of a kernel, and how images are laid out for them."""
