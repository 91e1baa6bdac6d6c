"""What the adapters for parallel APIs are made of: functions called in workers, a bounded number at once, without a wait that polls."""
