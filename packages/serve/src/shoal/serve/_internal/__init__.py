"""Not for users."""
