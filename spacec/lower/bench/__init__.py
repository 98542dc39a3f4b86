"""What a supernet costs on this machine: time, memory, calls, and how far that is from the machine's floor."""
