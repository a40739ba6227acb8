"""Other people's programs, set up to do the same work on the same input."""
