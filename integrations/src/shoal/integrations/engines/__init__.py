"""What engines on other systems have in common; knows none of those systems."""
