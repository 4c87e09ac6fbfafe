"""The local executor, the stages it runs, and what a run leaves for people."""
