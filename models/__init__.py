"""The weights: where they come from, under which licence, and how one finds them."""
