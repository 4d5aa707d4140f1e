"""Privacy budgets: how much may ever be learned of anybody in an entry, and the answers that it bought."""
