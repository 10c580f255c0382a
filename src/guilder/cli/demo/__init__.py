"""A story in money, played over real HTTP; what it says is checked, number by number."""
