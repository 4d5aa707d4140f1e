"""Registered public data products: `registry` says what they are and may cost, `serving` answers the calls."""
