"""What reads a leaked file, in a jail."""
