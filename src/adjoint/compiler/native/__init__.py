"""Native code: a captured program as one machine function. README.md is the map."""
