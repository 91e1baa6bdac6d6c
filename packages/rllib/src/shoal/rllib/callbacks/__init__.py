"""What users do at certain moments."""
