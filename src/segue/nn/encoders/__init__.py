"""Networks that say in one vector what a session wants next, and the parts that they share."""
