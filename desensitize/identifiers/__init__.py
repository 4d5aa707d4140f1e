"""Identifiers: how they look, how they are checked, and the detectors and recognizers made from that one list."""
