"""What those who run a deployment do: look people up, set roles, read the audit record."""
