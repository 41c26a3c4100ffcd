"""A cache of chunks on this machine, shared by processes and stores; nothing in it is trusted."""
