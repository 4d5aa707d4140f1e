"""The catalogue and the raw zone: what data there is, whose it is, on which terms; and how it comes in."""
