"""Money: usage times price, one rounding a line, infrastructure cost first, then shares whose sum is the bill."""
