"""The form that a saved notebook keeps."""
