"""What the platform and the machinery tell each other by files: specifications, orders, notes, the hub's settings."""
