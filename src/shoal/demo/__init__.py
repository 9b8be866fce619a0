"""The demo: a real sweep on this machine, with a worker killed on the way. It knows no terminal."""
