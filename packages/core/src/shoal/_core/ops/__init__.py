"""What people who run sessions use: the command line, logs, metrics."""
