"""From files to encoded sessions.

    readers -> door -> Events -> clean, split -> Vocabulary, encode -> Sessions, Prefixes, Cases -> batches

``readers`` knows formats and ``door`` knows what values mean. From there on every step is a function of a table or of
arrays; which steps run, and in which order, is the protocol's business (``segue.evaluation``).
"""
