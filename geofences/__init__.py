"""Where things are on the ground: geodesy, the border line, corridors, terrain, and the sector that holds them."""
