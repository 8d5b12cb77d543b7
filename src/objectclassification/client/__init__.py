"""Clients of the hub: the listener, the camera program, and the link they stand on."""
