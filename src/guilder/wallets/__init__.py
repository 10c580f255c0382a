"""A user's view of the books: the wallet, its balances and its history. Moves no money itself."""
