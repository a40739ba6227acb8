"""A camera as geometry: lens, pose, projection both ways, and the ground it can see."""
