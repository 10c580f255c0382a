"""Transfers that are due later, once or again and again.

Each occurrence is decided in the journal under an id that follows from the schedule and its number:
paid, given up or cancelled, exactly one of them, across restarts, processes and clocks that jump.
The stored schedule follows from that.
"""
