"""Native code: arithmetic on vectors, and the machine that runs it. llvmlite is imported here."""
