"""The inline engine: a whole session inside the user's process, one thing at a time, for breakpoints, coverage and a chosen order."""
