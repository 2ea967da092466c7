"""Programs as data: the graph, how it is traced, printed, parsed, verified and run."""
