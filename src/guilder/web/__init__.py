"""The outermost shell: the server itself, health, metrics, and the pages about the API."""
