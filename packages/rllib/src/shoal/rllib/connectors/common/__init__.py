"""Pieces that several kinds of pipelines have."""
