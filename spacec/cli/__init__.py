"""The command line: one thin file per command, each imported when it is called."""
