"""Tell others what this deployment knows: contributions, corrections, retractions and feedback."""
