"""More than one machine: Ray Serve and Ray Data around the same classifier."""
