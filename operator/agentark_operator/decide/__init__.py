"""What to do next with a run: which stages begin, which other resources take over, what goes on. Pure."""
