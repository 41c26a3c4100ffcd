"""Values that every layer speaks: frozen, and without I/O."""
