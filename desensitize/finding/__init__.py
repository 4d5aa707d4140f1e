"""Finding: what each column of a table holds, and what is proposed for it."""
