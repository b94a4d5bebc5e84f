"""`make bench`: the engine beside what a user would take instead, on this machine, in turns."""
