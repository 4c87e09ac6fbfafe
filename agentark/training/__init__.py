"""What every training has in common: checkpoints, progress, interruptions, failures."""
