"""The compiler: programs of the IR as native code through LLVM."""
