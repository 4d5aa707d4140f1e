"""Shuzha 数闸: a privacy-preserving sandbox and product service for a city's public data."""

__version__ = "0.1.0"
