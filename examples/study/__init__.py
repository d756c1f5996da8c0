"""The published comparison of three models of SOL carry on two venues; `carrybook study` prints it."""
