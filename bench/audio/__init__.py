"""Sound to log-mel, and the inputs of a sweep."""
