"""Cells, the kernel, Stop and magics: the only room that knows that a cell runs."""
