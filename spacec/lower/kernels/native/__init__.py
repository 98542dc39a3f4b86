"""Kernels as C source, generated for a shape class, compiled by the system's compiler and kept on disk."""
