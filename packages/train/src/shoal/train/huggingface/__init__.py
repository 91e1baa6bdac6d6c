"""Hugging Face's libraries."""
