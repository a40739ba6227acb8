"""The ground station: inbox, store, fusion, watchlist, alarms, and the live map."""
