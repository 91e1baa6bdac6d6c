"""Expressions over the columns of a block: what they are, what they give, how they are written. No IO, no tasks."""
