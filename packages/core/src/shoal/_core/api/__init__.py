"""What the user types: checks arguments once, holds the user-facing objects, and speaks to an engine."""
