"""The HTTP side of a service: connections, access, routes and operations."""
