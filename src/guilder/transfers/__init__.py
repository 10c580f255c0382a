"""Wallet to wallet: who sends how much to whom. Finds the recipient; the ledger decides."""
