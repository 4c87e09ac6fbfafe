"""The local executor, the stages it runs, and what asks the models of a run."""
