"""The analysts' environment: which packages are approved, how it is built beside the one in use, and its hash."""
