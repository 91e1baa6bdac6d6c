"""Where blocks come from: one file a format. Runs in the driver (listing, footers) and in tasks (reading)."""
