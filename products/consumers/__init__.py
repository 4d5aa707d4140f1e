"""Keys with which consumers call products: shown once, kept as a hash, suspended and revoked."""
