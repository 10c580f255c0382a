"""What happens to every request around its route: one concern per file, plain ASGI, cheap."""
