"""Architectures as numbers, for predictors, kernels and generative models: one file per scheme."""
