"""Who somebody is: users, passwords, sessions and their tokens.

Never moves money. Hooks that it is given open a wallet in the transaction that stores a user.
"""
