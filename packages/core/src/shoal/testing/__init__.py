"""Tools to test programs, and shoal itself, with."""
