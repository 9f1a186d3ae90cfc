"""One record per ref."""
