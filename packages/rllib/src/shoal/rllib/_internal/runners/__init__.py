"""Env runners as actors: calls, deadlines, replacements."""
