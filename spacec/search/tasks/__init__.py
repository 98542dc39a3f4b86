"""The tasks that come with spacec: denoising, four classifications, cellular automata, and data of the user's own."""
