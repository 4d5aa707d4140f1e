"""What runs in the jail beside the granted release: arithmetic, attacks and counts. It needs numpy and polars alone."""
