"""What touches the machine: memory, sockets, processes, files. Does what it is told and decides nothing."""
