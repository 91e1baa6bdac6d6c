"""Names of Ray's internals that tests of users' programs import."""
