"""API keys: what programs act for a user with. They have a part of the user's permissions, a quota
of requests and a budget of money. They never sign in, and manage neither keys nor the account.
"""
