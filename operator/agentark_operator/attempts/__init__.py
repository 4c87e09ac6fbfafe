"""Attempts at stages: what is known of them, what they cost, and the pods that make them. Pure."""
