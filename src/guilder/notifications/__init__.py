"""Tells people things: by e-mail and by SMS, after the commit, at least once.

It owns the outbox, the templates, and the senders. What is sent, and to whom, is sealed in the
database and erased as soon as it is sent. It decides nothing about anybody's account.
"""
