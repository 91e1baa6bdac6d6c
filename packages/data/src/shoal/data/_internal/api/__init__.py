"""What the user types: arguments checked once, made into operators; what is consumed, handed to the executor."""
