"""What became faster, slower, better or worse between two runs, and what cannot be told."""
