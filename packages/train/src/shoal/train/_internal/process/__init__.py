"""What is done: workers, files, threads."""
