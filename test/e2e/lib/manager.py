"""A service manager for sd_notify(3): binds the Unix datagram socket that argv[1]
names (with @ before it: an abstract one) and prints what arrives, a line a message."""
import socket
import sys

name = sys.argv[1]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.bind("\0" + name[1:] if name.startswith("@") else name)
    print("bound", flush=True)
    while True:
        print(manager.recv(4096).decode().replace("\n", " "), flush=True)
