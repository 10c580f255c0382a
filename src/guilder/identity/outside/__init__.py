"""Signing in by an account at another company: Google, Facebook, any OpenID Connect provider.

Owns who is known there under which name, and the way there and back. Never links an account of ours
because of an e-mail address, and never hands out tokens in a URL.
"""
