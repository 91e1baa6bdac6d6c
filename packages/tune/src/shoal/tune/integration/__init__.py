"""Callbacks of libraries that report to a search from inside of a trial. Each module imports its library."""
