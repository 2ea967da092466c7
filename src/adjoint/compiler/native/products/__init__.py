"""Products of matrices: how they are cut, copied, computed and put together."""
