"""Guilder: a digital wallet and payments backend on strict double-entry books."""
