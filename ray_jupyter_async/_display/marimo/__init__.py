"""Progress in marimo, whose cells run without IPython and without hooks of ours."""
