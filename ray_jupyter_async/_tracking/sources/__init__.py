"""Functions of Ray, wrapped: what a process submits, waits for and cancels."""
