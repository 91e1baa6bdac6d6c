"""The running programs: client, worker, node, head, launcher. Feeds events to `logic` and carries its effects out through `system`."""
