"""The tape: what a step of a run does is recorded once, as arithmetic on numbers, and then played for any numbers."""
