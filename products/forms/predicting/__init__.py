"""Models served: inputs checked, answers of a jailed worker rounded, and who maps a model out held back."""
