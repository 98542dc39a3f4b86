"""The formats in which other projects write architectures, read and written: one file per project."""
