"""Money in: a payment is an intent, a checkout at a gateway, and one transfer once the gateway has
the money.

It never believes a webhook or a browser: it fetches, compares, and only then posts.
"""
