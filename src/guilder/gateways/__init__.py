"""How Guilder speaks to payment companies: one protocol, an adapter for each, and the intake of
their webhooks.

Nothing here knows a wallet or posts a transfer. A gateway's word is a hint until it has been
fetched.
"""
