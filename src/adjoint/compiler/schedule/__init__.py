"""From a program to loops: which values have memory, and which loops compute them."""
