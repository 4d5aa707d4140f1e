"""What runs a model, in a jail."""
