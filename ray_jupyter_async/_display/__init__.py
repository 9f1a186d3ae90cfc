"""How a snapshot looks: widget, static page, terminal. Imports no kernel."""
