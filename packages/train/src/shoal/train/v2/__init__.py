"""Ray's path of the second generation of its API: the only one here."""
