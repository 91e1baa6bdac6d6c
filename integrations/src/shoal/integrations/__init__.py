"""Other systems that carry shoal's programs out, one package each: engines (see `shoal.engines`)."""
