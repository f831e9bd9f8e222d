"""Why an item is listed: what its score is the sum of, the effect of each event, and attention weights."""
