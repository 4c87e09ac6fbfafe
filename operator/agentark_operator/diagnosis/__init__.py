"""Why pods failed, or do not run yet. Pure."""
