"""How fast the hub is with a fleet: beside the least that can be done, and beside other brokers."""
