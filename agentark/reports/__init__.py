"""What a person reads of runs: results, curves, transcripts, studies, scores of steps, and what a machine can do."""
