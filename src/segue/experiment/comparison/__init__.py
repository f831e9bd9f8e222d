"""Which models of one or several runs are better, and how sure that is."""
