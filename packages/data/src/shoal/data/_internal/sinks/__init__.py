"""Where blocks go: one file a format."""
