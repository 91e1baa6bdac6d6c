"""What is decided: no clock, no file, no process."""
