"""Losses, by family."""
