"""How a state and its target become a loss: against the catalogue, against negatives, against soft labels."""
