"""What people read of a run: its report, what it is compared with, its books explained, framed, exported and asked."""
