"""The command `carrybook`: what it can do, each command in a function, and the files that it writes for an author."""
