"""Money out: a payout is a transfer into transit, a call to a gateway, and one transfer that
settles it.

The transfer is the intent. It is posted before the gateway hears of anything.
"""
