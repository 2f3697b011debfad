"""Venues, one folder each. Import from the venue's folder. Readers of files share some of the mappers."""
