"""Answers about products: the verification index, consumers' keys, and the consumer API with its meter."""
