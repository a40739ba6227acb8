"""Where a fleet service keeps how far the time of each signing key has gone."""

SIGNING_FOLDER = "signing"      # in the data folder: one file a drone
