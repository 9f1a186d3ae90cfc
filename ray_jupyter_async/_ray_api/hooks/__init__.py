"""What this package replaces or sets in Ray itself."""
