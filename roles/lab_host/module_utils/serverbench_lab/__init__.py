"""The lab host, by concern: what is inherited, the base root, the network, the limits, the host."""
