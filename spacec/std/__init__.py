"""The standard library: primitives with their shape rules, and definitions in the space language (``*.space``)."""
