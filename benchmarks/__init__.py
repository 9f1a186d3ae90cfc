"""What awaiting costs, beside its peers: `make bench`."""
