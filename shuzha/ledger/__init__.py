"""Append-only Merkle logs: signed checkpoints, inclusion and consistency proofs, and a verifier that stands alone."""
