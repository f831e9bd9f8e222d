"""``segue.read``: detects the format of a file or the log of a folder, and parses it into a table of raw values."""
