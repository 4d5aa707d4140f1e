"""The demonstration: an invented city, its people, and the journey of one dataset through the ten hops."""
