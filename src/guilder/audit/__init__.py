"""The record of every security event: who did what to whom, in a chain that shows any change.

It is written and read here; nothing here ever changes or removes an event.
"""
