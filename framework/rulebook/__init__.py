"""What a run takes as given from outside: dated rules, the order of prices within a row, incidents."""
