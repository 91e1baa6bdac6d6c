"""Settings of algorithms: which there are, and which values they take."""
