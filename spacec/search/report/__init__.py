"""Drawings, charts and the report of a run: text in, text out; no torch model, no plotting library."""
