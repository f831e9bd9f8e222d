"""Live recommendations: sessions that grow event by event, served over HTTP.

messages  ->  service  ->  stores (the events of each session)  ->  rules (what the model reads of them)
                       ->  engine (ranks items)                 ->  messages

``app`` is the HTTP side, ``supervisor`` the processes.
"""
