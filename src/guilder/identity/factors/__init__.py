"""Second factors: codes of an app, recovery codes, and the devices on which they were given.

Owns what they are and when one is right. When one is asked for is the business of
`identity.challenges` (at sign-in) and `identity.step_up` (before something that matters).
Never tells a secret twice: it is shown when it is made.
"""
