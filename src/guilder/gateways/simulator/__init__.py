"""A payment company in a box: a small service with its own state, page and signed webhooks, and our
adapter to it.

For development and tests; `settings.py` refuses it in production. The adapter speaks to the service
over real HTTP only, so that what is proven with it holds for a real gateway.
"""
