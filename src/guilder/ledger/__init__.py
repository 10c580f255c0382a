"""The books: one writer at a time, whole batches, double entry, a hash chain. Knows no users."""
