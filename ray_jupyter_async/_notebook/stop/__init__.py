"""Stop: from the interrupt signal to the report of what still runs."""
