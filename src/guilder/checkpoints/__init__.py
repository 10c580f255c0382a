"""Whether the books are right, told all the time and provably: the background audit, signed
checkpoints, proofs of single transactions. It reads the journal and never writes into it.
"""
