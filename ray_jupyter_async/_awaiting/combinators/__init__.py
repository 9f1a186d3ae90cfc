"""Functions over many refs: `gather`, `wait`, `as_completed`, `map` and so on."""
