"""What users of the algorithms need besides them, under the names that RLlib gives it."""
