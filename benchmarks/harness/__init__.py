"""The measuring: one process for each competitor, turns in one run, agreement first."""
