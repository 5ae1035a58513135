"""Records to one HTML page and its companions."""
