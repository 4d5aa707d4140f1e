"""A grant's own desensitized copy of the data: built from the raw zone, certified, destroyed with its key."""
