"""LLVM: its text, its library, and the machine code that it makes."""
