"""Progress lines in a terminal."""
