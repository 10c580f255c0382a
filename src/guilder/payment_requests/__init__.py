"""Requests for money: somebody asks, somebody else pays or declines, once.

The journal decides: a payment and every way to withdraw a request take one and the same transfer
id, so that at most one of them happens. The stored status follows from it and may be behind; it is
never trusted where the two could differ.
"""
