"""Seals personal data and secrets before they are stored, and finds them again by keyed hashes.

It owns the form of a sealed text and the keys' names. It stores nothing and never logs.
"""
