"""The compiled space as users see it, one file for each thing that can be asked of it."""

from spacec.facade.space import Space

__all__ = ["Space"]
