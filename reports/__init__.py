"""Reports: records in; one HTML file, one Markdown summary and one CSV out. Nothing here imports torch."""
