"""Venues, a folder each. Import from the venue's folder: readers of files share the mappers of some."""
