"""Training: a trainer, what it remembers, and what may look on and take part."""
