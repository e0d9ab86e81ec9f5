"""What leaves the deployment: notices to merchants in neutral words, signed messages to systems."""
