"""What is done: executors, threads."""
