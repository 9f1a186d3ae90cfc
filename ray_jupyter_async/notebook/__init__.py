"""IPython, ipykernel and widgets: the only room that knows a cell."""
