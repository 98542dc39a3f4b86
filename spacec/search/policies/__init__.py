"""Distributions over architectures that learn from rewards: what controllers of every kind have in common."""
