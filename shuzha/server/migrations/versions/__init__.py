"""One file per change of the records' tables, oldest first."""
