"""One file per model, the contract they share, and the table of their names."""
