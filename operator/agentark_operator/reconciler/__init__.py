"""One pass over one resource: from what cluster and store have, by a list of steps, to its status."""
