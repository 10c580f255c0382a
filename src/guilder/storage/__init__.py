"""Where records are kept: two engines behind the one door of `base.py`. Features never name an engine."""
