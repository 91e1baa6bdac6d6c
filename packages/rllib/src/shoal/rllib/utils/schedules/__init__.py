"""Values that change as training goes on."""
