"""Suggest configurations."""
