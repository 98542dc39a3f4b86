"""The back end: from a flat space graph to PyTorch: supernet, one network, stand-alone source."""
