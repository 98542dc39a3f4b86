"""The tasks that come with spacec: denoising, three small classifications, and data of the user's own."""
