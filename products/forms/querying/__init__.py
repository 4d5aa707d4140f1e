"""Data services: parameterised tables over raw data, each answer checked as an output of the airlock is."""
