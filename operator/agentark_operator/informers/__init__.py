"""What the cluster has: our resources and their children, indexed as the watches show them."""
