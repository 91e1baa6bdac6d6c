"""What people use at a terminal: configuration files, and the commands `shoal serve …`. Uses the public names of this package."""
