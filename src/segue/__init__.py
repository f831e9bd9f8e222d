"""segue: from a click log to live next-item recommendations."""
