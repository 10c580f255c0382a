"""What is proved about people: documents, as references only, and the tier that follows."""
