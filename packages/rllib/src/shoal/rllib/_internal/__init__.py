"""What users do not import."""
