"""From files to encoded sessions: read, clean, split, count, encode, batch."""
