"""What the error classes are made of: how a process died, the parts of an exception, traces of remote frames.

The lowest room: `shoal.exceptions` stands on it, and it imports nothing of shoal.
"""
