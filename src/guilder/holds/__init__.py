"""Money set aside for somebody: held now, captured or released later. The ledger decides."""
