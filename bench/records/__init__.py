"""What a run wrote: the schema, its lines on disk, a table of them, and a run as a whole."""
