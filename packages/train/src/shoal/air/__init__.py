"""What Train and Tune have in common, under the names that Ray's AIR gave it."""
