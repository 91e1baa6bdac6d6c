"""What is decided: no clock, no thread, no actor."""
