"""What is done: actors, sockets, user code."""
