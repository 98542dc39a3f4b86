"""Choosing a schedule by measurement: kernels site by site, layout and passes on the whole network."""
