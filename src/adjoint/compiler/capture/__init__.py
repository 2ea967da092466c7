"""Running a function once: what it reads, writes and leaves behind becomes a program."""
