"""Images as sensors: one detector's data to what they say of the optics and the specimen, with covariance, or to why they do not say it."""
