"""The whole status of a resource, and the events that a change of it is worth. Pure."""
