"""The live widget, and its messages to and from pages."""
