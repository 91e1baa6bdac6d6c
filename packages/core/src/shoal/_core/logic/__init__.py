"""What should happen: state machines of plain data, event in, effects out. No clock, thread, socket, file or randomness lives here."""
