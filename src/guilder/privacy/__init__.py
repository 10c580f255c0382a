"""What somebody may ask about personal data: a copy of all of it, and that it be erased."""
