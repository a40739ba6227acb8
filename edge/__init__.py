"""Everything that runs beside a camera or on a drone's companion computer."""
