"""The path of prices within a row, of which only open, high, low and close are known: a rule says their order."""

from typing import Literal

RowPath = Literal["close", "adverse_first", "open_high_low_close", "open_low_high_close"]
"""When a venue acts whose act is due at a row's extremes.

- `close`: after the row, at its close, as the study does
- `adverse_first`: on the way from the row's open to the extreme that is adverse to it, before anything else in the row
- `open_high_low_close`, `open_low_high_close`: on the way through the extremes in this order, the same for everyone
"""
