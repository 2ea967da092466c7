"""The crew: the threads of a compiled function, and what they share."""
